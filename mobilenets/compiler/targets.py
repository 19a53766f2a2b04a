"""The targets that C is emitted for: the width of their vectors, the features they need, the flags of the compiler."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace

from ..errors import UsageError
from ..machine import tiles_granted
from .processor import missing
from .program import Target

__all__ = [
    "ALL_BF16_TARGETS",
    "ALL_FP16_TARGETS",
    "ALL_INT8_TARGETS",
    "ALL_TARGETS",
    "ARM_BF16_TARGETS",
    "ARM_FP16_TARGETS",
    "ARM_INT8_TARGETS",
    "ARM_TARGETS",
    "BF16_TARGETS",
    "FP16_TARGETS",
    "INT8_TARGETS",
    "TARGETS",
    "best_target",
]

TARGETS = {
    target.name: target
    for target in (
        Target(
            "avx512",
            vector=16,
            sums=24,
            features=("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"),
            flags=("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"),
        ),
        Target("avx2", vector=8, sums=12, features=("avx2", "fma"), flags=("-mavx2", "-mfma"), rows_cache=131072),
        Target("portable", vector=4, sums=16, features=(), flags=()),  # SSE2, NEON, or none at all
    )
}

# for bf16 and products made of it, for which there are instructions
_BF16 = replace(
    TARGETS["avx512"],
    name="avx512bf16",
    features=(*TARGETS["avx512"].features, "avx512_bf16"),
    flags=(*TARGETS["avx512"].flags, "-mavx512bf16"),
)
BF16_TARGETS = {
    "amx": replace(
        _BF16,
        name="amx",
        features=(*_BF16.features, "amx_tile", "amx_bf16"),
        flags=(*_BF16.flags, "-mamx-tile", "-mamx-bf16"),
    ),
    "avx512bf16": _BF16,
    **TARGETS,
}

# for networks of halves: only processors that compute with them, since others would take longer than in fp32
FP16_TARGETS = {
    "avx512fp16": replace(
        TARGETS["avx512"],
        name="avx512fp16",
        vector=32,
        features=(*TARGETS["avx512"].features, "avx512_fp16"),
        flags=(*TARGETS["avx512"].flags, "-mavx512fp16"),
    )
}

# for int8 networks, for which there is an instruction
_VNNI = replace(
    TARGETS["avx512"],
    name="avx512vnni",
    features=(*TARGETS["avx512"].features, "avx512_vnni"),
    flags=(*TARGETS["avx512"].flags, "-mavx512vnni"),
    dot="vnni",
)
_AVX2 = replace(TARGETS["avx2"], sums=10)  # on an AMD Zen 1, 5 pixels x 2 vectors are faster than 6 by 5 to 7 %
INT8_TARGETS = {
    "amx": replace(
        _VNNI,
        name="amx",
        features=(*_VNNI.features, "amx_tile", "amx_int8"),
        flags=(*_VNNI.flags, "-mamx-tile", "-mamx-int8"),
    ),
    "avx512vnni": _VNNI,
    "avxvnni": replace(  # laptops since 2021, most of which have no AVX-512
        _AVX2,
        name="avxvnni",
        features=(*_AVX2.features, "avx_vnni"),
        flags=(*_AVX2.flags, "-mavxvnni"),
        dot="vnni",
    ),
    **TARGETS,
    "avx2": _AVX2,
}

# for ARM, 64 bits
_NEON = Target(
    "neon",
    vector=4,
    sums=16,
    features=("asimd",),
    flags=("-march=armv8-a",),
    dot="neon",
    own=tuple(
        f"{kernel}_neon"
        for kernel in "intrinsics vectors activate activate_all tile depthwise bf16_dot bf16_tile int8_vectors "
        "int8_rows int8_depthwise int8_depthwise_any int8_tile int8_product int8_pool int8_widen int8_add int8_scale "
        "tiles int8_pointwise_tiles".split()
    ),
    machine="aarch64",
)
_DOTPROD = replace(
    _NEON, name="dotprod", features=("asimd", "asimddp"), flags=("-march=armv8.2-a+dotprod",), dot="sdot"
)
ARM_TARGETS = {"neon": _NEON}
ARM_FP16_TARGETS = {
    "fp16": replace(
        _NEON,
        name="fp16",
        vector=8,
        features=("asimd", "asimdhp"),
        flags=("-march=armv8.2-a+fp16",),
        own=("tile_neon16",),
    )
}
ARM_BF16_TARGETS = {
    "bf16": replace(_NEON, name="bf16", features=("asimd", "bf16"), flags=("-march=armv8.2-a+bf16",)),
    **ARM_TARGETS,
}
ARM_INT8_TARGETS = {
    "i8mm": replace(
        _DOTPROD,
        name="i8mm",
        features=(*_DOTPROD.features, "i8mm"),
        flags=("-march=armv8.2-a+dotprod+i8mm",),
        pairs=True,
    ),
    "dotprod": _DOTPROD,
    **ARM_TARGETS,
}

# of all processors: "auto" tries the last table first
ALL_TARGETS = ChainMap(TARGETS, ARM_TARGETS)
ALL_FP16_TARGETS = ChainMap(FP16_TARGETS, ARM_FP16_TARGETS)
ALL_BF16_TARGETS = ChainMap(BF16_TARGETS, ARM_BF16_TARGETS)
ALL_INT8_TARGETS = ChainMap(INT8_TARGETS, ARM_INT8_TARGETS)


def best_target(name: str = "auto", targets: Mapping[str, Target] = ALL_TARGETS) -> Target:
    """Return the target of that name, or for "auto" the first of `targets` that this processor runs.

    Raises `UsageError` for a name that is not in `targets`, and where this processor runs none of them.
    """
    if name == "auto":
        for target in targets.values():
            if _runs(target):
                return target
        needed = " or ".join(target.features[-1] for target in targets.values())
        raise UsageError(f"target 'auto': none of {', '.join(targets)} runs on this processor, which lacks {needed}")
    if name not in targets:
        raise UsageError(f"target {name!r} must be auto, {', '.join(targets)}")
    return targets[name]


def _runs(target: Target) -> bool:
    """Return whether the processor has the features, and the system permits their use."""
    return not missing(target.features) and ("amx_tile" not in target.features or tiles_granted())

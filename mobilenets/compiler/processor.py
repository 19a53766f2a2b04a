"""Detect the features of this processor; the only module of the package that loads native code."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..errors import CompileError, UsageError
from ..machine import tiles_granted

__all__ = ["LEVELS", "MACHINE", "MASK", "features", "level_features", "load", "missing", "reported"]

MASK = "MOBILENETS_PROCESSOR"
"""The environment variable that masks the features above one of `LEVELS`."""

MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
"""The architecture, as `platform.machine` names it on Linux."""

# level -> the features that it adds to the level before it, as Linux names them
_X86: dict[str, tuple[str, ...]] = {
    "sse2": (),
    "avx2": ("avx2", "fma"),
    "avxvnni": ("avx_vnni",),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
    "avx512vnni": ("avx512_vnni",),
    "avx512bf16": ("avx512_bf16",),
    "avx512fp16": ("avx512_fp16",),
    "amx": ("amx_tile", "amx_bf16", "amx_int8"),
}
_ARM: dict[str, tuple[str, ...]] = {
    "neon": ("asimd",),
    "fp16": ("asimdhp",),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
    "bf16": ("bf16",),
}
_ASIDE = ("avxvnni",)  # levels whose features the levels behind them do not have
LEVELS = _ARM if MACHINE == "aarch64" else _X86
"""The levels of this architecture; of one that is neither, those of x86-64, whose features it lacks."""

# feature of ARM -> where Linux reports it (an entry of the auxiliary vector, the bit), and its name in macOS
_HWCAP, _HWCAP2 = 16, 26
_ARM_FEATURES = {
    "asimd": (_HWCAP, 1, "AdvSIMD"),
    "asimdhp": (_HWCAP, 10, "FEAT_FP16"),
    "asimddp": (_HWCAP, 20, "FEAT_DotProd"),
    "i8mm": (_HWCAP2, 13, "FEAT_I8MM"),
    "bf16": (_HWCAP2, 14, "FEAT_BF16"),
}


def level_features(level: str) -> frozenset[str]:
    """Return all features of a level: its own and those of the levels before it, less those of `_ASIDE`.

    Raises `UsageError` for a name that is not in `LEVELS`.
    """
    if level not in LEVELS:
        raise UsageError(f"{MASK} (={level!r}) must be one of {', '.join(LEVELS)}")
    names = list(LEVELS)
    before = [name for name in names[: names.index(level)] if name not in _ASIDE]
    return frozenset(feature for name in (*before, level) for feature in LEVELS[name])


def features() -> frozenset[str]:
    """Return the features of this processor, less those that `MOBILENETS_PROCESSOR` masks.

    Those of x86-64 on Linux, and of 64-bit ARM on Linux and macOS; elsewhere none: only the portable target runs.
    """
    level = os.environ.get(MASK, "")
    return reported() & level_features(level) if level else reported()


def missing(needed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the features among `needed` that this processor lacks."""
    present = features()
    return tuple(feature for feature in needed if feature not in present)


def load(path: Path, target: str, needed: tuple[str, ...]) -> ctypes.CDLL:
    """Load a shared library that was built for `target`, whose instructions need the features `needed`.

    Raises `CompileError`, and executes nothing, where the processor lacks a feature, where the system grants no AMX
    tiles, and where the file is not a library.
    """
    if lacking := missing(needed):
        raise CompileError(f"{path} was built for {target}: this processor lacks {', '.join(lacking)}")
    if "amx_tile" in needed and not tiles_granted():
        other = "avx512vnni" if "amx_int8" in needed else "avx512bf16"
        raise CompileError(f"{path} was built for {target}: this system grants no AMX tiles; use --target {other}")
    try:
        return ctypes.CDLL(str(path))
    except OSError as exc:
        raise CompileError(f"{path} cannot be loaded: {exc}") from exc


@cache
def reported() -> frozenset[str]:
    """Return the features that the system reports of the processor, whatever the mask."""
    if MACHINE == "aarch64":
        return frozenset(_arm_features())
    if MACHINE != "x86_64":
        return frozenset()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def _arm_features() -> Iterator[str]:
    """Yield the features in `_ARM_FEATURES` that Linux states in the auxiliary vector, or macOS by `sysctlbyname`."""
    system = ctypes.CDLL(None)
    if sys.platform == "linux":
        system.getauxval.restype, system.getauxval.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
        yield from (name for name, (kind, bit, _) in _ARM_FEATURES.items() if system.getauxval(kind) >> bit & 1)
    if sys.platform == "darwin":
        for name, (_, _, known) in _ARM_FEATURES.items():
            value, size = ctypes.c_int(0), ctypes.c_size_t(4)
            setting = f"hw.optional.arm.{known}".encode()
            if system.sysctlbyname(setting, ctypes.byref(value), ctypes.byref(size), None, 0) == 0 and value.value:
                yield name

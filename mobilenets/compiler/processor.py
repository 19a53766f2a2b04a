"""Detect the features of this processor; the only module of the package that loads native code."""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

from ..errors import CompileError, UsageError
from ..machine import tiles_granted

__all__ = ["LEVELS", "MASK", "features", "level_features", "load", "missing", "reported"]

MASK = "MOBILENETS_PROCESSOR"
"""The environment variable that masks the features above one of `LEVELS`."""

# level -> the features that it adds to the level before it, as Linux names them
LEVELS: dict[str, tuple[str, ...]] = {
    "sse2": (),
    "avx2": ("avx2", "fma"),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
    "avx512vnni": ("avx512_vnni",),
    "avx512bf16": ("avx512_bf16",),
    "amx": ("amx_tile", "amx_bf16", "amx_int8"),
}


def level_features(level: str) -> frozenset[str]:
    """Return all features of a level: its own and those of the levels before it.

    Raises `UsageError` for a name that is not in `LEVELS`.
    """
    if level not in LEVELS:
        raise UsageError(f"{MASK} (={level!r}) must be one of {', '.join(LEVELS)}")
    names = list(LEVELS)
    return frozenset(feature for name in names[: names.index(level) + 1] for feature in LEVELS[name])


def features() -> frozenset[str]:
    """Return the features of this processor (Linux, x86-64), less those that `MOBILENETS_PROCESSOR` masks.

    Empty on other systems, where only the portable target runs.
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
    if platform.machine() not in ("x86_64", "AMD64"):
        return frozenset()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())

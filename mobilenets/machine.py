"""Query the machine: cores, load, installed packages."""

import os
import sys
from importlib.util import find_spec

from .errors import MissingExtraError, UsageError

__all__ = [
    "check_threads",
    "cores",
    "first_process",
    "give_back_memory",
    "need_one_process",
    "need_torch",
    "need_torchvision",
    "other_load",
    "processor",
    "started_by_torchrun",
    "tiles_granted",
]


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def other_load() -> float:
    """Return the load average of the last minute, or 0 if the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def check_threads(threads: int, least: int = 0) -> None:
    """Raise `UsageError` if `threads` is not from `least` to the number of cores; 0 means all cores."""
    if not least <= threads <= cores():
        rule = f"must be from 1 to this machine's {cores()} cores{'' if least else ', or 0 for all'}"
        raise UsageError(f"threads (={threads}) {rule}")


def give_back_memory() -> None:
    """Return freed memory to the system; glibc retains it otherwise."""
    if sys.platform == "linux":
        import ctypes

        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)


def need_torch() -> None:
    """Raise `MissingExtraError` if torch is not installed."""
    if find_spec("torch") is None:
        raise MissingExtraError("training and export need torch", "train")


def need_torchvision() -> None:
    """Raise `MissingExtraError` if torchvision is not installed."""
    if find_spec("torchvision") is None:
        raise MissingExtraError("peers need torchvision", "train")


def started_by_torchrun() -> bool:
    """Return whether torchrun started this process, perhaps as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def first_process() -> bool:
    """Return whether this process speaks for all that torchrun started, or is alone."""
    return not started_by_torchrun() or os.environ.get("RANK") == "0"


def need_one_process(what: str) -> None:
    """Raise `UsageError` if torchrun started this process as one of several."""
    if started_by_torchrun() and (count := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise UsageError(f"{what} runs in one process, torchrun started {count}: start it without torchrun")


def tiles_granted() -> bool:
    """Request permission to use AMX tiles, which Linux on x86-64 requires; return whether it was granted."""
    import ctypes

    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)


def processor() -> str:
    """Return the processor's name as Linux gives it."""
    import platform
    from pathlib import Path

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

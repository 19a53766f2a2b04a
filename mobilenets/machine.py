"""What there is to work with."""

import os
import sys
from importlib.util import find_spec

from .errors import MissingExtraError, UsageError

__all__ = ["check_threads", "cores", "give_back_memory", "need_torch", "other_load", "tiles_granted"]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def other_load() -> float:
    """Return how many programs ran or waited for a core in the last minute; 0 where the system does not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def check_threads(threads: int, least: int = 0) -> None:
    """Raise `UsageError` for a number of threads that this machine has not; 0 stands for all, where it is allowed."""
    if not least <= threads <= cores():
        rule = f"must be from 1 to this machine's {cores()} cores{'' if least else ', or 0 for all'}"
        raise UsageError(f"threads (={threads}) {rule}")


def give_back_memory() -> None:
    """What was freed goes back to the system at once: Linux's C library keeps megabytes for later."""
    if sys.platform == "linux":
        import ctypes

        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)


def need_torch() -> None:
    """`MissingExtraError` at once, before any work is done."""
    if find_spec("torch") is None:
        raise MissingExtraError("torch is not installed, and training and export need it", "train")


def tiles_granted() -> bool:
    """Ask for AMX. Linux on x86-64 lets a process use tiles that has asked; sandboxes may refuse."""
    import ctypes

    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)

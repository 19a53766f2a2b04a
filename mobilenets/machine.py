"""What there is to work with."""

import os
from importlib.util import find_spec

from .errors import MissingExtraError

__all__ = ["cores", "need_torch"]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def need_torch() -> None:
    """`MissingExtraError` at once, before any work is done."""
    if find_spec("torch") is None:
        raise MissingExtraError(
            "torch is not installed, and training and export need it: pip install 'mobilenets[train]'"
        )

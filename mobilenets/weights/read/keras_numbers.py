"""Numbers in the config of a Keras model, and arithmetic with them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ModelFileError

__all__ = ["OPERATIONS", "bare", "numbers_of"]


def bare(value: Any) -> Any:
    """Return a number out of Keras' spelling of NumPy numbers."""
    return value["config"]["value"] if isinstance(value, dict) else value


def numbers_of(value: Any, name: str) -> Any:
    """Return a number, or an array of one per channel."""
    array = np.asarray(bare(value))
    if array.dtype.kind not in "if" or array.ndim > 1 or array.size > 4:
        raise ModelFileError(f"{name}: {str(value)[:80]}: pixels are rescaled by one number, or by one a channel")
    return array.astype(np.float64)


# what is done to x with a number, as (scale, offset): Keras 3's names, then Keras 2's
OPERATIONS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "TrueDivide": lambda number: (1 / number if number.all() else np.inf, 0.0),
    "Multiply": lambda number: (number, 0.0),
    "Add": lambda number: (1.0, number),
    "Subtract": lambda number: (1.0, -number),
}
OPERATIONS |= {
    "math.truediv": OPERATIONS["TrueDivide"],
    "math.multiply": OPERATIONS["Multiply"],
    "math.add": OPERATIONS["Add"],
    "__operators__.add": OPERATIONS["Add"],
    "math.subtract": OPERATIONS["Subtract"],
}

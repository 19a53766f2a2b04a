"""Types of numpy arrays by their elements, for annotations."""

from typing import Any

import numpy as np

__all__ = [
    "AnyFloats",
    "AnyInts",
    "Array",
    "Bools",
    "Bytes",
    "Doubles",
    "Floats",
    "Halves",
    "Integers",
    "Ints",
    "Sums",
]

Array = np.ndarray[Any, np.dtype[Any]]
AnyFloats = np.ndarray[Any, np.dtype[np.floating[Any]]]
AnyInts = np.ndarray[Any, np.dtype[np.integer[Any]]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Halves = np.ndarray[Any, np.dtype[np.uint16]]  # bf16, as the upper 16 bits of a float32
Integers = np.ndarray[Any, np.dtype[np.int8]]  # of a quantized network
Ints = np.ndarray[Any, np.dtype[np.int64]]
Sums = np.ndarray[Any, np.dtype[np.int32]]  # of products of int8

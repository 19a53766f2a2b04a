"""Types of numpy arrays by their elements, for annotations."""

from typing import Any

import numpy as np

__all__ = ["Array", "Bytes", "Floats"]

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

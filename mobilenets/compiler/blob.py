"""The weights of a program as one sequence of bytes: typed arrays one after the other, each aligned, little-endian."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .program import DTYPES, Constant, Element, aligned

__all__ = ["Blob"]


@dataclass(slots=True)
class Blob:
    """Packed weights; `arrays[i]` begins at byte `constants[i].at`."""

    constants: list[Constant] = field(default_factory=list)
    arrays: list[np.ndarray[Any, Any]] = field(default_factory=list)
    size: int = 0  # bytes

    def add(self, name: str, element: Element, array: np.ndarray[Any, Any]) -> Constant:
        """Append an array and return its place; `name` is the C parameter that takes it."""
        constant = Constant(name, element, self.size)
        self.constants.append(constant)
        self.arrays.append(np.ascontiguousarray(array, DTYPES[element]).reshape(-1))
        self.size += aligned(self.arrays[-1].nbytes)
        return constant

    def tobytes(self) -> bytes:
        """Return all arrays, with zeros between them."""
        return b"".join(array.tobytes().ljust(aligned(array.nbytes), b"\0") for array in self.arrays)

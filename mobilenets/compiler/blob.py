"""All weights in one run of bytes: typed arrays one behind the other, each aligned, little-endian."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .program import DTYPES, Constant, Element, aligned

__all__ = ["Blob"]


@dataclass(slots=True)
class Blob:
    """`arrays[i]` lies at `constants[i].at`."""

    constants: list[Constant] = field(default_factory=list)
    arrays: list[np.ndarray[Any, Any]] = field(default_factory=list)
    size: int = 0  # bytes

    def add(self, name: str, element: Element, array: np.ndarray[Any, Any]) -> Constant:
        """Where it will lie. `name`: of the parameter that is given it."""
        constant = Constant(name, element, self.size)
        self.constants.append(constant)
        self.arrays.append(np.ascontiguousarray(array, DTYPES[element]).reshape(-1))
        self.size += aligned(self.arrays[-1].nbytes)
        return constant

    def tobytes(self) -> bytes:
        """Zeros between the arrays."""
        return b"".join(array.tobytes().ljust(aligned(array.nbytes), b"\0") for array in self.arrays)

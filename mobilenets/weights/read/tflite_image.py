"""What a TensorFlow Lite file does with the pixels before its first layer."""

import math
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ..layers import Number, one_or_all
from .tflite_file import INT8, UINT8, File, Operator

__all__ = ["Image"]


class Image:
    """The image of a file: the first layer takes scale x the file's input + shift."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.scale, self.shift = np.ones(1), np.zeros(1)

    def rescale(self, operator: Operator, numbers: np.ndarray[Any, Any]) -> None:
        """Apply a Rescaling or Normalization of the image: arithmetic with one number, or one per channel."""
        values = numbers.astype(np.float64).ravel()
        if values.size not in (1, 3) or (operator.kind == "DIV" and not values.all()):
            raise ModelFileError(f"{operator}: not a change of the image by one number per channel")
        if operator.kind in ("ADD", "SUB"):
            self.shift = self.shift + (values if operator.kind == "ADD" else -values)
        else:
            factor = values if operator.kind == "MUL" else 1 / values
            self.scale, self.shift = self.scale * factor, self.shift * factor

    def pixels(self, first: int, normalised: tuple[Any, Any] | None) -> tuple[Number, Number] | None:
        """Return (mean, std) of pixels for the first layer; the integers of a quantised input are pixels (int8: less
        128).
        """
        quantised = self._quantised_pixels(first)
        mean, std = quantised or normalised or (np.zeros(1), np.ones(1))
        if self.rescales:
            with np.errstate(all="ignore"):  # what is not finite is refused below
                mean, std = _decimal(mean - self.shift * std / self.scale), _decimal(std / self.scale)
        elif not quantised and not normalised:
            return None
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ModelFileError(f"its input is normalised by mean {mean.tolist()} and std {std.tolist()}")
        if quantised is None and normalised is None and max(mean.max(), std.max()) <= 1:  # of an image in [0, 1]
            mean, std = mean * 255, std * 255
        return one_or_all(mean), one_or_all(std)

    @property
    def rescales(self) -> bool:
        """Return whether the file changes the image before the first layer."""
        return bool((self.scale != 1).any() or self.shift.any())

    def _quantised_pixels(self, first: int) -> tuple[Any, Any] | None:
        kind, quantisation = self.file.tensor(first).Type(), self.file.tensor(first).Quantization()
        if kind not in (UINT8, INT8) or quantisation is None or quantisation.ScaleLength() != 1:
            return None
        scale, zero = (float(array.ravel()[0]) for array in self.file.scales(first, (1,)))
        std = 1 / scale
        near = round(std, 1)  # 127.5 is stored as the float32 next to 1 / 127.5
        std = near if math.isclose(near, std, rel_tol=1e-6) else std
        return np.array([zero + (128 if kind == INT8 else 0)]), np.array([std])


def _decimal(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number to the digits of float32."""
    return np.array([float(f"{value:.6g}") + 0.0 for value in values])

"""Pack the weights of a step in the order in which the kernels for microcontrollers read them."""

from typing import Any

import numpy as np

from ...arrays import Sums
from .lower import Part, Step

__all__ = ["PIXELS", "pack_bytes", "pack_product", "pack_taps"]

Bytes = np.ndarray[Any, np.dtype[np.int8]]

# the order of a window of 3x3 pixels of three channels in kernels/gather_pixels.c; 27 is padding
PIXELS = (*(9 * row + j for row in range(3) for j in (0, 2, 1, 3, 4, 6, 5, 7)), 8, 17, 26, 27)


def pack_product(part: Part, order: tuple[int, ...] = ()) -> Bytes:
    """Pack (N, C, k, k) or (N, C) as [N / 2][pairs] of a0 b0 a1 b1 for outputs a, b and codes 0, 1.

    A window is in the order row, column, channel, or else in `order`. Padding is the weights' own zero point, whose
    products add nothing. Behind them are zeros, since kernels read four pairs of codes at a time.
    """
    weight = _rows(part)
    n, depth = weight.shape
    both = np.pad(weight, ((0, n % 2), (0, depth % 2)), constant_values=part.weight_zero)
    both = both[:, list(order)] if order else both
    pairs = both.shape[1] // 2
    packed = both.reshape((n + 1) // 2, 2, pairs, 2).transpose(0, 2, 3, 1).reshape(-1)
    return np.pad(packed, (0, -pairs % 4 * 4))


def pack_bytes(part: Part, depth: int) -> tuple[Bytes, Sums]:
    """Pack (N, C, k, k) or (N, C) as [N][depth]; return it and the biases for codes that are less by 128.

    Outputs are computed in pairs; the last of an odd number is there twice.
    """
    weight = _rows(part)
    packed = np.pad(weight, ((0, 0), (0, depth - weight.shape[1])), constant_values=part.weight_zero)
    packed = np.pad(packed, ((0, len(packed) % 2), (0, 0)), "edge")
    more = 128 * (weight.astype(np.int64) - part.weight_zero).sum(axis=1)
    return packed, (part.bias + more).astype(np.uint32).view(np.int32)


def _rows(part: Part) -> Bytes:
    """Return (N, depth): windows in the order row, column, channel."""
    weight = part.weight
    return weight if weight.ndim == 2 else weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)


def pack_taps(step: Step) -> Bytes:
    """Pack the weights of a depthwise convolution as [C][k][k], and zeros behind them, since kernels read words."""
    assert step.first is not None
    return np.pad(step.first.weight.reshape(-1), (0, 3))

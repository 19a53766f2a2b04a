"""Pack the weights of a step in the order in which the kernels for microcontrollers read them."""

from typing import Any

import numpy as np

from .lower import Part, Step

__all__ = ["pack_product", "pack_taps"]

Bytes = np.ndarray[Any, np.dtype[np.int8]]


def pack_product(part: Part) -> Bytes:
    """Pack (N, C, k, k) or (N, C) as (N / 2, pairs, 2, 2): a0 b0 a1 b1 for outputs a, b and codes 0, 1.

    A window is in the order row, column, channel. Padding is the weights' own zero point, whose products add nothing.
    """
    weight = part.weight if part.weight.ndim == 2 else part.weight.transpose(0, 2, 3, 1).reshape(len(part.weight), -1)
    n, depth = weight.shape
    both = np.pad(weight, ((0, n % 2), (0, depth % 2)), constant_values=part.weight_zero)
    return both.reshape((n + 1) // 2, 2, (depth + 1) // 2, 2).transpose(0, 2, 3, 1)


def pack_taps(step: Step) -> Bytes:
    """Pack the weights of a depthwise convolution as (C, k, k)."""
    assert step.first is not None
    return step.first.weight[:, 0]

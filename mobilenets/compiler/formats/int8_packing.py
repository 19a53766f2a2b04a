"""Pack int8 weights in the order in which the kernels read them, with the bias and the factor of each channel.

Bytes of activations are q + 128, without a sign, and so is their zero point; what this adds to every sum is subtracted
from the biases. Weights are padded with their own zero point, whose products add nothing.
"""

from typing import Any

import numpy as np

from ...arrays import Floats
from ...quant.scheme import LOW, IntegerLayer, Integers, QuantParams, Sums, multipliers

__all__ = ["byte", "pack_bias", "pack_factor", "pack_product", "pack_taps", "split_bias"]


def byte(q: int) -> int:
    """Return the byte of the int8 `q` in the arena."""
    return q - LOW


def pack_bias(layer: IntegerLayer, zero: int, channels: int) -> Sums:
    """Return (channels,): bias - sum of `zero` * (w - its zero point), modulo 2^32 as sums are.

    `zero`: the zero point of the input, as products read it.
    """
    weights = layer.weight.astype(np.int64).reshape(len(layer.weight), -1) - layer.zero_point
    bias = layer.bias - weights.sum(axis=1) * zero
    return np.pad(bias.astype(np.uint32).view(np.int32), (0, channels - len(bias)))


def split_bias(layer: IntegerLayer, channels: int) -> Sums:
    """Return (channels,): what the products of `int8_dot_relaxed.c` leave out of the sums."""
    weights = layer.weight.astype(np.int64).reshape(len(layer.weight), -1)
    left_out = np.maximum(-weights, 0).sum(axis=1) - LOW * weights.sum(axis=1)
    return np.pad(left_out.astype(np.uint32).view(np.int32), (0, channels - len(left_out)))


def pack_factor(layer: IntegerLayer, source: QuantParams, target: QuantParams, channels: int) -> Floats:
    """Return (channels,): the factors of the sums; 0 for padding, whose bytes are the zero point."""
    factor = multipliers(layer, source, target)
    return np.pad(factor, (0, channels - len(factor)))


def pack_product(layer: IntegerLayer, depth: int, channels: int, panel: int, group: int) -> Integers:
    """Pack (N, C, k, k) or (N, C) as (channels / panel, k runs, groups, panel, group); a run is a row of the kernel.

    `depth`: channels of the input as they are stored.
    """
    kernel = layer.weight if layer.weight.ndim == 4 else layer.weight[:, :, None, None]
    n, c, k, _ = kernel.shape
    pads = ((0, channels - n), (0, depth - c), (0, 0), (0, 0))
    runs = np.pad(kernel, pads, constant_values=layer.zero_point).transpose(0, 2, 3, 1).reshape(channels, k, -1)
    runs = np.pad(runs, ((0, 0), (0, 0), (0, -runs.shape[2] % group)), constant_values=layer.zero_point)
    return runs.reshape(channels // panel, panel, k, -1, group).transpose(0, 2, 3, 1, 4)


def pack_taps(layer: IntegerLayer, channels: int, lanes: int, both: int, group: int) -> np.ndarray[Any, Any]:
    """Pack (C, 1, k, k) as (channels / lanes, both, k columns, rows / group, lanes, group): int8, or int16 in pairs.

    `both`: the rows of the output that k + both - 1 rows of the input give; the weights of each begin a row further.
    """
    kernel = layer.weight[:, 0].transpose(0, 2, 1)  # (C, column, row)
    size = kernel.shape[1]
    count = -(-(size + both - 1) // max(group, 2)) * max(group, 2)
    pads = [((0, channels - len(kernel)), (0, 0), (r, count - size - r)) for r in range(both)]
    rows = np.stack([np.pad(kernel, pad) for pad in pads], axis=1)
    split = rows.reshape(channels // lanes, lanes, both, size, count // group, group)
    return split.transpose(0, 2, 3, 4, 1, 5).astype(np.int8 if group == 4 else np.int16)

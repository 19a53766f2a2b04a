"""bf16, and weights in the order in which pairs of it are read. See pack.py."""

from typing import Any

import numpy as np

from .pack import Array

__all__ = ["Halves", "deinterleaved", "pack_pairs", "rounded", "split", "widened"]

Halves = np.ndarray[Any, np.dtype[np.uint16]]


def rounded(array: Array) -> Halves:
    """The upper half of each float32, rounded to the nearest, to even where two are as near."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widened(array: Halves) -> Array:
    return (array.astype(np.uint32) << 16).view(np.float32)


def split(array: Array, parts: int) -> Halves:
    """(parts, ...): bf16 that add up to `array`, the largest first."""
    found, left = [], np.asarray(array, np.float32)
    for _ in range(parts):
        found.append(rounded(left))
        left = left - widened(found[-1])
    return np.stack(found)


def deinterleaved(array: Array, lanes: int) -> Array:
    """(..., C): of each 2 `lanes` the even ones, then the odd ones, as a vector of pairs falls apart. Repeated as often
    as C fits into them."""
    if array.shape[-1] < 2 * lanes:
        array = np.tile(array, 2 * lanes // array.shape[-1])
    pairs = array.reshape(*array.shape[:-1], -1, lanes, 2)
    return np.ascontiguousarray(pairs.swapaxes(-1, -2)).reshape(array.shape)


def pack_pairs(kernel: Array, depth: int, channels: int, panel: int, parts: int = 1) -> Halves:
    """(N, C, 3, 3) or (N, C, 1, 1) or (N, C) -> (parts, channels / panel, K / 2, panel, 2).

    K: the elements under one row of the kernel, [columns][depth], made even; then those under the next row.
    """
    square = kernel.reshape(*kernel.shape[:2], *(kernel.shape[2:] or (1, 1)))
    deep = np.pad(square, ((0, channels - len(kernel)), (0, depth - kernel.shape[1]), (0, 0), (0, 0)))
    rows = deep.transpose(0, 2, 3, 1).reshape(channels, deep.shape[2], -1)
    matrix = np.pad(rows, ((0, 0), (0, 0), (0, rows.shape[2] % 2))).reshape(channels // panel, panel, -1, 2)
    return split(matrix.transpose(0, 2, 1, 3), parts)

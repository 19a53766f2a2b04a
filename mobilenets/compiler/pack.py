"""Weights in the order in which the tiles read them. All take PyTorch's layouts and pad channels with zeros."""

from typing import Any

import numpy as np

__all__ = ["Array", "pack_bias", "pack_conv", "pack_depthwise", "pack_pointwise"]

Array = np.ndarray[Any, np.dtype[np.float32]]


def pack_bias(bias: Array, channels: int) -> Array:
    """(C,) -> (channels,)."""
    return np.pad(bias, (0, channels - len(bias)))


def pack_depthwise(kernel: Array, channels: int) -> Array:
    """(C, 1, 3, 3) -> (3, 3, channels)."""
    padded = np.pad(kernel, ((0, channels - len(kernel)), (0, 0), (0, 0), (0, 0)))
    return padded[:, 0].transpose(1, 2, 0)


def pack_pointwise(kernel: Array, channels: int, panel: int) -> Array:
    """(N, C, 1, 1) or (N, C) -> (channels / panel, C, panel)."""
    matrix = kernel.reshape(len(kernel), -1)
    padded = np.pad(matrix, ((0, channels - len(matrix)), (0, 0)))
    return padded.reshape(-1, panel, matrix.shape[1]).transpose(0, 2, 1)


def pack_conv(kernel: Array, channels: int, panel: int) -> Array:
    """(N, C, 3, 3) -> (channels / panel, 3, 3, C, panel)."""
    padded = np.pad(kernel, ((0, channels - len(kernel)), (0, 0), (0, 0), (0, 0)))
    return padded.reshape(-1, panel, *kernel.shape[1:]).transpose(0, 3, 4, 2, 1)

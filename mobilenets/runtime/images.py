"""What a session takes: bytes or normalised floats, channels last or first. A network gets bytes, channels last."""

from typing import Any

import numpy as np

from ..errors import UsageError
from ..image import Pixels, Preprocess

__all__ = ["Images", "pixels_of"]

Images = np.ndarray[Any, np.dtype[Any]]

NEAR = 0.01  # of a step of a byte: what float32 loses on the way there and back is a thousand times less


def pixels_of(images: Images, preprocess: Preprocess) -> Pixels:
    """(N, H, W, C) or (N, C, H, W), uint8 or float32 -> (N, H, W, C) uint8, contiguous. Where both fit: channels last.

    float32 is what `image.normalise` makes of bytes, and those bytes are what it becomes again. `UsageError` for
    another shape or type, and for floats that are no normalised bytes: they were not normalised, or otherwise.
    """
    p = preprocess
    last = (p.height, p.width, p.channels)
    if images.ndim == 4 and images.shape[1:] != last and images.shape[1:] == (p.channels, p.height, p.width):
        images = images.transpose(0, 2, 3, 1)
    if images.shape[1:] != last or images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
        raise UsageError(
            f"images are {images.dtype} {images.shape}, must be uint8 or normalised float32, "
            f"(N, {p.height}, {p.width}, {p.channels}) or (N, {p.channels}, {p.height}, {p.width})"
        )
    return np.ascontiguousarray(images if images.dtype == np.uint8 else _bytes_of(images, p))


def _bytes_of(images: Images, preprocess: Preprocess) -> Pixels:
    with np.errstate(over="ignore"):
        values = images * np.asarray(preprocess.std, np.float32) + np.asarray(preprocess.mean, np.float32)
    nearest = np.rint(values.clip(0, 255))
    off = ~(np.abs(values - nearest) <= NEAR)  # also where it is no number
    if off.any():
        raise UsageError(
            f"float32 images hold {images[off][0]:g}, must be bytes normalised with mean {preprocess.mean} and "
            f"std {preprocess.std}; give uint8 images where they are not"
        )
    pixels: Pixels = nearest.astype(np.uint8)
    return pixels

"""Inputs of a session: bytes or normalised floats, channels last or first. Networks take bytes, channels last."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..arrays import Array
from ..errors import UsageError
from ..image import Pixels, Preprocess, prepare

__all__ = ["Images", "pixels_of"]

Images = Array | Sequence[Array | Image.Image]

NEAR = 0.01  # of a step of a byte: the rounding of float32 is a thousand times less


def pixels_of(images: Images, preprocess: Preprocess) -> Pixels:
    """Return contiguous (N, H, W, C) uint8 of (N, H, W, C) or (N, C, H, W), uint8 or float32; where both fit, channels
    are last.

    A list of N such images, and of Pillow images of any size, is accepted too. float32 must be the result of
    `image.normalise`, which is inverted. Raises `UsageError` for another shape or type, and for floats that are not
    normalised bytes: they were not normalised, or in another way.
    """
    p = preprocess
    batch = images if isinstance(images, np.ndarray) else _stacked(images, p)
    last = (p.height, p.width, p.channels)
    if batch.ndim == 4 and batch.shape[1:] != last and batch.shape[1:] == (p.channels, p.height, p.width):
        batch = batch.transpose(0, 2, 3, 1)
    if batch.shape[1:] != last or batch.ndim != 4 or batch.dtype not in (np.uint8, np.float32):
        raise UsageError(
            f"images are {batch.dtype} {batch.shape}, must be uint8 or normalised float32, "
            f"(N, {p.height}, {p.width}, {p.channels}) or (N, {p.channels}, {p.height}, {p.width})"
        )
    return np.ascontiguousarray(batch if batch.dtype == np.uint8 else _bytes_of(batch, p))


def _stacked(images: Sequence[Array | Image.Image], preprocess: Preprocess) -> Array:
    """Return one array of a list of arrays of one shape, and of Pillow images, preprocessed as by `prepare`."""
    if not isinstance(images, list | tuple):
        kind = type(images).__name__
        raise UsageError(
            f"images (a {kind}) must be an array or a list of arrays; mobilenets.prepare makes one of a file"
        )
    arrays = [prepare(one, preprocess) if isinstance(one, Image.Image) else one for one in images]
    for one in arrays:
        if not isinstance(one, np.ndarray) or (one.shape, one.dtype) != (arrays[0].shape, arrays[0].dtype):
            kind = f"{one.dtype} {one.shape}" if isinstance(one, np.ndarray) else f"a {type(one).__name__}"
            raise UsageError(f"a list of images holds {kind}, must hold arrays of one shape and type, or Pillow images")
    empty = np.zeros((0, preprocess.height, preprocess.width, preprocess.channels), np.uint8)
    return np.stack(arrays) if arrays else empty


def _bytes_of(images: Array, preprocess: Preprocess) -> Pixels:
    with np.errstate(over="ignore"):
        values = images * np.asarray(preprocess.std, np.float32) + np.asarray(preprocess.mean, np.float32)
    nearest = np.rint(values.clip(0, 255))
    off = ~(np.abs(values - nearest) <= NEAR)  # also for NaN
    if off.any():
        raise UsageError(
            f"float32 images hold {images[off][0]:g}, must be bytes normalised with mean {preprocess.mean} and "
            f"std {preprocess.std}; give uint8 images where they are not"
        )
    pixels: Pixels = nearest.astype(np.uint8)
    return pixels

"""Encode pictures as data URIs for the page."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..image import Pixels

__all__ = ["heat_map", "picture"]

_SIDE = 256  # pixels; pictures are shown at half of this size, for high-density screens
_CELLS = 250  # side of a heat map; beyond, several classes share a cell
_RIGHT, _WRONG = (37, 99, 168), (200, 62, 44)  # between the light and dark variants of --main and --bad


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def picture(pixels: Pixels, side: int = _SIDE) -> str:
    """Encode (H, W, C) uint8 with C 1 or 3, the longer side reduced to `side`. Small pictures are lossless (PNG)."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(image.size) <= 64:
        return _uri(image, "png", optimize=True)
    image.thumbnail((max(side, _SIDE),) * 2)
    return _uri(image, "jpeg", quality=85)


def heat_map(confusion: Sequence[Sequence[int]]) -> str:
    """Encode a confusion matrix as PNG, with an opacity of the square root of the share of the row.

    The diagonal is blue, other cells are red, empty cells transparent. With more than 250 classes, neighbouring classes
    share a cell, which shows their maximum.
    """
    counts = np.asarray(confusion, np.float32)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = _pooled(np.diag(np.diag(shares)))
    wrong = _pooled(shares - np.diag(np.diag(shares)))
    pixels = np.zeros((*wrong.shape, 4), np.uint8)
    for values, colour in ((right, _RIGHT), (wrong, _WRONG)):
        here = values > 0
        pixels[here, :3] = colour
        pixels[here, 3] = np.ceil(255 * np.sqrt(values[here]))
    return _uri(Image.fromarray(pixels), "png", optimize=True)


def _pooled(shares: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    side = -(-len(shares) // _CELLS)
    if side == 1:
        return shares
    rest = -len(shares) % side
    padded = np.pad(shares, (0, rest))
    cells = len(padded) // side
    pooled: np.ndarray[Any, np.dtype[np.float32]] = padded.reshape(cells, side, cells, side).max(axis=(1, 3))
    return pooled

"""Random views of an image, one random number generator a batch: the same seed gives the same views."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..image import Pixels, Preprocess, as_image, crop_resize

__all__ = ["Augmentation", "Colour", "random_colours", "random_view"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow's "L"


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a training image, from one strength (0 to 1)."""

    strength: float
    flip: bool

    @property
    def min_area(self) -> float:
        """The smallest crop, as a share of the image: not too small for small networks (paper, 3.2)."""
        return 1 - 0.75 * self.strength

    @property
    def max_stretch(self) -> float:
        """The largest change of aspect ratio, either way."""
        return 1 + self.strength / 3

    @property
    def colour(self) -> float:
        """The largest change of brightness, contrast and saturation."""
        return 0.4 * self.strength


@dataclass(frozen=True, slots=True)
class Colour:
    """An affine change of colour per image, on pixels in [-1, 1]: x @ matrix + shift."""

    matrix: np.ndarray[Any, np.dtype[np.float32]]  # (N, C, C)
    shift: np.ndarray[Any, np.dtype[np.float32]]  # (N, 1, C)


def random_view(pixels: Pixels, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """A random crop of (h, w, C), resized to (H, W, C), mirrored half of the time."""
    area, stretch, x, y, mirror = rng.random(5)
    box = _random_box(pixels.shape[1], pixels.shape[0], preprocess, how, area, stretch, x, y)
    view = crop_resize(as_image(pixels), preprocess, box)
    return view[:, ::-1] if how.flip and mirror < 0.5 else view


def _random_box(
    width: int,
    height: int,
    preprocess: Preprocess,
    how: Augmentation,
    area: float,
    stretch: float,
    x: float,
    y: float,
) -> tuple[float, float, float, float]:
    """A box of random area, aspect ratio (around the network's) and place; x, y and the like in [0, 1)."""
    pixels = (how.min_area + (1 - how.min_area) * area) * width * height
    ratio = preprocess.width / preprocess.height * how.max_stretch ** (2 * stretch - 1)
    w, h = min(width, (pixels * ratio) ** 0.5), min(height, (pixels / ratio) ** 0.5)
    left, top = x * (width - w), y * (height - h)
    return left, top, min(width, left + w), min(height, top + h)


def random_colours(count: int, channels: int, how: Augmentation, rng: np.random.Generator) -> Colour:
    """Brightness, contrast (about mid-grey) and saturation of `count` images as one matrix and shift each."""
    brightness, contrast, saturation = (how.colour * (2 * rng.random((3, count, 1, 1), np.float32) - 1)).astype("f4")
    identity = np.eye(channels, dtype=np.float32)
    if channels == 1:
        return Colour((1 + contrast) * identity, brightness)
    grey = np.repeat(_LUMA[:, None], 3, axis=1)
    mix = (1 + saturation) * identity - saturation * grey
    return Colour((1 + contrast) * mix, np.repeat(brightness, 3, axis=2))

"""Random views of an image, from one random number generator per batch: the same seed gives the same views."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..image import Pixels, Preprocess, as_image, crop_resize

__all__ = [
    "Augmentation",
    "Colour",
    "Place",
    "View",
    "drawn",
    "random_colours",
    "random_view",
    "same_target",
    "seen",
    "skip_view",
]

DRAWS = 5  # random numbers of every view


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The ranges of random changes to a training image, all derived from one strength (0 to 1)."""

    strength: float
    flip: bool

    @property
    def min_area(self) -> float:
        """The smallest crop, as a fraction of the image area: not too small for small networks (paper, 3.2)."""
        return 1 - 0.75 * self.strength

    def short_side(self, height: int, width: int) -> int:
        """Return the short side, in pixels, of stored images: their smallest crop has the resolution of the network."""
        return math.ceil(max(height, width) / math.sqrt(self.min_area))

    @property
    def max_stretch(self) -> float:
        """The largest factor by which the aspect ratio is multiplied or divided."""
        return 1 + self.strength / 3

    @property
    def colour(self) -> float:
        """The largest change of brightness and contrast; white balance changes by half of it."""
        return 0.4 * self.strength


@dataclass(frozen=True, slots=True)
class Colour:
    """A change of colour per image and channel, for pixels in [-1, 1]: x * gain + shift. Both arrays are (N, C)."""

    gain: np.ndarray[Any, np.dtype[np.float32]]
    shift: np.ndarray[Any, np.dtype[np.float32]]

    def of(self, rows: slice) -> "Colour":
        """Return the changes of some of the images."""
        return Colour(self.gain[rows], self.shift[rows])


class View(Protocol):
    """A function that returns a random view of an image, at a place from `drawn`, and the target that belongs to it."""

    def __call__(
        self, pixels: Pixels, target: Any, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator
    ) -> tuple[Pixels, Any]: ...


def same_target(
    pixels: Pixels, target: Any, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator
) -> tuple[Pixels, Any]:
    """Return `random_view` with an unchanged target."""
    return random_view(pixels, preprocess, how, rng), target


@dataclass(frozen=True, slots=True)
class Place:
    """The part of an image that a view shows: a box (left, top, right, bottom) in pixels, perhaps mirrored."""

    box: tuple[float, float, float, float]
    mirrored: bool


def random_view(pixels: Pixels, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """Return a random crop of `pixels` (h, w, C), resized to (H, W, C) and mirrored with probability 0.5."""
    return seen(pixels, preprocess, drawn(pixels, preprocess, how, rng))


def drawn(pixels: Pixels, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator) -> Place:
    """Return the place of a random view of `pixels` (h, w, C)."""
    area, stretch, x, y, mirror = rng.random(DRAWS)
    box = _random_box(pixels.shape[1], pixels.shape[0], preprocess, how, area, stretch, x, y)
    return Place(box, bool(how.flip and mirror < 0.5))


def skip_view(rng: np.random.Generator) -> None:
    """Draw the random numbers of a view that nobody looks at."""
    rng.random(DRAWS)


def seen(pixels: Pixels, preprocess: Preprocess, place: Place) -> Pixels:
    """Return the view of `pixels` at `place`, (H, W, C)."""
    view = crop_resize(as_image(pixels), preprocess, place.box)
    return view[:, ::-1] if place.mirrored else view


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
    """Return a box of random area, aspect ratio (around that of evaluation) and position.

    `area`, `stretch`, `x` and `y` are random numbers in [0, 1).
    """
    pixels = (how.min_area + (1 - how.min_area) * area) * width * height
    shape = preprocess.width / preprocess.height if preprocess.fit == "crop" else width / height
    ratio = shape * how.max_stretch ** (2 * stretch - 1)
    w, h = min(width, (pixels * ratio) ** 0.5), min(height, (pixels / ratio) ** 0.5)
    left, top = x * (width - w), y * (height - h)
    return left, top, min(width, left + w), min(height, top + h)


def random_colours(count: int, channels: int, how: Augmentation, rng: np.random.Generator) -> Colour:
    """Return random changes of contrast about mid-grey, white balance and brightness for `count` images."""
    contrast, brightness = how.colour * (2 * rng.random((2, count, 1), np.float32) - 1)
    balance = how.colour / 2 * (2 * rng.random((count, channels), np.float32) - 1)
    balance -= balance.mean(axis=1, keepdims=True)  # grey images have one channel: their balance is 0
    gain = (1 + contrast) * (1 + balance)
    return Colour(gain.astype(np.float32), np.broadcast_to(brightness, gain.shape).astype(np.float32))

"""Represent boxes as fractions of the image, crop them with it, and compare two annotations."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.augment import Augmentation, drawn, seen
from ...image import Pixels, Preprocess, Size

__all__ = ["Boxes", "agree", "overlaps", "view"]

Array = np.ndarray[Any, np.dtype[Any]]

_SAME = 0.5  # least intersection over union of two boxes of the same object, as in evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """The boxes of one image. `edges` (K, 4) float32: left, top, right, bottom as fractions of its width and height."""

    edges: Array
    labels: Array  # (K,) int64, indices of classes
    ignored: Array  # (K,) bool: crowds and difficult objects, which are neither trained nor scored
    size: Size

    def text(self) -> str:
        """Return a text that is equal if and only if the boxes are: for fingerprints and duplicate images."""
        content = b"".join(array.tobytes() for array in (self.edges, self.labels, self.ignored))
        return f"{len(self.labels)} boxes, {hashlib.sha256(content).hexdigest()[:12]}"


def agree(one: Boxes, other: Boxes) -> bool:
    """Return whether two annotations of an image differ by annotation noise alone.

    That is the case if they have the same number of boxes of each class, and a matching with an intersection over union
    of at least 0.5 for each pair.
    """
    from scipy.optimize import linear_sum_assignment

    if sorted(one.labels.tolist()) != sorted(other.labels.tolist()):
        return False
    same = (overlaps(one.edges, other.edges) >= _SAME) & (one.labels[:, None] == other.labels)
    return bool(same[linear_sum_assignment(same, maximize=True)].all())


def overlaps(one: Array, other: Array) -> Array:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4): left, top, right, bottom."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a, b)]
    shares: Array = shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(np.float64).tiny)
    return shares


def view(
    pixels: Pixels, target: Boxes, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator
) -> tuple[Pixels, Boxes]:
    """Return a random crop of the image, possibly mirrored, with the boxes whose centre it contains, clipped to it."""
    place = drawn(pixels, preprocess, how, rng)
    height, width = pixels.shape[:2]
    left, top, right, bottom = place.box
    corner = np.array((left / width, top / height) * 2)
    edges = (target.edges - corner) / np.array(((right - left) / width, (bottom - top) / height) * 2)
    if place.mirrored:
        edges = np.stack([1 - edges[:, 2], edges[:, 1], 1 - edges[:, 0], edges[:, 3]], 1)
    centres = (edges[:, :2] + edges[:, 2:]) / 2
    held = ((centres > 0) & (centres < 1)).all(1)
    cut = np.clip(edges[held], 0, 1).astype(np.float32)
    return seen(pixels, preprocess, place), Boxes(cut, target.labels[held], target.ignored[held], target.size)

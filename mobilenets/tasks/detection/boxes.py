"""Boxes as a detector learns them: as fractions of the image, in a random view of it, beside a second annotation."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.augment import Augmentation, drawn, seen
from ...image import Pixels, Preprocess
from .frame import Size

__all__ = ["Boxes", "agree", "overlaps", "view"]

Array = np.ndarray[Any, np.dtype[Any]]

_SAME = 0.5  # intersection over union from which two boxes are of one thing, as evaluation counts it


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """The boxes of one image. `edges` (K, 4) float32: left, top, right, bottom as fractions of its width and height."""

    edges: Array
    labels: Array  # (K,) int64, indices of classes
    ignored: Array  # (K,) bool: crowds and what is too difficult; finding them is neither right nor wrong
    size: Size

    def text(self) -> str:
        """Equal where the boxes are: for fingerprints, and for images that are there with two annotations."""
        content = b"".join(array.tobytes() for array in (self.edges, self.labels, self.ignored))
        return f"{len(self.labels)} boxes, {hashlib.sha256(content).hexdigest()[:12]}"


def agree(one: Boxes, other: Boxes) -> bool:
    """Tell whether two annotations of one image differ by scatter alone: as many boxes of each class, which can be
    paired so that each overlaps its partner by half or more.
    """
    from scipy.optimize import linear_sum_assignment

    if sorted(one.labels.tolist()) != sorted(other.labels.tolist()):
        return False
    same = (overlaps(one.edges, other.edges) >= _SAME) & (one.labels[:, None] == other.labels)
    return bool(same[linear_sum_assignment(same, maximize=True)].all())


def overlaps(one: Array, other: Array) -> Array:
    """Intersection over union, (N, M), of boxes (N, 4) and (M, 4): left, top, right, bottom."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a, b)]
    shares: Array = shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(np.float64).tiny)
    return shares


def view(
    pixels: Pixels, target: Boxes, preprocess: Preprocess, how: Augmentation, rng: np.random.Generator
) -> tuple[Pixels, Boxes]:
    """A random crop of the image, perhaps mirrored, with the boxes whose centre it holds, cut at its edges."""
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

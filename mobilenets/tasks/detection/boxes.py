"""Boxes as a data set states them: checked, and as a random view of the image has them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...data.augment import Augmentation, drawn, seen
from ...data.rows import Listing, listed
from ...errors import DataError, ImageError
from ...image import Pixels, Preprocess, upright_size

__all__ = ["Annotations", "Box", "Boxes", "Size", "finite", "found_size", "gathered", "same_size", "view"]

Array = np.ndarray[Any, np.dtype[Any]]
Size = tuple[int, int]  # (width, height) of the upright image, in pixels

_SLACK = 1.0  # pixels that an edge may lie outside: programs count pixels from 0 or 1, and round
_MOST_BAD = 0.01  # of all boxes: published sets have a few without size (BCCD has 2 in 4,888)


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


@dataclass(frozen=True, slots=True)
class Box:
    """One box as it stands in a file. `edges`: left, top, right, bottom in pixels."""

    where: str  # file and line, or file and annotation: for errors
    label: int
    edges: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(slots=True)
class Annotations:
    """What a reader hands on: images, the boxes and the size of each, the names of the classes."""

    labels: tuple[str, ...]
    listing: Listing
    boxes: list[list[Box]] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)


def gathered(root: Path, annotations: Annotations) -> list[Boxes]:
    """The target of every image. A box without size, or that leaves its image, is left out and noted, as long as they
    are few; `DataError` names the first where they are not, and any whose edges are no numbers.
    """
    bad: list[str] = []
    targets = [_boxes(boxes, size, bad) for boxes, size in zip(annotations.boxes, annotations.sizes, strict=True)]
    count = sum(map(len, annotations.boxes))
    if not count - len(bad):
        raise DataError(bad[0] if bad else f"{root}: holds no box")
    if len(bad) > _MOST_BAD * count:
        others = f" (and {len(bad) - 1} others of {count} boxes)" if len(bad) > 1 else ""
        raise DataError(f"{bad[0]}{others}")
    if bad:
        annotations.listing.notes.append(f"{len(bad)} of {count} boxes left out: {listed(bad)}")
    return targets


def _boxes(boxes: Sequence[Box], size: Size, bad: list[str]) -> Boxes:
    kept = []
    for box in boxes:
        problem = _problem(box.edges, size)
        if problem:
            bad.append(f"{box.where}: box {_shown(box.edges)} {problem}")
        else:
            kept.append(box)
    width, height = size
    edges = np.array([box.edges for box in kept], np.float64).reshape(-1, 4) / (width, height, width, height)
    return Boxes(
        edges=np.clip(edges, 0, 1).astype(np.float32),
        labels=np.array([box.label for box in kept], np.int64),
        ignored=np.array([box.ignored for box in kept], bool),
        size=size,
    )


def _problem(edges: tuple[float, float, float, float], size: Size) -> str | None:
    left, top, right, bottom = edges
    width, height = size
    if right <= left or bottom <= top:
        return "has no size: right must be above left, bottom above top"
    if min(left, top) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK:
        return f"leaves its image of {width}x{height} pixels"
    return "lies on the image's edge, outside" if min(right, bottom) <= 0 or left >= width or top >= height else None


def finite(values: Sequence[object], where: str) -> tuple[float, ...]:
    """Numbers from a file; `DataError` says `where` one is none."""
    try:
        numbers = tuple(float(value) for value in values)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)) or any(isinstance(value, bool) for value in values):
        raise DataError(f"{where}: box ({', '.join(map(str, values))}) must be finite numbers")
    return numbers


def _shown(edges: Sequence[float]) -> str:
    return f"({', '.join(f'{edge:g}' for edge in edges)})"


def found_size(image: Path) -> Size | None:
    """What the image itself says; None where it cannot be read, which is told where it is decoded."""
    try:
        return upright_size(image)
    except ImageError:
        return None


def same_size(declared: Size | None, found: Size | None, where: str, image: str) -> Size:
    """The size of an image, of which a file says `declared` and the image itself `found` (None: unreadable)."""
    if declared and found and declared != found:
        sizes = "{}x{}".format(*declared), "{}x{}".format(*found)
        raise DataError(f"{where}: size {sizes[0]} is not that of {image}, which has {sizes[1]} pixels upright")
    if not (declared or found):
        raise DataError(f"{where}: nothing tells the size of {image}, which cannot be read")
    return declared or found  # type: ignore[return-value]


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

"""Boxes as a data set states them, checked against their images: sizes, edges, and which way the image is turned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...data.labels import clean
from ...data.parallel import ordered
from ...data.rows import Listing, Row, listed
from ...errors import DataError, printable
from ...image import read
from .boxes import Boxes
from .frame import LYING, Edges, Size, found_size, orientation, problem, turned

__all__ = ["Annotations", "Box", "Photo", "finite", "gathered"]

_MOST_BAD = 0.01  # of all boxes, of all images: published sets have a few (BCCD has 2 boxes without size in 4,888)
_TOLD = {
    "zero": "{} annotations say a size of 0, that of the image is taken (first: {})",
    "turned": "{} images are turned by EXIF and annotated as they are stored, boxes are turned with them (first: {})",
    "exchanged": "{} annotations exchange width and height, the boxes are taken as they are (first: {})",
}


@dataclass(frozen=True, slots=True)
class Box:
    """One box as it stands in a file. `edges`: left, top, right, bottom in pixels."""

    where: str  # file and line, or file and annotation: for errors
    label: int
    edges: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Photo:
    """An image and what a file says of it."""

    path: Path
    name: str  # as the user would call it
    split: str | None
    where: str  # the file, and the image in it: for errors
    boxes: list[Box]
    declared: Size | None = None  # None where nothing is said of its size


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a reader hands on. `notes`: what the user should know, a line each."""

    labels: tuple[str, ...]
    photos: list[Photo]
    notes: list[str] = field(default_factory=list)
    fractions: bool = False  # edges are fractions of the upright image, not pixels


@dataclass(frozen=True, slots=True)
class _Frame:
    """The upright image that boxes lie in."""

    size: Size
    turned: int = 1  # the EXIF orientation that boxes have not followed yet
    told: str = ""  # a key of _TOLD
    wrong: str = ""  # why the boxes cannot be placed
    readable: bool = True


def gathered(root: Path, annotations: Annotations) -> tuple[Listing, list[Boxes]]:
    """The images and the target of each. A box without size, or that leaves its image, is left out and noted, as long
    as they are few, and so is an image of another size than its annotation says; `DataError` names the first where
    they are not.
    """
    if not annotations.photos:
        raise DataError(f"{root}: holds no image")
    for name in annotations.labels:
        clean(name, str(root))
    sizes = ordered(found_size, [photo.path for photo in annotations.photos])
    frames = [_frame(photo, size) for photo, size in zip(annotations.photos, sizes, strict=True)]
    placed = [(photo, frame) for photo, frame in zip(annotations.photos, frames, strict=True) if not frame.wrong]
    listing = Listing([], annotations.labels, notes=[*annotations.notes, *_told(annotations.photos, frames)])
    _few("images", [frame.wrong for frame in frames if frame.wrong], len(frames), listing.notes)
    bad: list[str] = []
    boxes = [_in_pixels(photo.boxes, frame, annotations.fractions) for photo, frame in placed]
    targets = [_boxes(own, frame.size, bad) for own, (_, frame) in zip(boxes, placed, strict=True)]
    count = len(bad) + sum(len(target.labels) for target in targets)
    if not count - len(bad):
        raise DataError(bad[0] if bad else f"{root}: holds no box")
    _few("boxes", bad, count, listing.notes)
    listing.rows += [Row(photo.name, photo.split, "", partial(read, photo.path)) for photo, _ in placed]
    return listing, targets


def _few(noun: str, bad: list[str], count: int, notes: list[str]) -> None:
    """A note on what is left out; `DataError` where it is more than a few of `count`."""
    if len(bad) > _MOST_BAD * count:
        others = f" (and {len(bad) - 1} others of {count} {noun})" if len(bad) > 1 else ""
        raise DataError(f"{bad[0]}{others}")
    if bad:
        notes.append(f"{len(bad)} of {count} {noun} left out: {listed(bad)}")


def _frame(photo: Photo, found: Size | None) -> _Frame:
    """Which image the boxes of a photo lie in; `found` is its own upright size, None where it cannot be read."""
    declared = photo.declared if photo.declared and min(photo.declared) > 0 else None
    if found is None:
        return _Frame(declared or (1, 1), readable=declared is not None)
    if declared is None or declared == found:
        return _Frame(found, told="zero" if photo.declared and not declared else "")
    if declared == found[::-1]:
        how = orientation(photo.path)
        if how in LYING:
            return _Frame(found, how, "turned")
        if not any(problem(box.edges, found) for box in photo.boxes):
            return _Frame(found, told="exchanged")
    sizes = "{}x{}".format(*declared), "{}x{}".format(*found)
    wrong = f"{photo.where}: size {sizes[0]} is not that of {photo.name}, which has {sizes[1]} pixels upright"
    return _Frame(found, wrong=wrong)


def _told(photos: Sequence[Photo], frames: Sequence[_Frame]) -> list[str]:
    notes = []
    for key, text in _TOLD.items():
        names = [photo.name for photo, frame in zip(photos, frames, strict=True) if frame.told == key]
        if names:
            notes.append(text.format(len(names), names[0]))
    return notes


def _in_pixels(boxes: Sequence[Box], frame: _Frame, fractions: bool) -> list[Box]:
    """The boxes in pixels of the upright image; none where it cannot be read, which decoding tells."""
    if not frame.readable:
        return []
    width, height = frame.size
    if fractions:
        return [replace(box, edges=_times(box.edges, width, height)) for box in boxes]
    if frame.turned == 1:
        return list(boxes)
    return [replace(box, edges=turned(box.edges, frame.size, frame.turned)) for box in boxes]


def _times(edges: Edges, width: int, height: int) -> Edges:
    left, top, right, bottom = edges
    return left * width, top * height, right * width, bottom * height


def _boxes(boxes: Sequence[Box], size: Size, bad: list[str]) -> Boxes:
    kept = []
    for box in boxes:
        if wrong := problem(box.edges, size):
            bad.append(f"{box.where}: box {_shown(box.edges)} {wrong}")
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


def finite(values: Sequence[object], where: str) -> tuple[float, ...]:
    """Numbers from a file; `DataError` says `where` one is none."""
    try:
        numbers = tuple(float(value) for value in values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)) or any(isinstance(value, bool) for value in values):
        told = ", ".join(printable(" ".join(str(value).split()))[:40] for value in values[:4])
        raise DataError(f"{where}: box ({told}) must be finite numbers")
    return numbers


def _shown(edges: Sequence[float]) -> str:
    return f"({', '.join(f'{edge:g}' for edge in edges)})"

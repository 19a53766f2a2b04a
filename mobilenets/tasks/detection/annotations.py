"""Check the boxes of a data set against their images: image sizes, box edges and EXIF orientation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...data.labels import clean
from ...data.parallel import ordered
from ...data.rows import Listing, Row
from ...errors import DataError, printable
from ...image import Size, read
from ...text import listed
from .boxes import Boxes
from .frame import LYING, Edges, found_size, orientation, problem, turned

__all__ = ["Annotations", "Box", "Photo", "finite", "gathered"]

_MOST_BAD = 0.01  # share of boxes and of images; published sets have a few (BCCD: 2 boxes without size of 4,888)
_NOTES = {
    "zero": "{} annotations state a size of 0, the size of the image is used (first: {})",
    "turned": "{} images are annotated before EXIF rotation, their boxes are rotated with them (first: {})",
    "exchanged": "{} annotations exchange width and height, their boxes are used as they are (first: {})",
}


@dataclass(frozen=True, slots=True)
class Box:
    """One box in a file. `edges` are left, top, right, bottom in pixels."""

    where: str  # file and line, or file and annotation, for errors
    label: int
    edges: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Photo:
    """An image and its annotation."""

    path: Path
    name: str  # in messages
    split: str | None
    where: str  # file and image, for errors
    boxes: list[Box]
    declared: Size | None = None  # the image size in the annotation, if any


@dataclass(frozen=True, slots=True)
class Annotations:
    """The result of a reader. `notes` are messages for the user, one line each."""

    labels: tuple[str, ...]
    photos: list[Photo]
    notes: list[str] = field(default_factory=list)
    fractions: bool = False  # whether edges are fractions of the upright image instead of pixels


@dataclass(frozen=True, slots=True)
class _Frame:
    """The upright image that boxes refer to."""

    size: Size
    turned: int = 1  # the EXIF orientation to apply to the boxes
    note: str = ""  # a key of _NOTES
    wrong: str = ""  # why the boxes cannot be used
    readable: bool = True


def gathered(root: Path, annotations: Annotations) -> tuple[Listing, list[Boxes]]:
    """Return the images and the target of each.

    Boxes without area or outside of their image are left out with a note, and so are images whose size differs from the
    annotation. Raises `DataError` with the first if they are more than 1%.
    """
    if not annotations.photos:
        raise DataError(f"{root}: has no image")
    for name in annotations.labels:
        clean(name, str(root))
    sizes = ordered(found_size, [photo.path for photo in annotations.photos])
    frames = [_frame(photo, size) for photo, size in zip(annotations.photos, sizes, strict=True)]
    placed = [(photo, frame) for photo, frame in zip(annotations.photos, frames, strict=True) if not frame.wrong]
    listing = Listing([], annotations.labels, notes=[*annotations.notes, *_notes(annotations.photos, frames)])
    _few("images", [frame.wrong for frame in frames if frame.wrong], len(frames), listing.notes)
    bad: list[str] = []
    boxes = [_in_pixels(photo.boxes, frame, annotations.fractions) for photo, frame in placed]
    targets = [_boxes(own, frame.size, bad) for own, (_, frame) in zip(boxes, placed, strict=True)]
    count = len(bad) + sum(len(target.labels) for target in targets)
    if not count - len(bad):
        raise DataError(bad[0] if bad else f"{root}: has no box")
    _few("boxes", bad, count, listing.notes)
    listing.rows += [Row(photo.name, photo.split, "", partial(read, photo.path)) for photo, _ in placed]
    return listing, targets


def _few(noun: str, bad: list[str], count: int, notes: list[str]) -> None:
    """Append a note on what is left out; raise `DataError` if it is more than `_MOST_BAD` of `count`."""
    if len(bad) > _MOST_BAD * count:
        others = f" (and {len(bad) - 1} others of {count} {noun})" if len(bad) > 1 else ""
        raise DataError(f"{bad[0]}{others}")
    if bad:
        notes.append(f"{len(bad)} of {count} {noun} left out: {listed(bad)}")


def _frame(photo: Photo, found: Size | None) -> _Frame:
    """Return the frame of a photo's boxes; `found` is the upright size of the image, None if it cannot be read."""
    declared = photo.declared if photo.declared and min(photo.declared) > 0 else None
    if found is None:
        return _Frame(declared or (1, 1), readable=declared is not None)
    if declared is None or declared == found:
        return _Frame(found, note="zero" if photo.declared and not declared else "")
    if declared == found[::-1]:
        how = orientation(photo.path)
        if how in LYING:
            return _Frame(found, how, "turned")
        if not any(problem(box.edges, found) for box in photo.boxes):
            return _Frame(found, note="exchanged")
    sizes = "{}x{}".format(*declared), "{}x{}".format(*found)
    wrong = f"{photo.where}: size {sizes[0]} must be that of {photo.name}, {sizes[1]} pixels upright"
    return _Frame(found, wrong=wrong)


def _notes(photos: Sequence[Photo], frames: Sequence[_Frame]) -> list[str]:
    notes = []
    for key, text in _NOTES.items():
        names = [photo.name for photo, frame in zip(photos, frames, strict=True) if frame.note == key]
        if names:
            notes.append(text.format(len(names), names[0]))
    return notes


def _in_pixels(boxes: Sequence[Box], frame: _Frame, fractions: bool) -> list[Box]:
    """Return the boxes in pixels of the upright image, or none if it cannot be read, which decoding reports."""
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
    """Return numbers from a file; raise `DataError` with `where` if one is not a finite number."""
    try:
        numbers = tuple(float(value) for value in values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)) or any(isinstance(value, bool) for value in values):
        text = ", ".join(printable(" ".join(str(value).split()))[:40] for value in values[:4])
        raise DataError(f"{where}: box ({text}) must be finite numbers")
    return numbers


def _shown(edges: Sequence[float]) -> str:
    return f"({', '.join(f'{edge:g}' for edge in edges)})"

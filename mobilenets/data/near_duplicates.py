"""Photos that are there twice though their files differ: encoded anew, resized, saved by another program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..image import Pixels, decode
from .parallel import ordered
from .rows import listed
from .sources import Dataset, Sample

__all__ = ["NearDuplicate", "near_duplicates", "note_on"]

SIDE = 16  # pixels of a thumbnail
SAME = 0.997  # correlation of two thumbnails that are one picture: encoded anew and resized they reach 0.998
EDITED = 0.975  # where images lie far apart, as photos of many scenes do: with other contrast, colours or frame
APART = 0.5  # of the median distance to the nearest: nearer is one picture, between these two bounds
NEAREST = 8  # of each image that are compared: of many that are all alike, as frames of a film, not every pair is told
COMPONENTS = 16  # principal ones, in which candidates are looked for
BASIS = 2000  # thumbnails that these, and the median, come from, at most
_BLOCK = 4096

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two samples that show one picture, and their splits: two splits, or one and two classes."""

    splits: tuple[str, str]
    samples: tuple[Sample, Sample]

    @property
    def across(self) -> bool:
        return self.splits[0] != self.splits[1]


def near_duplicates(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> tuple[NearDuplicate, ...]:
    """Return the pairs of images of two splits, and of two classes, that show one picture, the most alike first.

    They do where their thumbnails (16 x 16 pixels, colour) correlate at 0.997 or more, down to 0.975 where other images
    of the set are less alike. Decodes every image once, small; what cannot be decoded, and what is of one colour, is
    in no pair. `progress` gets (images done, images in all).
    """
    rows = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    kept, thumbnails = [], []
    for done, (row, found) in enumerate(zip(rows, ordered(_thumbnail, [s for _, s in rows]), strict=True), 1):
        if found is not None:
            kept.append(row)
            thumbnails.append(found)
        if progress:
            progress(done, len(rows))
    if not kept:
        return ()
    pairs = [NearDuplicate((kept[a][0], kept[b][0]), (kept[a][1], kept[b][1])) for a, b in _alike(np.stack(thumbnails))]
    return tuple(pair for pair in pairs if pair.across or _contradict(*pair.samples))


def note_on(pairs: Sequence[NearDuplicate], most: int = 3) -> str:
    """Return one line for the console; "" where there is nothing to say."""
    across = [pair for pair in pairs if pair.across]
    labels = [pair for pair in pairs if not pair.across]
    parts = []
    for found, what in ((across, "in two splits"), (labels, "with two labels")):
        if found:
            names = [f"{a.name} ~ {b.name}" for a, b in (pair.samples for pair in found)]
            parts.append(f"{len(found)} nearly equal pair{'s' if len(found) > 1 else ''} {what}: {listed(names, most)}")
    return "; ".join(parts)


def _contradict(a: Sample, b: Sample) -> bool:
    """Tell whether two samples have two classes; of boxes, places and attributes nearly equal is equal."""
    classes = [s.target for s in (a, b) if isinstance(s.target, int) and s.target >= 0]  # below 0: without a label
    return len(set(classes)) == 2


def _thumbnail(sample: Sample) -> Pixels | None:
    try:
        image = decode(sample.read(), 3, at_least=(2 * SIDE, 2 * SIDE))
    except ImageError:
        return None
    pixels: Pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).reshape(-1, 3)
    return pixels if np.ptp(pixels, axis=0).any() else None


def _alike(thumbnails: Pixels) -> list[tuple[int, int]]:
    """The pairs of thumbnails (N, pixels, 3) that correlate, the most alike first.

    Looked for among the nearest in a few principal components, where none are farther apart than they are.
    """
    from scipy.spatial import cKDTree

    basis = _unit(thumbnails[:: -(-len(thumbnails) // BASIS)])
    _, _, axes = np.linalg.svd(basis, full_matrices=False)
    axes = axes[:COMPONENTS].T
    parts = [_unit(thumbnails[at : at + _BLOCK]) @ axes for at in range(0, len(thumbnails), _BLOCK)]
    tree = cKDTree(np.concatenate(parts))
    some = tree.data[:: -(-tree.n // BASIS)]
    typical = float(np.median(tree.query(some, 2)[0][:, 1])) if tree.n > 1 else 0.0
    far = min(max(_distance(SAME), APART * typical), _distance(EDITED))
    _, others = tree.query(tree.data, NEAREST + 1, distance_upper_bound=far + 1e-5)  # itself among them
    found = np.stack([np.repeat(np.arange(tree.n), NEAREST + 1), others.reshape(-1)], axis=1)
    pairs = np.unique(np.sort(found[found[:, 1] < tree.n], axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    apart = np.array([float(np.linalg.norm(_unit(thumbnails[[a]]) - _unit(thumbnails[[b]]))) for a, b in pairs])
    return [(int(pairs[at, 0]), int(pairs[at, 1])) for at in np.argsort(apart, kind="stable") if apart[at] <= far]


def _distance(correlation: float) -> float:
    """Between vectors of length 1."""
    return float((2 * (1 - correlation)) ** 0.5)


def _unit(thumbnails: Pixels) -> Floats:
    """(N, pixels, 3) as (N, values) of length 1, each colour of mean 0."""
    values = thumbnails.astype(np.float32)
    values = (values - values.mean(1, keepdims=True)).reshape(len(values), -1)
    unit: Floats = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit

"""Find near-duplicates: photos in two different files, re-encoded, resized or saved by another program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import Floats
from ..errors import ImageError
from ..image import Pixels, decode
from ..text import listed
from .parallel import ordered
from .sources import Dataset, Sample

__all__ = ["NearDuplicate", "near_duplicates", "note_on"]

SIDE = 16  # side of a thumbnail, in pixels
SAME = 0.997  # least correlation of near-duplicates; re-encoded and resized photos reach 0.998
EDITED = 0.975  # lowest bound, used if the other images are far apart: other contrast, colours or frame
APART = 0.5  # bound as a share of the median distance to the nearest image, between the two bounds above
NEAREST = 8  # neighbours compared per image: of many similar images, such as film frames, not all pairs are reported
COMPONENTS = 16  # principal components in which candidates are searched
BASIS = 2000  # most thumbnails from which the components and the median are computed
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two samples that show the same picture, in two splits, or in one split with two classes."""

    splits: tuple[str, str]
    samples: tuple[Sample, Sample]

    @property
    def across(self) -> bool:
        """Return whether the samples are in different splits."""
        return self.splits[0] != self.splits[1]

    def to_dict(self) -> dict[str, Any]:
        """Return the names and splits of both images, for `--json`."""
        return {"images": [sample.name for sample in self.samples], "splits": list(self.splits)}


def near_duplicates(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> tuple[NearDuplicate, ...]:
    """Return the near-duplicates in two splits, and those with two classes, the most similar first.

    Two images are near-duplicates if their thumbnails (16 x 16 pixels, RGB) correlate at 0.997 or more, or down to
    0.975 if the other images of the set are less similar. Every image is decoded once, at a small size; images that
    cannot be decoded or have a single colour are ignored. `progress` is called with (images done, total).
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
    """Return one line for the console, or "" without pairs."""
    across = [pair for pair in pairs if pair.across]
    labels = [pair for pair in pairs if not pair.across]
    parts = []
    for found, what in ((across, "in two splits"), (labels, "with two labels")):
        if found:
            names = [f"{a.name} ~ {b.name}" for a, b in (pair.samples for pair in found)]
            parts.append(f"{len(found)} near-duplicate{'s' if len(found) > 1 else ''} {what}: {listed(names, most)}")
    return "; ".join(parts)


def _contradict(a: Sample, b: Sample) -> bool:
    """Return whether two samples have different classes; other targets (boxes, locations) are not compared."""
    classes = [s.target for s in (a, b) if isinstance(s.target, int) and s.target >= 0]  # below 0: unlabelled
    return len(set(classes)) == 2


def _thumbnail(sample: Sample) -> Pixels | None:
    try:
        image = decode(sample.read(), 3, at_least=(2 * SIDE, 2 * SIDE))
    except ImageError:
        return None
    pixels: Pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).reshape(-1, 3)
    return pixels if np.ptp(pixels, axis=0).any() else None


def _alike(thumbnails: Pixels) -> list[tuple[int, int]]:
    """Return the pairs of thumbnails (N, pixels, 3) that are near-duplicates, the most similar first.

    Candidates are the nearest neighbours in a few principal components, where distances are never larger.
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
    _, others = tree.query(tree.data, NEAREST + 1, distance_upper_bound=far + 1e-5)  # includes the image itself
    found = np.stack([np.repeat(np.arange(tree.n), NEAREST + 1), others.reshape(-1)], axis=1)
    pairs = np.unique(np.sort(found[found[:, 1] < tree.n], axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    apart = np.array([float(np.linalg.norm(_unit(thumbnails[[a]]) - _unit(thumbnails[[b]]))) for a, b in pairs])
    return [(int(pairs[at, 0]), int(pairs[at, 1])) for at in np.argsort(apart, kind="stable") if apart[at] <= far]


def _distance(correlation: float) -> float:
    """Return the distance of two unit vectors with this correlation."""
    return float((2 * (1 - correlation)) ** 0.5)


def _unit(thumbnails: Pixels) -> Floats:
    """Return (N, pixels, 3) as (N, values) unit vectors, with zero mean in each colour."""
    values = thumbnails.astype(np.float32)
    values = (values - values.mean(1, keepdims=True)).reshape(len(values), -1)
    unit: Floats = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit

"""Open labelled images in any of the usual layouts as one `Dataset`. Files are only read.

The layouts are a folder per class, with or without train/, val/, test/ (classes.py), a CSV file (table.py), also as a
folder's metadata.csv (metadata.py), Parquet in the Hugging Face image layout (parquet.py), and .tar shards (shards.py).
A reader lists rows. This module adds their class index (labels.py), content hash (contents.py) and split (split.py),
and rejects data that would make a score invalid (checks.py).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, ImageError, UsageError, printable
from ..folders import visible
from ..image import decode
from ..text import listed
from .blank import check_pixels
from .checks import check_classes, check_labels, check_overlap, same_content
from .classes import list_folder
from .contents import Digest, fingerprint, hash_all, unreadable_first
from .dogs import is_dogs, list_dogs
from .folder import holds_images, unread
from .labels import class_names, indices, read_names
from .metadata import list_metadata, metadata_of
from .parallel import ordered
from .parquet import list_parquet
from .rows import Listing, Row
from .shards import list_shards
from .split import split_by_content
from .table import ENDINGS, list_csv
from .trees import hint_of_folder

__all__ = ["Dataset", "Sample", "assemble", "in_colour", "list_images", "open_dataset", "typical_short_side"]

_GREY = 8  # of 256: largest difference between the channels of a grey pixel


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, not yet read."""

    name: str  # a path relative to the root, 'train.parquet[12]' or 'shard-0.tar:key.jpg'
    target: Any  # the training target: a class index into Dataset.labels, or as the task defines it
    read: Callable[[], bytes]  # raises ImageError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images in the splits "train", "val" and optionally "test", or all in "all"."""

    root: Path
    labels: tuple[str, ...]
    splits: dict[str, tuple[Sample, ...]]
    fingerprint: str  # SHA-256 of split, label and content of all images: independent of order, names and paths
    notes: tuple[str, ...]  # messages for the user, one line each
    head_config: dict[str, Any] = field(default_factory=dict)  # settings of the head that follow from the data
    decoded: Path | None = None  # the folder in which decoded images are kept for several processes, see shared.py


def open_dataset(
    path: str | Path, val_fraction: float | None = 0.1, workers: int = 0, max_bad: float = 0.01
) -> Dataset:
    """Open the data set at `path`; raise `DataError` for what is missing or contradictory.

    Without a val split, about `val_fraction` of train becomes val, chosen by content hash. With `val_fraction` None,
    every image is in "all". A `labels.txt` in the folder, one name per line, sets the names and order of the classes;
    otherwise the source does, otherwise they are sorted. All files are read once, by `workers` threads (0: one per
    core); unreadable files remain samples. At most the fraction `max_bad` of a split may have two labels.
    """
    root = Path(path)
    listing = list_images(root)
    declared = read_names(root if root.is_dir() else root.parent)
    if declared and listing.names and listing.ordered and listing.names != declared:
        raise DataError(
            f"{root}: labels.txt disagrees with the names or their order in the data: {listed(listing.names, 8)}"
        )
    names = class_names(listing, declared)
    labels = indices(listing, names, declared is not None or listing.names is not None)
    if len(names) < 2:
        tables = sorted(root.glob("*.csv")) if root.is_dir() else []
        hint = f"; did you mean {tables[0]}, perhaps with --task attributes or geolocate?" if tables else ""
        raise DataError(f"{root}: {names[0]!r} is the only class, at least two are needed{hint}")
    target_texts = [names[label] for label in labels]
    return assemble(
        root, listing, names, labels, target_texts, val_fraction, classes=labels, workers=workers, max_bad=max_bad
    )


def assemble(
    root: Path,
    listing: Listing,
    labels: tuple[str, ...],
    targets: Sequence[Any],
    target_texts: Sequence[str],
    val_fraction: float | None,
    *,
    classes: Sequence[int] | None = None,
    head_config: dict[str, Any] | None = None,
    workers: int = 0,
    max_bad: float = 0.01,
    agree: Callable[[int, int], bool] | None = None,
) -> Dataset:
    """Return the data set of the listed rows with `targets` of any type, after hashing, splitting and checking.

    `target_texts` are equal if and only if the targets are: for the fingerprint, and to find images with two targets.
    These may be at most the fraction `max_bad` of a split, except for pairs that `agree` (see `check_labels`).
    `classes` are class indices by which val is stratified and checked for completeness.
    """
    if val_fraction is not None and not 0 < val_fraction < 1:
        raise UsageError(f"val_fraction (={val_fraction!r}) must be above 0 and below 1")
    rows = _checked(root, listing).rows
    contents = hash_all([row.read for row in rows], workers)
    groups = same_content(contents)
    with unreadable_first(root, rows, contents):
        splits, notes = _splits(root, rows, classes or [0] * len(rows), contents, val_fraction)
        if val_fraction is not None and classes is not None:
            notes += check_classes(root, classes, splits, labels)
        notes += check_labels(root, rows, target_texts, splits, groups, max_bad, agree)
        notes += check_overlap(root, rows, target_texts, splits, groups)
    notes += check_pixels(rows)
    notes += unread(row.name for row in rows)  # that a list names
    return Dataset(
        root=root,
        labels=labels,
        splits=_samples(rows, targets, splits),
        fingerprint=fingerprint(zip(splits, target_texts, contents, strict=True)),
        notes=(*listing.notes, *notes),
        head_config=head_config or {},
    )


def typical_short_side(dataset: Dataset) -> int:
    """Return the median short side, in pixels, of about 50 images of train; raise `DataError` if none decodes."""
    train = dataset.splits["train"]
    sides = sorted(side for side in ordered(_short_side, train[:: -(-len(train) // 50)]) if side)
    if not sides:
        raise DataError(f"{dataset.root}: none of the images tried can be decoded, such as {train[0].name}")
    return sides[len(sides) // 2]


def _short_side(sample: Sample) -> int:
    try:
        return min(decode(sample.read()).size)
    except ImageError:
        return 0


def in_colour(dataset: Dataset) -> bool:
    """Return whether any of about 20 images of train has a coloured pixel, beyond the noise of JPEG."""
    train = dataset.splits["train"]
    return any(ordered(_in_colour, train[:: -(-len(train) // 20)]))


def _in_colour(sample: Sample) -> bool:
    try:
        return bool((np.ptp(np.asarray(decode(sample.read(), at_least=(32, 32))), axis=2) > _GREY).any())
    except ImageError:
        return False


def list_images(path: Path) -> Listing:
    """Return the rows at `path`, in any layout with one label per image."""
    if path.is_dir() and is_dogs(path):
        return list_dogs(path)
    if path.is_dir():
        tables, shards = _packed(path)
        if tables:
            return _checked(path, list_parquet(path, tables))
        if shards:
            return _checked(path, list_shards(path, shards))
        return _checked(path, list_metadata(path, files) if (files := metadata_of(path)) else _folder(path))
    if not path.is_file():
        if url := re.match(r"[A-Za-z][\w+.-]+:/", str(path)):
            raise DataError(f"{url[0]}/{str(path)[url.end() :]}: is a URL, data must be local files: download it first")
        raise DataError(f"{path}: {'is neither a file nor a folder' if path.exists() else 'no such file or folder'}")
    if path.suffix.lower() in ENDINGS:
        return _checked(path, list_csv(path))
    if path.suffix.lower() == ".parquet":
        return _checked(path, list_parquet(path, [path]))
    if path.suffix.lower() == ".tar":
        return _checked(path, list_shards(path, [path]))
    raise DataError(f"{path}: a data set is a folder, or a {', '.join(ENDINGS)}, .parquet or .tar file")


def _folder(path: Path) -> Listing:
    """List a folder per class; errors name the task that reads the folder if its layout is recognised."""
    try:
        listing = list_folder(path)
    except DataError as exc:
        raise DataError(f"{exc}{hint_of_folder(path)}") from exc
    empty = set(listing.names or ()) - {str(row.label) for row in listing.rows}
    if empty and (hint := hint_of_folder(path)):
        raise DataError(f"{path}: no image in {listed(sorted(map(printable, empty)))}{hint}")
    return listing


def _packed(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the .parquet and the .tar files in `root` or one level below; empty if there are class folders."""
    here = [Path(entry) for entry in visible(root)]
    files = here + [Path(entry) for folder in here if folder.is_dir() for entry in visible(folder)]
    tables, shards = (sorted(file for file in files if file.suffix.lower() == kind) for kind in (".parquet", ".tar"))
    if (tables or shards) and holds_images(root, depth=2):
        return [], []
    return tables, shards


def _checked(path: Path, listing: Listing) -> Listing:
    """Return `listing`; raise `DataError` if it is empty, or if some rows have a split and others do not."""
    if not listing.rows:
        raise DataError("; ".join([f"{path}: has no labelled image", *listing.notes]))
    without = next((row for row in listing.rows if row.split is None), None)
    within = next((row for row in listing.rows if row.split is not None), None)
    if without and within:
        raise DataError(f"{path}: {within.name} is in {within.split}, but {without.name} has no split")
    return listing


def _splits(
    root: Path, rows: Sequence[Row], labels: Sequence[int], contents: Sequence[Digest | None], fraction: float | None
) -> tuple[list[str], list[str]]:
    """Return the split of every row, and a note if val was held out of train."""
    if fraction is None:
        return ["all"] * len(rows), []
    splits = [row.split or "train" for row in rows]
    train = [at for at, split in enumerate(splits) if split == "train"]
    if not train:
        raise DataError(f"{root}: has no train split, only {listed(sorted(set(splits)))}")
    if "val" in splits:
        return splits, []
    parts = split_by_content([labels[at] for at in train], [contents[at] for at in train], fraction)
    held = parts.count("val")
    if not held:
        raise DataError(
            f"{root}: no class has two different images, so no validation split can be held out; "
            "evaluate on all images with --split all"
        )
    for at, part in zip(train, parts, strict=True):
        splits[at] = part
    whole = "train" if rows[0].split else "the images"
    return splits, [
        f"no val split: {held} of {len(train)} of {whole} held out by content hash (--split all evaluates on all)"
    ]


def _samples(rows: Sequence[Row], targets: Sequence[Any], splits: Sequence[str]) -> dict[str, tuple[Sample, ...]]:
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": [], "all": []}
    for row, target, split in zip(rows, targets, splits, strict=True):
        parts[split].append(Sample(row.name, target, row.read))
    return {split: tuple(samples) for split, samples in parts.items() if samples}

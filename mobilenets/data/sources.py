"""`open_dataset`: labelled images in any of the usual layouts -> one `Dataset`. Files are only read.

A folder per class, with or without train/ val/ test/ (classes.py); a CSV file (table.py), also as a folder's
metadata.csv (metadata.py); Parquet in the Hugging Face image layout (parquet.py); .tar shards (shards.py). A
reader lists rows; here they get their class index (labels.py), their content hash (contents.py) and their split
(split.py), and what would make a score a lie is refused (checks.py).
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
from .rows import Listing, Row, listed
from .shards import list_shards
from .split import split_by_content
from .table import ENDINGS, list_csv
from .trees import hint_of_folder

__all__ = ["Dataset", "Sample", "assemble", "in_colour", "list_images", "open_dataset", "typical_short_side"]

_GREY = 8  # of 256: how far the channels of a grey pixel may be apart


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, not yet read."""

    name: str  # as the user would call it: a path below the root, 'train.parquet[12]', 'shard-0.tar:key.jpg'
    target: Any  # what is to be said of it: of a class its index into Dataset.labels, else as its task has it
    read: Callable[[], bytes]  # raises ImageError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images in "train" and "val", perhaps "test"; or in "all", where they were not to be split."""

    root: Path
    labels: tuple[str, ...]
    splits: dict[str, tuple[Sample, ...]]
    fingerprint: str  # SHA-256 over split, label and content of all images: independent of order, names and place
    notes: tuple[str, ...]  # what the user should know, a line each
    head_config: dict[str, Any] = field(default_factory=dict)  # what a model of these data must keep besides the labels


def open_dataset(
    path: str | Path, val_fraction: float | None = 0.1, workers: int = 0, max_bad: float = 0.01
) -> Dataset:
    """The data set at `path`; `DataError` names what is missing or contradictory.

    Where there is no val, about `val_fraction` of train becomes val, told by content hash; None: every image is in
    "all", whatever its split. A `labels.txt` beside the data, one a line, fixes the names and order of the classes;
    else the source does, else they are sorted. All files are read once, by `workers` threads (0: one a core); what
    cannot be read stays a sample. At most `max_bad` of a split may be there with two labels.
    """
    root = Path(path)
    listing = list_images(root)
    declared = read_names(root if root.is_dir() else root.parent)
    if declared and listing.names and listing.ordered and listing.names != declared:
        raise DataError(
            f"{root}: labels.txt has other names or another order than the data: {listed(listing.names, 8)}"
        )
    names = class_names(listing, declared)
    labels = indices(listing, names, declared is not None or listing.names is not None)
    if len(names) < 2:
        tables = sorted(root.glob("*.csv")) if root.is_dir() else []
        hint = f"; do you mean {tables[0]}, perhaps with --task attributes or geolocate?" if tables else ""
        raise DataError(f"{root}: {names[0]!r} is the only class: there is nothing to tell apart{hint}")
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
    """The data set of the listed rows, whatever their `targets` are: hashed, split, checked for what would be a lie.

    `target_texts`: each target as text that is equal where they are, for the fingerprint and for images with two of
    them: `max_bad` of a split at most, but for those that `agree` (see `check_labels`). `classes`: each row's
    class, so that val has its share of each, and none is without an image.
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
    """The median short side, in pixels, of about 50 images of train; `DataError` where none decodes."""
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
    """Tell whether any of about 20 images of train has a pixel that is not grey, but for what JPEG adds."""
    train = dataset.splits["train"]
    return any(ordered(_in_colour, train[:: -(-len(train) // 20)]))


def _in_colour(sample: Sample) -> bool:
    try:
        return bool((np.ptp(np.asarray(decode(sample.read(), at_least=(32, 32))), axis=2) > _GREY).any())
    except ImageError:
        return False


def list_images(path: Path) -> Listing:
    """The rows at `path` with one label each, whatever its layout."""
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
            raise DataError(
                f"{url[0]}/{str(path)[url.end() :]}: is a URL, and data are read from files: download it first"
            )
        raise DataError(f"{path}: {'is neither a file nor a folder' if path.exists() else 'no such file or folder'}")
    if path.suffix.lower() in ENDINGS:
        return _checked(path, list_csv(path))
    if path.suffix.lower() == ".parquet":
        return _checked(path, list_parquet(path, [path]))
    if path.suffix.lower() == ".tar":
        return _checked(path, list_shards(path, [path]))
    raise DataError(f"{path}: a data set is a folder, or a {', '.join(ENDINGS)}, .parquet or .tar file")


def _folder(path: Path) -> Listing:
    """A folder per class; errors hint at the task that reads a folder of another layout."""
    try:
        listing = list_folder(path)
    except DataError as exc:
        raise DataError(f"{exc}{hint_of_folder(path)}") from exc
    empty = set(listing.names or ()) - {str(row.label) for row in listing.rows}
    if empty and (hint := hint_of_folder(path)):
        raise DataError(f"{path}: no image in {listed(sorted(map(printable, empty)))}{hint}")
    return listing


def _packed(root: Path) -> tuple[list[Path], list[Path]]:
    """The .parquet and the .tar files in `root` or right below it (as data/); none beside class folders."""
    here = [Path(entry) for entry in visible(root)]
    files = here + [Path(entry) for folder in here if folder.is_dir() for entry in visible(folder)]
    tables, shards = (sorted(file for file in files if file.suffix.lower() == kind) for kind in (".parquet", ".tar"))
    if (tables or shards) and holds_images(root, depth=2):
        return [], []
    return tables, shards


def _checked(path: Path, listing: Listing) -> Listing:
    """Either every row has a split or none has."""
    if not listing.rows:
        raise DataError("; ".join([f"{path}: holds no labelled image", *listing.notes]))
    without = next((row for row in listing.rows if row.split is None), None)
    within = next((row for row in listing.rows if row.split is not None), None)
    if without and within:
        raise DataError(f"{path}: {within.name} is in {within.split}, but nothing tells the split of {without.name}")
    return listing


def _splits(
    root: Path, rows: Sequence[Row], labels: Sequence[int], contents: Sequence[Digest | None], fraction: float | None
) -> tuple[list[str], list[str]]:
    """The split of every row, and a note where val had to be held out."""
    if fraction is None:
        return ["all"] * len(rows), []
    splits = [row.split or "train" for row in rows]
    train = [at for at, split in enumerate(splits) if split == "train"]
    if not train:
        raise DataError(f"{root}: holds no train split, only {listed(sorted(set(splits)))}")
    if "val" in splits:
        return splits, []
    parts = split_by_content([labels[at] for at in train], [contents[at] for at in train], fraction)
    held = parts.count("val")
    if not held:
        raise DataError(
            f"{root}: no class has two different images: nothing can be held out to validate on; "
            "to evaluate on all of them: --split all"
        )
    for at, part in zip(train, parts, strict=True):
        splits[at] = part
    whole = "train" if rows[0].split else "the images"
    return splits, [f"no val split: {held} of {len(train)} of {whole} held out by content hash"]


def _samples(rows: Sequence[Row], targets: Sequence[Any], splits: Sequence[str]) -> dict[str, tuple[Sample, ...]]:
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": [], "all": []}
    for row, target, split in zip(rows, targets, splits, strict=True):
        parts[split].append(Sample(row.name, target, row.read))
    return {split: tuple(samples) for split, samples in parts.items() if samples}

"""Read Hugging Face's imagefolder: images with a metadata.csv or metadata.jsonl, in one folder or one per split."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import DataError, printable
from ..text import listed
from .folder import find_photos, holds_images
from .rows import Listing, Row, split_name
from .table import list_csv, names_columns
from .trees import splits_of

__all__ = ["list_metadata", "metadata_of"]

_NAMES = ("metadata.csv", "metadata.jsonl")


def metadata_of(root: Path) -> dict[str | None, Path]:
    """Return the metadata file of the folder, or of each split in it; empty if there is none.

    Files without a label column are ignored if the images are in class folders.
    """
    files = _files(root)
    labelled = all(names_columns(file, ("path", "label")) for file in files.values())
    return files if labelled or not holds_images(root, depth=2) else {}


def _files(root: Path) -> dict[str | None, Path]:
    if file := _file(root):
        return {None: file}
    if not any((folder / name).is_file() for folder in root.iterdir() for name in _NAMES):
        return {}
    return {split: file for split, folder in splits_of(root).items() if (file := _file(folder))}


def list_metadata(root: Path, files: dict[str | None, Path]) -> Listing:
    """Return the rows of all `files` (see `metadata_of`). The split is that of a column `split` or of the folder."""
    listing = Listing([])
    known: set[str] = set()
    for split, file in files.items():
        found = list_csv(file)
        rows = [_placed(row, root, file, split) for row in found.rows]
        listing.rows += rows if split else list(_split_by_folder(rows))
        listing.notes += found.notes
        known.update(os.path.normpath(row.name) for row in rows)
    images, notes = find_photos(root)
    unlisted = [name for path in images if (name := printable(str(path.relative_to(root)))) not in known]
    if unlisted:
        names = listed(sorted({file.name for file in files.values()}))
        notes.append(f"ignored {len(unlisted)} images that {names} does not list (first: {unlisted[0]})")
    listing.notes += notes
    return listing


def _file(folder: Path) -> Path | None:
    found = [folder / name for name in _NAMES if (folder / name).is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: has both {found[0].name} and {found[1].name}: keep one")
    return found[0] if found else None


def _placed(row: Row, root: Path, file: Path, split: str | None) -> Row:
    """Return the row with its name relative to `root`, in the split of its file."""
    folder = file.parent.relative_to(root).as_posix()
    name = row.name.replace("\\", "/")
    return replace(row, name=name if folder == "." else f"{folder}/{name}", split=row.split or split)


def _split_by_folder(rows: list[Row]) -> Iterator[Row]:
    """Yield the rows; if no column has the split and every path begins with a split's folder, in that split."""
    splits = [split_name(PurePosixPath(row.name).parts[0]) for row in rows]
    by_folder = all(splits) and all(row.split is None for row in rows)
    return (replace(row, split=split) if by_folder else row for row, split in zip(rows, splits, strict=True))

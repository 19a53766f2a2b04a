"""Read a folder per class, with or without train/, val/ and test/ above, or files named by ImageNet's ids."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, printable
from ..folders import ending, is_folder, is_image, visible, walk
from ..image import EXTENSIONS, UNREAD
from ..text import listed
from .folder import row_of_file, unread
from .imagenet import wnid_of
from .labels import ordered_names, read_names
from .rows import Listing, Row, split_name
from .trees import check_classes, splits_of, subfolders

__all__ = ["list_files", "list_folder"]


def list_folder(root: Path) -> Listing:
    """Return the rows of `root/[split/]class/.../image`; raise `DataError` if the folders are not classes."""
    entries = visible(root)
    if not entries:
        raise DataError(f"{root}: the folder is empty")
    declared = read_names(root) or ()
    splits = splits_of(root)
    if not splits:
        folders = subfolders(root)
        if len(folders) == 1 and len(subfolders(folders[0].path)) > 1:
            raise DataError(f"{root}: {folders[0].name!r} is the only class folder; did you mean {folders[0].path}?")
        return _classes(root, {None: root}, declared)
    listing = _classes(root, splits, declared)
    extra = [printable(entry.name) for entry in entries if is_folder(entry) and split_name(entry.name) is None]
    if extra:
        listing.notes.append(f"ignored folders next to the splits: {listed([name + '/' for name in extra])}")
    return listing


def list_files(root: Path) -> Listing:
    """Return every image below `root`; folder names matter only for train/, val/ and test/ at the top."""
    listing = Listing([])
    names: list[str] = []
    for split, base in (splits_of(root) or {None: root}).items():
        paths = list(walk(str(base)))
        names += [os.path.relpath(path, root) for path in paths]
        listing.rows += [row_of_file(path, root, split, "") for path in paths if is_image(path)]
    listing.notes += unread(names)
    if not listing.rows:
        raise DataError(_no_image(root, listing.notes))
    return listing


def _classes(root: Path, splits: dict[str | None, Path], declared: Sequence[str]) -> Listing:
    """Return the rows of every class folder below each split's folder, with names relative to `root`."""
    rows: list[Row] = []
    names: set[str] = set()
    notes: list[str] = []
    others: list[str] = []
    loose = 0
    for split, base in splits.items():
        before = len(rows)
        folders = subfolders(base)
        images = [entry for entry in visible(base) if not is_folder(entry) and is_image(entry.name)]
        flat = [] if folders else _named_by_class(images, root, split)
        if images and not folders and not flat:
            if split != "test":
                raise DataError(_no_class_folders(base, len(images)))
            notes.append(f"ignored {base.name}/: its {len(images)} images are in no class folder")
            continue
        loose += len(images) - len(flat)
        rows += flat
        if flat and not wnid_of(flat[0].name):
            notes.append(f"{base.name}/: classes are taken from the file names, the part before the number")
        check_classes(base, folders, declared)
        for folder in folders:
            paths = list(walk(folder.path))
            rows += [row_of_file(path, root, split, folder.name) for path in paths if is_image(path)]
            others += [os.path.relpath(path, root) for path in paths if not is_image(path)]
        names.update(str(row.label) for row in flat)
        names.update(folder.name for folder in folders)
        if len(rows) == before and split in (None, "train"):
            raise DataError(_no_image(base, unread(others)))
    notes += unread(others)
    if no_photos := sum(ending(name) not in UNREAD for name in others):
        notes.append(f"ignored {no_photos} files without an image's file name extension")
    if loose:
        notes.append(f"ignored {loose} images in no class folder")
    return Listing(rows, ordered_names(names), notes=notes)


def _named_by_class(images: list[os.DirEntry[str]], root: Path, split: str | None) -> list[Row]:
    """Return a row for each of `images`, with the class in its name: n01440764_tench.jpg, Maine_Coon_12.jpg, cat.0.jpg.

    The list is empty if a name has no class, or if all names have the same one (IMG_0001.jpg).
    """
    for class_of in (wnid_of, _word_of):
        rows = [row_of_file(entry.path, root, split, label) for entry in images if (label := class_of(entry.name))]
        if len(rows) == len(images) and (class_of is wnid_of or len({row.label for row in rows}) > 1):
            return rows
    return []


def _word_of(name: str) -> str | None:
    """Return the part before the number: Maine_Coon_12.jpg -> Maine_Coon."""
    match = re.fullmatch(r"([^\W\d_].*?)[ ._-]+\d+", os.path.splitext(name)[0])
    return match and match[1]


def _no_image(base: Path, notes: Sequence[str]) -> str:
    note = f"; {notes[0]}" if notes else ""
    return f"{base}: has no image file ({listed(sorted(EXTENSIONS), 6)}){note}"


def _no_class_folders(base: Path, count: int) -> str:
    return (
        f"{base}: its {count} images are in no class folder; expected CLASS/image.jpg, "
        f"or train/CLASS/image.jpg and val/CLASS/image.jpg, or a .csv file with the columns path,label"
    )

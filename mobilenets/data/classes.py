"""A folder per class, with or without train/ val/ test/ above; or files named by ImageNet's ids."""

import os
import re
from pathlib import Path

from ..errors import DataError
from ..image import EXTENSIONS
from .folder import is_folder, is_image, row_of_file, visible, walk
from .imagenet import wnid_of
from .labels import ordered_names
from .rows import Listing, Row, listed, shown, split_name

__all__ = ["list_files", "list_folder"]


def list_folder(root: Path) -> Listing:
    """Rows of `root/[split/]class/.../image`; `DataError` where the folders say nothing of classes."""
    entries = visible(root)
    if not entries:
        raise DataError(f"{root}: the folder is empty")
    splits = _splits(root)
    if not splits:
        folders = [entry.path for entry in entries if is_folder(entry)]
        if len(folders) == 1 and _count_folders(folders[0]) > 1:
            raise DataError(
                f"{root}: {os.path.basename(folders[0])!r} would be the only class; did you mean {folders[0]}?"
            )
        return _classes(root, {None: root})
    listing = _classes(root, splits)
    beside = [shown(entry.name) for entry in entries if is_folder(entry) and split_name(entry.name) is None]
    if beside:
        listing.notes.append(f"ignored beside the splits: {listed([name + '/' for name in beside])}")
    return listing


def list_files(root: Path) -> list[Row]:
    """Every image below `root`, whatever its folders are called but for train/, val/ and test/ at the top."""
    splits = _splits(root) or {None: root}
    rows = [
        row_of_file(path, root, split, "")
        for split, base in splits.items()
        for path in walk(str(base))
        if is_image(path)
    ]
    if not rows:
        raise DataError(f"{root}: holds no image file ({listed(sorted(EXTENSIONS), 6)})")
    return rows


def _splits(root: Path) -> dict[str | None, Path]:
    """The folder of each split; empty where `root` has class folders ('train' may be one: bus, train)."""
    found: dict[str | None, Path] = {}
    for entry in visible(root):
        split = split_name(entry.name) if is_folder(entry) else None
        if split in found and split:
            raise DataError(f"{root}: {found[split].name}/ and {entry.name}/ are both {split}: keep one")
        if split:
            found[split] = root / entry.name
    if "train" in found and not _count_folders(found["train"]) and len(found) < _count_folders(root):
        return {}
    if found and "train" not in found and len(found) == _count_folders(root):
        raise DataError(f"{root}: there is no train/ beside {listed([f'{path.name}/' for path in found.values()])}")
    return found if "train" in found else {}


def _count_folders(folder: str | Path) -> int:
    return sum(is_folder(entry) for entry in visible(folder))


def _classes(root: Path, splits: dict[str | None, Path]) -> Listing:
    """Rows of every class folder below each split's folder, names relative to `root`."""
    rows: list[Row] = []
    names: set[str] = set()
    notes: list[str] = []
    others = loose = 0
    for split, base in splits.items():
        before = len(rows)
        folders = [entry for entry in visible(base) if is_folder(entry)]
        images = [entry for entry in visible(base) if not is_folder(entry) and is_image(entry.name)]
        flat = [] if folders else _named_by_class(images, root, split)
        if images and not folders and not flat:
            if split != "test":
                raise DataError(_no_class_folders(base, len(images)))
            notes.append(f"ignored {base.name}/: its {len(images)} images lie in no class folder")
            continue
        loose += len(images) - len(flat)
        rows += flat
        if flat and not wnid_of(flat[0].name):
            notes.append(f"{base.name}/: the classes are what stands before the numbers in the files' names")
        for folder in folders:
            paths = list(walk(folder.path))
            rows += [row_of_file(path, root, split, shown(folder.name)) for path in paths if is_image(path)]
            others += sum(not is_image(path) for path in paths)
        names.update(str(row.label) for row in flat)
        names.update(shown(folder.name) for folder in folders)
        if len(rows) == before and split in (None, "train"):
            raise DataError(f"{base}: holds no image file ({listed(sorted(EXTENSIONS), 6)})")
    if others:
        notes.append(f"ignored {others} files that are no images by their names")
    if loose:
        notes.append(f"ignored {loose} images that lie in no class folder")
    return Listing(rows, ordered_names(names), notes=notes)


def _named_by_class(images: list[os.DirEntry[str]], root: Path, split: str | None) -> list[Row]:
    """A row for each of `images`, whose class their names tell: n01440764_tench.jpg, Maine_Coon_12.jpg.

    Empty where that is not so of all, or all tell the same (IMG_0001.jpg).
    """
    for told in (wnid_of, _word_of):
        rows = [row_of_file(entry.path, root, split, label) for entry in images if (label := told(entry.name))]
        if len(rows) == len(images) and (told is wnid_of or len({row.label for row in rows}) > 1):
            return rows
    return []


def _word_of(name: str) -> str | None:
    """What stands before the number: Maine_Coon_12.jpg -> Maine_Coon."""
    match = re.fullmatch(r"([^\W\d_].*?)[ _-]+\d+", os.path.splitext(name)[0])
    return match and match[1]


def _no_class_folders(base: Path, count: int) -> str:
    return (
        f"{base}: its {count} images lie in no class folder; expected CLASS/image.jpg, "
        f"or train/CLASS/image.jpg and val/CLASS/image.jpg, or a .csv file with the columns path,label"
    )

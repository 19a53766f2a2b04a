"""Decide whether the folders of a data set are splits or classes; ambiguous folders raise an error that names them."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, printable
from ..folders import is_folder, is_image, visible
from ..text import listed
from .columns import DETECT
from .labels import clean
from .rows import NEUTRAL_WORDS, split_name

__all__ = ["check_classes", "hint_of_folder", "splits_of", "subfolders"]

Entries = list[os.DirEntry[str]]


def subfolders(folder: str | Path) -> Entries:
    """Return the visible folders in `folder`, sorted by name, without those named like an image."""
    return [entry for entry in visible(folder) if is_folder(entry) and not is_image(entry.name)]


def splits_of(root: Path) -> dict[str | None, Path]:
    """Return the folder of each split; empty if `root` has class folders ('train' may be a class: bus, train).

    A split's folder nested in a folder of the same split, as archives are often unpacked, counts as one:
    training_set/training_set/cats.
    """
    folders = subfolders(root)
    found: dict[str | None, Path] = {}
    for entry in folders:
        split = split_name(entry.name)
        if split in found and split:
            raise DataError(f"{root}: {found[split].name}/ and {entry.name}/ are both {split}: keep one")
        if split:
            found[split] = root / entry.name
    if "train" in found and not subfolders(found["train"]) and len(found) < len(folders):
        return {}
    if found and "train" not in found and len(found) == len(folders):
        raise DataError(f"{root}: train/ is missing next to {listed([f'{path.name}/' for path in found.values()])}")
    return {split: _unwrapped(path) for split, path in found.items()} if "train" in found else {}


def _unwrapped(folder: Path) -> Path:
    """Return `folder`, or the only folder in it if it is named after the same split."""
    inner = visible(folder)
    same = len(inner) == 1 and is_folder(inner[0]) and split_name(inner[0].name) == split_name(folder.name)
    return _unwrapped(folder / inner[0].name) if same else folder


def check_classes(base: Path, folders: Entries, declared: Sequence[str]) -> None:
    """Raise `DataError` if `folders` are unlikely to be the classes of `base`, or if two of them have the same name.

    Names `declared` by labels.txt are classes in any case; so is a folder 'train' without subfolders.
    """
    names: dict[str, str] = {}
    for entry in folders:
        other = names.setdefault(name := clean(entry.name, entry.path), entry.name)
        if other != entry.name:
            raise DataError(f"{base}: the folders {other!a} and {entry.name!a} have the same class name: rename one")
        if name not in declared and _is_split(entry):
            raise DataError(
                f"{base}: the folder {printable(entry.name)}/ is named like a split, next to "
                f"{_beside(folders, entry)}: expected train/CLASS and val/CLASS, or only class folders; {_CURE}"
            )
    if not all(name in declared for name in names):
        _check_below(base, folders)


_CURE = "if these are the classes, list them in a labels.txt there, one per line"


def _is_split(entry: os.DirEntry[str]) -> bool:
    return split_name(entry.name) is not None and (entry.name.lower() != "train" or bool(subfolders(entry.path)))


def _beside(folders: Entries, entry: os.DirEntry[str]) -> str:
    return listed([f"{printable(other.name)}/" for other in folders if other is not entry]) or "nothing"


def _check_below(base: Path, folders: Entries) -> None:
    """Raise `DataError` if all class folders contain the same folders, which may be the classes or splits."""
    below = [_names_below(entry) for entry in folders if visible(entry.path)]
    common = sorted(set.intersection(*below)) if len(below) > 1 else []
    telling = [name for name in common if name.lower() not in NEUTRAL_WORDS]  # CLASS/images is a published layout
    if len(telling) > 1 or any(map(split_name, telling)):
        has, hold = ([f"{printable(name)}/" for name in names] for names in ([entry.name for entry in folders], common))
        raise DataError(
            f"{base}: {listed(has)} would be the classes, but all contain the same folders {listed(hold)}: "
            f"expected train/CLASS/image.jpg and val/CLASS/image.jpg, or CLASS/image.jpg; {_CURE}"
        )


def _names_below(entry: os.DirEntry[str]) -> set[str]:
    """Return the names of the folders in a class folder, or nothing if it contains images as well."""
    inside = visible(entry.path)
    return set() if any(is_image(one.name) for one in inside) else {one.name for one in inside if is_folder(one)}


def hint_of_folder(root: Path) -> str:
    """Return '; ' and the task that reads a folder of this layout, or the table in it; '' if neither is recognised."""
    folders = [root, *(Path(entry) for entry in visible(root) if entry.is_dir())]
    for folder in folders:
        names = [entry.name.lower() for entry in visible(folder)]
        if folder.name.lower() == "annotations" and folder != root:
            if any(name.endswith((".xml", ".json")) for name in names):
                return f"; {folder.name}/: {DETECT}"
        if any(name.endswith(".coco.json") for name in names):
            return f"; {folder.name}/*.coco.json: {DETECT}"
        if "list_attr_celeba.txt" in names:
            return "; list_attr_celeba.txt: attributes are learned with --task attributes"
    tables = [entry.path for entry in visible(root) if entry.name.lower().endswith((".csv", ".tsv", ".jsonl"))]
    return f"; did you mean {tables[0]}?" if len(tables) == 1 else ""

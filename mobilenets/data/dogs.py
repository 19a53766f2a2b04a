"""Read Stanford Dogs in its published layout: Images/n02085620-Chihuahua/*.jpg, and MATLAB lists of train and test."""

from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError, MissingExtraError, printable
from ..image import read
from .rows import Listing, Row

__all__ = ["is_dogs", "list_dogs"]

_LISTS = {"train": "train_list.mat", "test": "test_list.mat"}


def is_dogs(root: Path) -> bool:
    """Return whether `root` has the layout of Stanford Dogs."""
    return (root / "Images").is_dir() and any(_list(root, name) for name in _LISTS.values())


def list_dogs(root: Path) -> Listing:
    """Return the rows of both lists. The breed is the folder's name after its WordNet id; raises `DataError`."""
    rows = []
    for split, name in _LISTS.items():
        path = _list(root, name)
        if path is None:
            raise DataError(f"{root}: {name} is missing, Stanford Dogs has a list for each split")
        rows += [_row(root, split, file) for file in _files(path)]
    return Listing(rows)


def _list(root: Path, name: str) -> Path | None:
    """Return the path of a list, which lists.tar unpacks next to Images/ or into lists/."""
    return next((path for path in (root / name, root / "lists" / name) if path.is_file()), None)


def _files(path: Path) -> list[str]:
    try:
        from scipy.io import loadmat
    except ImportError as exc:
        raise MissingExtraError("reading .mat lists needs scipy", "train") from exc
    try:
        found: Any = loadmat(path, variable_names=["file_list"])["file_list"]
        return [str(entry[0][0]) for entry in found]
    except Exception as exc:  # scipy raises nearly anything on damaged input
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise DataError(f"{path}: the variable file_list cannot be read: {reason[:200]}") from exc


def _row(root: Path, split: str, file: str) -> Row:
    folder, slash, _ = file.partition("/")
    breed = folder.partition("-")[2]
    if not slash or not breed or ".." in file.split("/"):
        raise DataError(f"{root}: {split} list: {printable(file)!r} must be WNID-BREED/IMAGE.jpg")
    return Row(printable(f"Images/{file}"), split, breed, partial(read, root / "Images" / file))

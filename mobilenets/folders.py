"""What lies in a folder, to any depth, and which of it is an image by its name."""

import os
from collections.abc import Iterator
from pathlib import Path

from .errors import DataError
from .image import EXTENSIONS

__all__ = ["ending", "is_folder", "is_image", "visible", "walk"]

_LITTER = (".", "__MACOSX", "@eaDir", "lost+found")  # hidden; made by macOS, Synology, ext4


def ending(name: str) -> str:
    """The ending of a file's name in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    """Tell whether a file of this name is read as an image."""
    return ending(name) in EXTENSIONS


def visible(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`, by name, without hidden files and `_LITTER`."""
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(_LITTER)]
    except OSError as exc:
        raise DataError(f"{folder}: cannot be listed: {exc.strerror}") from exc
    return sorted(kept, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a symlink that leads to itself
        return False


def walk(top: str) -> Iterator[str]:
    """Every visible file below `top` in the order of names, links followed, each folder once (a link may lead back up).

    What is named like an image counts as a file: a folder x.jpg is reported as a bad image, not entered.
    """
    seen: set[tuple[int, int]] = set()
    stack = [(top, True)]
    while stack:
        path, enter = stack.pop()
        if not enter:
            yield path
            continue
        status = os.stat(path)
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            entries = [(entry.path, is_folder(entry) and not is_image(entry.name)) for entry in visible(path)]
            stack.extend(reversed(entries))

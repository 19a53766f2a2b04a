"""List folders recursively, and recognise images by their file name."""

import os
from collections.abc import Iterator
from pathlib import Path

from .errors import DataError
from .image import EXTENSIONS

__all__ = ["IGNORED", "ending", "is_folder", "is_image", "visible", "walk"]

IGNORED = (".", "__MACOSX", "@eaDir", "lost+found")  # hidden files; created by macOS, Synology, ext4


def ending(name: str) -> str:
    """Return the suffix of a file name in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    """Return whether a file of this name is read as an image."""
    return ending(name) in EXTENSIONS


def visible(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of `folder`, sorted by name, without hidden files and `IGNORED`; raises `DataError`."""
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(IGNORED)]
    except OSError as exc:
        raise DataError(f"{folder}: cannot be listed: {exc.strerror}") from exc
    return sorted(kept, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a cyclic symbolic link
        return False


def walk(top: str) -> Iterator[str]:
    """Yield every visible file below `top`, sorted by name; links are followed, and each folder is visited once.

    A folder named like an image is yielded as a file, so that it is reported as an invalid image.
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

"""The images in a folder, and what in it looks like a photo but is not read."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..errors import DataError
from ..image import EXTENSIONS, HEIF, UNREAD, read
from .rows import Row, listed, shown

__all__ = ["find_photos", "holds_images", "is_folder", "is_image", "row_of_file", "unread", "visible", "walk"]

_LITTER = (".", "__MACOSX", "@eaDir", "lost+found")  # hidden; made by macOS, Synology, ext4


def find_photos(folder: str | Path) -> tuple[list[Path], list[str]]:
    """Every image below `folder`, and notes, a line each, on the photos there that are not read (see `unread`)."""
    paths = list(walk(str(folder)))
    names = (os.path.relpath(path, folder) for path in paths)
    return [Path(path) for path in paths if is_image(path)], unread(names)


def unread(names: Iterable[str]) -> list[str]:
    """Return a note on those of `names` that are photos by their ending, of a format that is not read; else nothing.

    It says how many there are of each ending, names the first, and says what helps.
    """
    photos = [name for name in names if ending(name) in UNREAD]
    if not photos:
        return []
    counts = Counter(map(ending, photos))
    endings = listed([f"{count} {kind}" for kind, count in counts.most_common()], 6)
    cure = "convert them to JPEG or PNG"
    if HEIF & counts.keys():
        cure += ", or pip install pillow-heif to read HEIC"
    return [f"{len(photos)} photos in formats that are not read: {endings} (first: {shown(photos[0])}): {cure}"]


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
        raise DataError(f"{shown(str(folder))}: cannot be listed: {exc.strerror}") from exc
    return sorted(kept, key=lambda entry: entry.name)


def holds_images(folder: str | Path, depth: int) -> bool:
    """Whether an image lies in a folder below `folder`, down to `depth` levels."""
    folders = [entry.path for entry in visible(folder) if is_folder(entry)]
    if any(is_image(entry.name) for path in folders for entry in visible(path)):
        return True
    return depth > 1 and any(holds_images(path, depth - 1) for path in folders)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a symlink that leads to itself
        return False


def row_of_file(path: str, root: Path, split: str | None, label: str) -> Row:
    """The row of a file, named by where it lies below `root`."""
    return Row(shown(os.path.relpath(path, root).replace(os.sep, "/")), split, label, partial(read, Path(path)))


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

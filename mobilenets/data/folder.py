"""The images in a folder, and what in it looks like a photo but is not read."""

import os
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ..errors import printable
from ..folders import ending, is_folder, is_image, visible, walk
from ..image import HEIF, UNREAD, read
from ..text import listed
from .rows import Row

__all__ = ["find_photos", "holds_images", "row_of_file", "unread"]


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
    return [f"{len(photos)} photos in formats that are not read: {endings} (first: {printable(photos[0])}): {cure}"]


def holds_images(folder: str | Path, depth: int) -> bool:
    """Whether an image lies in a folder below `folder`, down to `depth` levels."""
    folders = [entry.path for entry in visible(folder) if is_folder(entry)]
    if any(is_image(entry.name) for path in folders for entry in visible(path)):
        return True
    return depth > 1 and any(holds_images(path, depth - 1) for path in folders)


def row_of_file(path: str, root: Path, split: str | None, label: str) -> Row:
    """The row of a file, named by where it lies below `root`."""
    return Row(printable(os.path.relpath(path, root).replace(os.sep, "/")), split, label, partial(read, Path(path)))

"""List the images in a folder, and the photos in it whose format is not supported."""

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
    """Return every image below `folder`, and notes on photos of unsupported formats, one line each (see `unread`)."""
    paths = list(walk(str(folder)))
    names = (os.path.relpath(path, folder) for path in paths)
    return [Path(path) for path in paths if is_image(path)], unread(names)


def unread(names: Iterable[str]) -> list[str]:
    """Return a note on the files among `names` that are photos of an unsupported format, or an empty list.

    The note counts them by file name extension, names the first, and says how to convert them.
    """
    photos = [name for name in names if ending(name) in UNREAD]
    if not photos:
        return []
    counts = Counter(map(ending, photos))
    endings = listed([f"{count} {kind}" for kind, count in counts.most_common()], 6)
    cure = "convert them to JPEG or PNG"
    if HEIF & counts.keys():
        cure += ", or pip install pillow-heif to read HEIC"
    return [f"{len(photos)} photos in unsupported formats: {endings} (first: {printable(photos[0])}): {cure}"]


def holds_images(folder: str | Path, depth: int) -> bool:
    """Return whether a folder below `folder`, down to `depth` levels, contains an image."""
    folders = [entry.path for entry in visible(folder) if is_folder(entry)]
    if any(is_image(entry.name) for path in folders for entry in visible(path)):
        return True
    return depth > 1 and any(holds_images(path, depth - 1) for path in folders)


def row_of_file(path: str, root: Path, split: str | None, label: str) -> Row:
    """Return the row of a file, named by its path relative to `root`."""
    return Row(printable(os.path.relpath(path, root).replace(os.sep, "/")), split, label, partial(read, Path(path)))

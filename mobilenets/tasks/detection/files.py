"""The files of a data set of boxes, and which image an annotation file is about."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from ...data.rows import split_name
from ...errors import DataError, printable
from ...folders import walk
from ...image import EXTENSIONS, UNREAD
from ...text import listed

__all__ = ["Files", "read_lines", "stem_of"]

# folders that say what lies in them, not which images: Annotations/1.xml is about JPEGImages/1.jpg
_KINDS = frozenset(
    "annotations annotation annots xml xmls labels label images image imgs img jpegimages photos".split()
)

_IMAGES = EXTENSIONS | UNREAD  # what cannot be read is still the image that an annotation is about

Place = tuple[str, ...]


class Files:
    """All visible files below `root`, in the order of their names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [Path(path) for path in walk(str(root))]
        self.images = [path for path in self.paths if path.suffix.lower() in _IMAGES]
        self._by_stem: dict[str, list[Path]] = {}
        for image in self.images:
            self._by_stem.setdefault(image.stem.casefold(), []).append(image)

    def ending(self, *suffixes: str) -> list[Path]:
        """Those whose names end so, in any case."""
        return [path for path in self.paths if path.suffix.lower() in suffixes]

    def below(self, path: Path) -> PurePath:
        """`path` as seen from the root."""
        return PurePath(os.path.relpath(path, self.root))

    def name(self, path: Path) -> str:
        """`path` as messages name it."""
        return printable(self.below(path).as_posix())

    def split(self, *paths: Path) -> str | None:
        """The split that the first folder named after one tells."""
        parts = (part for path in paths for part in self.below(path).parent.parts)
        return next((split for part in parts if (split := split_name(part))), None)

    def image(self, file: Path, stem: str, named: str = "", split: str | None = None) -> Path | None:
        """The image called `stem` (in any case, with any ending) that lies where `file` lies, but for folders such as
        Annotations and JPEGImages; else the only one of that name that is in no other split than `file` (or `split`,
        where only the caller knows it). None without one.

        Of several, the one called `named`; `DataError` where none is.
        """
        alike, place = self._by_stem.get(stem.casefold(), []), self._place(file)
        split = split or self.split(file)
        found = [image for image in alike if self._place(image) == place]
        found = found or [image for image in alike if split is None or self.split(image) in (None, split)]
        for exact in (named, stem):
            found = [image for image in found if exact in (image.name, image.stem)] or found
        if len(found) > 1:
            raise DataError(
                f"{file}: its image may be any of {listed([self.name(image) for image in found])}: keep one"
            )
        return found[0] if found else None

    def _place(self, path: Path) -> Place:
        parts = self.below(path).parent.parts
        return tuple(split_name(part) or part.casefold() for part in parts if part.casefold() not in _KINDS)


def stem_of(name: str) -> str:
    """The name of an image without its folders and its ending: of `C:\\photos\\a.b.JPG`, `a.b`."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _IMAGES else path.name


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, each with its number; `DataError` where it is no UTF-8."""
    try:
        lines: Iterable[str] = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]

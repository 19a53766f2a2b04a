"""Index the files of a detection data set, and find the image of an annotation file."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from ...data.rows import split_name
from ...errors import DataError, printable
from ...folders import walk
from ...image import EXTENSIONS, UNREAD
from ...text import listed

__all__ = ["Files", "read_lines", "stem_of"]

# folder names that denote a file type, not a subset: Annotations/1.xml belongs to JPEGImages/1.jpg
_KINDS = frozenset(
    "annotations annotation annots xml xmls labels label images image imgs img jpegimages photos".split()
)

_IMAGES = EXTENSIONS | UNREAD  # images of unsupported formats still match their annotation


class Files:
    """All visible files below `root`, sorted by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [Path(path) for path in walk(str(root))]
        self.images = [path for path in self.paths if path.suffix.lower() in _IMAGES]
        self._by_stem: dict[str, list[Path]] = {}
        for image in self.images:
            self._by_stem.setdefault(image.stem.casefold(), []).append(image)

    def ending(self, *suffixes: str) -> list[Path]:
        """Return the files with these suffixes, in any case."""
        return [path for path in self.paths if path.suffix.lower() in suffixes]

    def below(self, path: Path) -> PurePath:
        """Return `path` relative to the root."""
        return PurePath(os.path.relpath(path, self.root))

    def name(self, path: Path) -> str:
        """Return `path` for messages."""
        return printable(self.below(path).as_posix())

    def split(self, *paths: Path) -> str | None:
        """Return the split named by the folders of `paths`, or None."""
        parts = (part for path in paths for part in self.below(path).parent.parts)
        return next((split for part in parts if (split := split_name(part))), None)

    def image(self, file: Path, stem: str, named: str = "", split: str | None = None) -> Path | None:
        """Return the image of the annotation `file`, or None.

        Its name is `stem`, in any case and with any image suffix. It is searched in the folder of `file`, ignoring
        folders such as Annotations and JPEGImages, then in all folders of the same split (`split`, or that of `file`).
        Of several images, the one called `named` is returned; raises `DataError` if none is.
        """
        alike, subset = self._by_stem.get(stem.casefold(), []), self._subset(file)
        split = split or self.split(file)
        found = [image for image in alike if self._subset(image) == subset]
        found = found or [image for image in alike if split is None or self.split(image) in (None, split)]
        for exact in (named, stem):
            found = [image for image in found if exact in (image.name, image.stem)] or found
        if len(found) > 1:
            raise DataError(
                f"{file}: its image may be any of {listed([self.name(image) for image in found])}: keep one"
            )
        return found[0] if found else None

    def _subset(self, path: Path) -> tuple[str, ...]:
        """Return the folders of `path` that denote a subset."""
        parts = self.below(path).parent.parts
        return tuple(split_name(part) or part.casefold() for part in parts if part.casefold() not in _KINDS)


def stem_of(name: str) -> str:
    """Return the name of an image without folders and suffix: `a.b` for `C:\\photos\\a.b.JPG`."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _IMAGES else path.name


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the non-empty lines of a text file with their numbers; raise `DataError` if it is not UTF-8."""
    try:
        lines: Iterable[str] = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]

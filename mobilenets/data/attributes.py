"""Read attribute labels: a CSV file with a column of 0 and 1 for each attribute, or CelebA's published files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, printable
from ..image import read
from ..text import listed
from .columns import NAMES
from .labels import clean
from .rows import Listing, Row, checked_split
from .table import read_cells

__all__ = ["Marked", "list_attributes"]

CELEBA = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
_PARTS = {"0": "train", "1": "val", "2": "test"}  # split numbers in CelebA's partition file
_IMAGE = (*NAMES["path"], "image_id")  # names of the first column
# where images are looked for, relative to the file
_FOLDERS = ("", "images", "img_align_celeba", "Img/img_align_celeba", "../Img/img_align_celeba")
_MISSING = frozenset(("", "?", "na", "nan", "none", "null"))

NumberedCells = tuple[int, list[str]]  # line number in the file, cells


@dataclass(frozen=True, slots=True)
class Marked:
    """The N listed images with their attribute labels.

    `names` holds the A attribute names, `values` (N, A) float32 holds 1, 0, or NaN where the label is missing.
    """

    listing: Listing
    names: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[np.float32]]


def list_attributes(path: Path) -> Marked:
    """Read attribute labels from a CSV file, from CelebA's `list_attr_celeba.txt`, or from a folder with one such file.

    The first column is the path of the image, relative to the file or to the folder `images` next to it. A column
    `split` holds the split. Each other column is an attribute: 1, 0, or empty where the label is missing. -1 means 0 in
    a file without 0, as in CelebA. Raises `DataError` with the line and column that break a rule.
    """
    file = _file(path)
    header, lines = (_celeba if file.name == CELEBA else _csv)(file)
    split_at = next((at for at, name in enumerate(header) if name.lower() == "split"), None)
    columns = [at for at in range(1, len(header)) if at != split_at]
    names = tuple(clean(header[at], str(file)) for at in columns)
    _check_names(file, names)
    parts = _partition(file.with_name(PARTITION)) if file.name == CELEBA else None
    folder = _image_folder(file, lines)
    first: dict[str, int] = {}
    rows = []
    for number, cells in lines:
        image = cells[0].strip()
        if image in first:
            raise DataError(f"{file}: line {number} repeats {printable(image)!r} of line {first[image]}")
        first[image] = number
        if not image or not (folder / image).is_file():
            raise DataError(f"{file}: line {number}: image {printable(image)!r} does not exist in {folder}")
        split = None
        if split_at is not None:
            split = checked_split(cells[split_at], f"{file}: line {number}")
        elif parts is not None:
            split = _part(file, number, image, parts)
        rows.append(Row(printable(image), split, "", partial(read, folder / image)))
    return Marked(Listing(rows, names), names, _values(file, header, columns, lines))


def _file(path: Path) -> Path:
    """Return `path`, or the label file in the folder `path`."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        return path
    for place in (path / CELEBA, path / "Anno" / CELEBA):
        if place.is_file():
            return place
    found = sorted(path.glob("*.csv"))
    if len(found) != 1:
        has = listed([file.name for file in found]) or "none"
        raise DataError(f"{path}: must hold one .csv file of attributes, or {CELEBA}; it holds {has}")
    return found[0]


def _csv(path: Path) -> tuple[list[str], list[NumberedCells]]:
    """Return the header and the lines; raise `DataError` for a line with another number of cells."""
    header, lines = read_cells(path, _IMAGE)
    if len(header) < 2 or header[0].lower() not in _IMAGE:
        has = printable(",".join(header[:5])) or "nothing"
        raise DataError(f"{path}: its first line must be path,ATTRIBUTE,ATTRIBUTE,...; it begins with {has}")
    return header, _checked(path, lines, len(header))


def _celeba(path: Path) -> tuple[list[str], list[NumberedCells]]:
    """Read the number of images, the attribute names, then one line per image, all separated by blanks."""
    text = _text(path)
    names = text[1].split() if len(text) > 1 else []
    if not names or not text[0].strip().isdigit():
        raise DataError(f"{path}: line 1 must be the number of images, line 2 the attribute names")
    lines = [(number, line.split()) for number, line in enumerate(text[2:], 3) if line.strip()]
    if len(lines) != int(text[0]):
        raise DataError(f"{path}: line 1 states {text[0].strip()} images, the file lists {len(lines)}")
    return ["image", *names], _checked(path, lines, 1 + len(names))


def _checked(path: Path, lines: list[NumberedCells], columns: int) -> list[NumberedCells]:
    if not lines:
        raise DataError(f"{path}: has no row below the header")
    for number, cells in lines:
        if len(cells) != columns:
            raise DataError(f"{path}: line {number} has {len(cells)} of {columns} columns")
    return lines


def _text(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"{path}: has no attribute column")
    for at, name in enumerate(names):
        if not name:
            raise DataError(f"{path}: the column after {names[at - 1]!r} has no name")
        if name in names[:at]:
            raise DataError(f"{path}: two columns are named {name!r}")


def _partition(path: Path) -> dict[str, str] | None:
    """Return a mapping from image to split, or None if there is no partition file."""
    if not path.is_file() and (path.parent.parent / "Eval" / path.name).is_file():
        path = path.parent.parent / "Eval" / path.name  # the layout of the complete CelebA download
    if not path.is_file():
        return None
    found = {}
    for number, line in enumerate(_text(path), 1):
        cells = line.split()
        if cells and (len(cells) != 2 or cells[1] not in _PARTS):
            raise DataError(f"{path}: line {number} (={printable(line)!r}) must be an image and 0, 1 or 2")
        if cells:
            found[cells[0]] = _PARTS[cells[1]]
    return found


def _part(path: Path, number: int, image: str, parts: dict[str, str]) -> str:
    if image not in parts:
        raise DataError(f"{path}: line {number}: {PARTITION} does not list {image}")
    return parts[image]


def _image_folder(path: Path, lines: list[NumberedCells]) -> Path:
    """Return the folder that contains the first image."""
    image = lines[0][1][0].strip()
    for folder in _FOLDERS:
        if image and (path.parent / folder / image).is_file():
            return path.parent / folder
    raise DataError(f"{path}: line {lines[0][0]}: image {image!r} is neither next to the file nor in images/")


def _values(
    path: Path, header: Sequence[str], columns: Sequence[int], lines: list[NumberedCells]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    cells = [[line[at].strip() for at in columns] for _, line in lines]
    known = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
    used = {cell for line in cells for cell in line}
    if "-1" in used and "0" not in used:
        known["-1"] = 0.0
    values = {cell: np.nan if cell.lower() in _MISSING else known.get(cell) for cell in used}
    if None in values.values():
        number, at, cell = next(_strange(lines, columns, values))
        rule = "0, because the file uses 0 and 1" if cell == "-1" else "0, 1, or empty where the label is missing"
        raise DataError(f"{path}: line {number}, column {printable(header[at])}: {printable(cell)!r} must be {rule}")
    return np.array([[values[cell] for cell in line] for line in cells], np.float32)


def _strange(
    lines: list[NumberedCells], columns: Sequence[int], values: dict[str, float | None]
) -> Iterator[tuple[int, int, str]]:
    """Yield (line, column, value) of every cell that is not an attribute value."""
    for number, line in lines:
        for at in columns:
            if values[line[at].strip()] is None:
                yield number, at, line[at].strip()

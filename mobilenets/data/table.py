"""CSV files: a line an image. What classifies reads the columns path,label and perhaps split."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import DataError
from ..image import read
from .rows import Listing, Row, checked_split, listed, shown

__all__ = ["Line", "list_csv", "read_lines", "row_of"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line below the header: its cells by the name of their column, without outer blanks."""

    file: Path
    number: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.file}: line {self.number}"


def list_csv(path: Path) -> Listing:
    """A row a line; image paths are relative to the CSV file. `DataError` names the line breaking a rule."""
    return Listing([row_of(line, line.cells["label"]) for line in read_lines(path, ("path", "label"))])


def row_of(line: Line, label: str | int) -> Row:
    """The image of a line, with its split where there is such a column."""
    split = checked_split(line.cells["split"], line.where) if "split" in line.cells else None
    return Row(shown(line.cells["path"]), split, label, partial(read, line.file.parent / line.cells["path"]))


def read_lines(path: Path, needed: Sequence[str]) -> list[Line]:
    """All lines, none of whose `needed` cells is empty. Needed columns and `split` are found whatever their case."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _columns(path, next(reader, []), needed)
            lines = [_line(path, reader.line_num, columns, cells, needed) for cells in reader if cells]
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except csv.Error as exc:
        raise DataError(f"{path}: line {reader.line_num} is no CSV: {exc}") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror}") from exc
    if not lines:
        raise DataError(f"{path}: holds no row below the header")
    return lines


def _columns(path: Path, header: list[str], needed: Sequence[str]) -> dict[str, int]:
    """Where each column stands."""
    columns = {}
    for at, name in enumerate(header):
        name = name.strip()
        columns[name.lower() if name.lower() in (*needed, "split") else name] = at
    lacking = [name for name in needed if name not in columns]
    if lacking:
        has = shown(", ".join(header)) or "nothing"
        names = ",".join(needed)
        raise DataError(f"{path}: its first line must name the columns {names}; lacks {listed(lacking)}, has: {has}")
    return columns


def _line(path: Path, number: int, columns: dict[str, int], cells: list[str], needed: Sequence[str]) -> Line:
    if len(cells) <= max(columns[name] for name in (*needed, "split") if name in columns):
        raise DataError(f"{path}: line {number} has {len(cells)} of {len(columns)} columns")
    line = Line(path, number, {name: cells[at].strip() for name, at in columns.items() if at < len(cells)})
    empty = next((name for name in needed if not line.cells[name]), None)
    if empty:
        raise DataError(f"{path}: line {number} has an empty {empty}")
    return line

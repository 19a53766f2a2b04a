"""Read CSV, TSV and JSON lines, one line per image, with the columns path, label and optionally split.

Column names of other tools are accepted as well (`NAMES`), in any case.
"""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import DataError, printable
from ..image import read
from ..text import listed
from .columns import NAMES, check_columns, hint_of_columns
from .rows import Listing, Row, checked_split

__all__ = ["ENDINGS", "Line", "list_csv", "names_columns", "read_cells", "read_lines", "row_of"]

ENDINGS = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Line:
    """A line below the header: its cells by column name, without outer blanks."""

    file: Path
    number: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """Return file and line number, for errors."""
        return f"{self.file}: line {self.number}"


def list_csv(path: Path) -> Listing:
    """Return one row per line; image paths are relative to the file. Raises `DataError` with the line."""
    lines = read_lines(path, ("path", "label"))
    _check_files(path, lines)
    notes = check_columns(path, lines[0].cells, [line.cells["path"] for line in lines])
    return Listing([row_of(line, line.cells["label"]) for line in lines], notes=notes)


def _check_files(path: Path, lines: Sequence[Line]) -> None:
    """Raise `DataError` if none of the listed files exists, before other checks report its consequences."""
    if not any(_file(line).exists() for line in lines):
        first = printable(str(path.parent / lines[0].cells["path"]))
        raise DataError(f"{lines[0].where}: {first}: no such file, nor any other of the {len(lines)} listed files")


def row_of(line: Line, label: str | int) -> Row:
    """Return the row of a line, with its split if there is such a column."""
    split = checked_split(line.cells["split"], line.where) if "split" in line.cells else None
    return Row(printable(line.cells["path"]), split, label, partial(read, _file(line)))


def _file(line: Line) -> Path:
    """Return the image's path; Windows separators (img\\1.jpg) are converted if there is no such file."""
    file = line.file.parent / line.cells["path"]
    other = line.file.parent / line.cells["path"].replace("\\", "/")
    return other if other != file and not file.exists() and other.exists() else file


def read_lines(path: Path, needed: Sequence[str]) -> list[Line]:
    """Return all lines; raise `DataError` if a `needed` cell is empty. Column names are matched in any case."""
    lines = list((_json_lines if path.suffix.lower() == ".jsonl" else _csv_lines)(path, needed))
    if not lines:
        raise DataError(f"{path}: has no row below the header")
    for line in lines:
        empty = next((name for name in needed if not line.cells[name]), None)
        if empty:
            raise DataError(f"{line.where} has an empty {empty}")
    return lines


def names_columns(path: Path, needed: Sequence[str]) -> bool:
    """Return whether the file's first line has all `needed` columns."""
    if path.suffix.lower() == ".jsonl":
        header = list(next(_json_lines(path, ()), Line(path, 1, {})).cells)
    else:
        header = read_cells(path, _known(needed))[0]
    return _columns(header, needed).keys() >= set(needed)


def read_cells(path: Path, known: Collection[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV file and its non-empty lines with their numbers.

    The delimiter is the comma, semicolon or tab that yields most of the `known` columns in the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=_delimiter(first, known))
            header = [name.strip() for name in next(reader, [])]
            return header, [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except csv.Error as exc:
        raise DataError(f"{path}: line {reader.line_num} is not CSV: {exc}") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror}") from exc


def _delimiter(header: str, known: Collection[str]) -> str:
    def found(delimiter: str) -> int:
        return sum(cell.strip(' "\r\n').lower() in known for cell in header.split(delimiter))

    return max(",;\t", key=found)


def _csv_lines(path: Path, needed: Sequence[str]) -> Iterator[Line]:
    header, lines = read_cells(path, _known(needed))
    columns = _columns(header, needed)
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise DataError(f"{path}: its first line must name the columns {_lacking(needed, lacking, header)}")
    last = max(columns[name] for name in (*needed, "split") if name in columns)
    for number, cells in lines:
        if len(cells) <= last:
            raise DataError(f"{path}: line {number} has {len(cells)} of {len(columns)} columns")
        yield Line(path, number, {name: cells[at].strip() for name, at in columns.items() if at < len(cells)})


def _known(needed: Sequence[str]) -> set[str]:
    return {other for name in needed for other in NAMES.get(name, (name,))}


def _json_lines(path: Path, needed: Sequence[str]) -> Iterator[Line]:
    """Yield one line per JSON object; values that are neither text nor a number are empty cells."""
    try:
        texts = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror}") from exc
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise DataError(f"{path}: line {number} is not JSON") from exc
        if not isinstance(record, dict):
            raise DataError(f"{path}: line {number} must be an object: {{...}}")
        names = list(record)
        keys = {name: names[at] for name, at in _columns(names, needed).items()}
        cells = {name: _text(record[key]) for name, key in keys.items()}
        lacking = [name for name in needed if name not in cells]
        if lacking:
            raise DataError(f"{path}: line {number} must name {_lacking(needed, lacking, names)}")
        yield Line(path, number, cells)


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _columns(header: Sequence[str], needed: Sequence[str]) -> dict[str, int]:
    """Return the position of each column, with the `needed` ones and `split` under these names."""
    columns = {name: at for at, name in enumerate(header)}
    lower = {name.lower(): at for at, name in enumerate(header)}
    for name in (*needed, "split"):
        at = next((lower[other] for other in NAMES.get(name, (name,)) if other in lower), None)
        if at is not None:
            columns = {other: place for other, place in columns.items() if place != at} | {name: at}
    return columns


def _lacking(needed: Sequence[str], lacking: Sequence[str], header: Sequence[str]) -> str:
    has = printable(listed(header, 8)) or "nothing"
    return f"{','.join(needed)}; lacks {listed(lacking)}, has: {has}{hint_of_columns(header)}"

"""A CSV file with the columns path,label and perhaps split."""

import csv
from functools import partial
from pathlib import Path

from ..errors import DataError
from ..image import read
from .rows import Listing, Row, checked_split, listed, shown

__all__ = ["list_csv"]


def list_csv(path: Path) -> Listing:
    """A row a line; image paths are relative to the CSV file. `DataError` names the line breaking a rule."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _columns(path, next(reader, []))
            rows = [_row(path, reader.line_num, columns, line) for line in reader if line]
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except csv.Error as exc:
        raise DataError(f"{path}: line {reader.line_num} is no CSV: {exc}") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror}") from exc
    if not rows:
        raise DataError(f"{path}: holds no row below the header")
    return Listing(rows)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Where each column stands."""
    columns = {name.strip().lower(): at for at, name in enumerate(header)}
    lacking = [name for name in ("path", "label") if name not in columns]
    if lacking:
        has = shown(", ".join(header)) or "nothing"
        raise DataError(f"{path}: its first line must name the columns path,label; lacks {listed(lacking)}, has: {has}")
    return columns


def _row(path: Path, number: int, columns: dict[str, int], line: list[str]) -> Row:
    if len(line) <= max(columns[name] for name in ("path", "label", "split") if name in columns):
        raise DataError(f"{path}: line {number} has {len(line)} of {len(columns)} columns")
    image, label = line[columns["path"]].strip(), line[columns["label"]].strip()
    if not image or not label:
        raise DataError(f"{path}: line {number} has an empty {'label' if image else 'path'}")
    split = None
    if "split" in columns:
        split = checked_split(line[columns["split"]], f"{path}: line {number}")
    return Row(shown(image), split, label, partial(read, path.parent / image))

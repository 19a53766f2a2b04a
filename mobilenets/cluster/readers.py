"""The images of a part, one after another: key, what reads it, and its label where the data have one."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..data.labels import clean
from ..data.parquet import image_column, label_column
from ..data.shards import index_shard
from ..errors import DataError, ImageError, printable
from .plan import Part
from .storage import Place

__all__ = ["Item", "read_part"]


@dataclass(frozen=True, slots=True)
class Item:
    """An image of a part. `source` is what `runtime.predict` takes."""

    key: str
    source: Path | bytes | Callable[[], bytes]
    label: str | None = None


def read_part(part: Part, labels: tuple[str, ...] = (), labelled: bool = False) -> Iterator[Item]:
    """Yield the images of `part` in order, holding one in memory at a time.

    With `labelled` their labels are read as well: the first folder below the input, the label column, or the shard's
    .cls, .json or .txt. Numbers become names by `labels`. Raises `DataError` for a damaged shard or table.
    """
    found = _READERS[part.kind](part, labelled)
    return (Item(key, source, _name(label, labels, key)) for key, source, label in found)


_Found = tuple[str, Path | bytes | Callable[[], bytes], str | int | None]


def _files(part: Part, labelled: bool) -> Iterator[_Found]:
    folder = Place.of(part.where)
    for name in part.names:
        label, inside, _ = name.partition("/")
        shown = name if part.shown == "." else f"{part.shown.rstrip('/')}/{name}"
        yield shown, folder.below(name).image(), label if labelled and inside else None


def _shard(part: Part, labelled: bool) -> Iterator[_Found]:
    with Place.of(part.where).opened() as file:
        for member, label in list(index_shard(file, part.shown, labelled)):
            yield printable(f"{part.shown}:{member.name}"), _content(file, member), label


def _content(file: Any, member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    return bytes(file.read(member.size))


def _table(part: Part, labelled: bool) -> Iterator[_Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = Place.of(part.where)
    try:
        with place.opened_in_place() as file:
            table = pq.ParquetFile(file)
            image = image_column(part.shown, table.schema_arrow)
            label = label_column(part.shown, table.schema_arrow) if labelled else None
            columns = [image] if label is None else [image, label]
            batches = table.iter_batches(batch_size=64, row_groups=range(*part.groups), columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, part.row):
                yield f"{part.shown}[{number}]", _cell(place, row[image]), None if label is None else row[label]
    except pa.ArrowException as exc:
        raise DataError(f"{part.shown}: cannot be read as Parquet: {exc}") from exc


def _cell(table: Place, cell: Any) -> Path | bytes | Callable[[], bytes]:
    """Return what reads one cell: bytes, or {bytes, path} of which either may be null."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is not None:
        return bytes(data)
    beside = cell.get("path") if isinstance(cell, dict) else None
    return Place.of(table.url.rpartition("/")[0]).below(beside).image() if beside else partial(_nothing)


def _nothing() -> bytes:
    raise ImageError("the row has neither bytes nor a path")


_READERS = {"files": _files, "tar": _shard, "parquet": _table}


def _name(label: str | int | None, labels: tuple[str, ...], key: str) -> str | None:
    """Return the class that a label means; where `labels` are declared, a number that is no name is an index."""
    if label is None:
        return None
    text = clean(str(label), key)
    index = text.isascii() and text.isdigit() and (isinstance(label, int) or text not in labels)
    return labels[int(text)] if index and int(text) < len(labels) else text

"""Read Parquet in the Hugging Face image layout: `image: struct{bytes, path}`, `label`, and optionally `split`."""

import json
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError, ImageError, MissingExtraError, printable
from ..image import read
from ..text import listed
from .rows import Listing, Row, checked_split, split_of

__all__ = ["declared_names", "image_column", "label_column", "list_parquet"]

_IMAGE = ("image", "img")
_LABEL = ("label", "labels")


class _Spool:
    """The bytes of many images in one anonymous temporary file, deleted with this object.

    Parquet is read one row group at a time: reading one random image from it would decompress about a thousand.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()
        self._lock = threading.Lock()
        self._end = 0
        weakref.finalize(self, self._file.close)

    def add(self, data: bytes) -> Callable[[], bytes]:
        """Store `data` and return a function that reads it back, from any thread."""
        start, self._end = self._end, self._end + len(data)
        self._file.write(data)
        return partial(self._read, start, len(data))

    def _read(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


def list_parquet(root: Path, files: Sequence[Path]) -> Listing:
    """Return the rows of all `files`, with splits from their names. Raises `MissingExtraError` without pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise MissingExtraError("reading Parquet needs pyarrow", "train") from exc
    listing = Listing([])
    spool = _Spool()
    unlabelled = 0
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                names = declared_names(str(path), file.schema_arrow)
                if names and listing.names and names != listing.names:
                    raise DataError(f"{path}: its class names are not those of {files[0].name}")
                listing.names = names or listing.names
                listing.ordered = listing.names is not None
                _check_space(path, file.metadata)
                for row in _rows(root, path, file, spool):
                    if row.label == -1 and row.split == "test":  # Hugging Face's value for a hidden label
                        unlabelled += 1
                    else:
                        listing.rows.append(row)
        except (pa.ArrowException, OSError) as exc:
            raise DataError(f"{path}: cannot be read as Parquet: {' '.join(str(exc).split())[:200]}") from exc
    if unlabelled:
        listing.notes.append(f"ignored {unlabelled} rows of test without a label (-1)")
    return listing


def _check_space(path: Path, metadata: Any) -> None:
    needed = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        raise DataError(f"{path}: unpacks to {needed} bytes, the temporary folder has {free} free: set TMPDIR")


def _rows(root: Path, path: Path, file: Any, spool: _Spool) -> Iterator[Row]:
    image, label = _columns(path, file.schema_arrow)
    name = path.name if path == root else path.relative_to(root).as_posix()
    split = None if path == root else split_of(path.relative_to(root))
    columns = [image, label] + ["split"] * ("split" in file.schema_arrow.names)
    rows = (row for batch in file.iter_batches(batch_size=256, columns=columns) for row in batch.to_pylist())
    for at, row in enumerate(rows):
        where = f"{name}[{at}]"
        if row[label] is None:
            raise DataError(f"{where}: the label is null")
        own = checked_split(row["split"], where) if "split" in row else split
        yield Row(where, own, row[label], _reader(path, row[image], spool))


def _reader(path: Path, cell: Any, spool: _Spool) -> Callable[[], bytes]:
    """Return a function that reads one cell: bytes, or {bytes, path} of which either may be null."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is not None:
        return spool.add(data)
    where = cell.get("path") if isinstance(cell, dict) else None
    return partial(_read_beside, path.parent, where) if where else _nothing


def _read_beside(folder: Path, where: str) -> bytes:
    try:
        return read(folder / where)
    except ImageError as exc:
        raise ImageError(f"{printable(where)}: {exc}") from exc


def _nothing() -> bytes:
    raise ImageError("the row has neither bytes nor a path")


def _columns(path: Path, schema: Any) -> tuple[str, str]:
    """Return the names of the image column and of the label column, after checking their types."""
    image, label = image_column(str(path), schema), label_column(str(path), schema)
    if label is None:
        raise _lacks(str(path), "label", schema)
    return image, label


def image_column(path: str, schema: Any) -> str:
    """Return the name of the image column; raise `DataError` where there is none of bytes."""
    import pyarrow as pa

    image = next((name for name in _IMAGE if name in schema.names), None)
    if image is None:
        raise _lacks(path, "image", schema)
    kind = schema.field(image).type
    fields = {field.name for field in kind} if pa.types.is_struct(kind) else set()
    if "bytes" not in fields and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
        raise DataError(f"{path}: column {image} is {kind}, must be struct<bytes: binary, path: string>")
    return image


def label_column(path: str, schema: Any) -> str | None:
    """Return the name of the label column, None where there is none; raise `DataError` for one of another type."""
    import pyarrow as pa

    label = next((name for name in _LABEL if name in schema.names), None)
    if label is None:
        return None
    kind = schema.field(label).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{path}: column {label} is {kind}, must be integers or strings")
    return label


def _lacks(path: str, column: str, schema: Any) -> DataError:
    has = listed(schema.names, 8)
    return DataError(f"{path}: needs the columns image and label; lacks {column}, has: {has}")


def declared_names(path: str, schema: Any) -> tuple[str, ...] | None:
    """Return the class names that Hugging Face's `datasets` writes into the schema, or None."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = next(features[name]["names"] for name in _LABEL if name in features)
    except (TypeError, KeyError, ValueError, StopIteration):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: the class names in its schema must be a list of strings")
    return tuple(names)

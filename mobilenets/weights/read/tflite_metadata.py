"""TensorFlow Lite's own metadata (metadata_schema.fbs): normalisation of the image, and labels in a zip archive.

The archive follows the model. The few fields that are needed are read from the flatbuffer by their positions.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..layers import extra
from .tflite_file import File

__all__ = ["NAME", "labels_of", "normalisation_of"]

NAME = "TFLITE_METADATA"
MARK = b"M001"
MAX_LABELS = 1 << 22  # bytes
# a field's place in its table
SUBGRAPHS, INPUTS, OUTPUTS, PROCESS_UNITS, FILES = 3, 2, 3, 4, 6
KIND, OPTIONS = 0, 1  # of a ProcessUnit
MEAN, STD = 0, 1
FILE_NAME, FILE_TYPE, FILE_LOCALE = 0, 2, 3
NORMALISATION = 1  # ProcessUnitOptions
LABELS = (2, 3)  # AssociatedFileType: names of the places of an axis, or of values

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def normalisation_of(file: File, metadata: bytes) -> tuple[Numbers, Numbers] | None:
    """Return (mean, std) by which pixels are normalised before they are given to the file; None where it is not
    stated.
    """
    for image in _tensors(file, metadata, INPUTS):
        for unit in _tables(file, image, PROCESS_UNITS):
            options = _table(unit, OPTIONS) if _byte(unit, KIND) == NORMALISATION else None
            if options is not None:
                mean, std = (_floats(file, options, place) for place in (MEAN, STD))
                return (mean, std) if len(mean) and len(std) else None
    return None


def labels_of(file: File, metadata: bytes, content: bytes) -> tuple[str, ...] | None:
    """Return the lines of the labels file that the metadata names, one without a locale first; None where there is
    none.
    """
    named = [
        (_text(file, entry, FILE_LOCALE), _text(file, entry, FILE_NAME))
        for answer in _tensors(file, metadata, OUTPUTS)
        for entry in _tables(file, answer, FILES)
        if _byte(entry, FILE_TYPE) in LABELS
    ]
    for _, name in sorted(named, key=lambda entry: entry[0]):
        if (text := _member(content, name)) is not None:
            return tuple(line.strip("\r") for line in text.removesuffix("\n").split("\n"))
    return None


def _member(content: bytes, name: str) -> str | None:
    """Return a small text in the archive after the model."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            info = archive.getinfo(name)
            return archive.read(info).decode("utf-8") if info.file_size <= MAX_LABELS else None
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, ValueError, RuntimeError):
        return None


def _tensors(file: File, metadata: bytes, place: int) -> Iterator[Any]:
    """Return TensorMetadata of the inputs or outputs of the first subgraph."""
    if metadata[4:8] == MARK:
        flatbuffers = extra("flatbuffers")
        root = flatbuffers.table.Table(metadata, int.from_bytes(metadata[:4], "little"))
        for graph in _tables(file, root, SUBGRAPHS):
            yield from _tables(file, graph, place)
            return


def _field(table: Any, place: int) -> int:
    """Return the position of a field in the buffer; 0 where it is absent."""
    offset = table.Offset(4 + 2 * place)
    return int(offset) + table.Pos if offset else 0


def _byte(table: Any, place: int) -> int:
    at = _field(table, place)
    return int(table.Bytes[at]) if at else 0


def _table(table: Any, place: int) -> Any:
    at = _field(table, place)
    return type(table)(table.Bytes, table.Indirect(at)) if at else None


def _text(file: File, table: Any, place: int) -> str:
    at = _field(table, place)
    if not at:
        return ""
    text = table.String(at)
    file.spend(len(text))
    return str(text.decode("utf-8", "replace"))


def _tables(file: File, table: Any, place: int) -> Iterator[Any]:
    offset = table.Offset(4 + 2 * place)
    if offset:
        start = table.Vector(offset)
        for number in range(file.spend(table.VectorLen(offset))):
            yield type(table)(table.Bytes, table.Indirect(start + 4 * number))


def _floats(file: File, table: Any, place: int) -> Numbers:
    """Return float32 numbers with the decimals that were written."""
    offset = table.Offset(4 + 2 * place)
    if not offset:
        return np.zeros(0)
    count, start = file.spend(table.VectorLen(offset)), table.Vector(offset)
    values = np.frombuffer(table.Bytes, "<f4", count, start)
    return np.array([float(f"{value:.7g}") for value in values])

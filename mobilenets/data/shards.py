"""Read `.tar` shards in the WebDataset layout: key.jpg with key.cls, key.json or key.txt."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError, ImageError, printable
from ..folders import is_image
from ..image import EXTENSIONS, UNREAD
from .folder import unread
from .rows import Listing, Row, split_of

__all__ = ["index_shard", "list_shards"]

_LABELS = ("cls", "json", "txt")  # in this order: with a class file present, the text file is a caption
_MAX_LABEL = 1 << 20


def list_shards(root: Path, files: Sequence[Path]) -> Listing:
    """Return the rows of all `files`, with splits from their names. Images are read in place, by offset."""
    listing = Listing([])
    alone: list[str] = []
    photos: list[str] = []  # photos of unsupported formats
    for path in files:
        name = path.name if path == root else path.relative_to(root).as_posix()
        split = None if path == root else split_of(path.relative_to(root))
        for member, label in _index(path):
            where = printable(f"{name}:{member.name}")
            if not is_image(member.name):
                photos.append(where)
            elif label is None:
                alone.append(where)
            else:
                reader = partial(_read_at, path, member.offset_data, member.size)
                listing.rows.append(Row(where, split, label, reader))
    if alone:
        lacks = "no .cls, .txt or .json with a label"
        if not listing.rows:
            raise DataError(f"{alone[0]}: {lacks} for it, nor for any other image")
        listing.notes.append(f"ignored {len(alone)} images with {lacks} (first: {alone[0]})")
    listing.notes += unread(photos)
    return listing


def _index(path: Path) -> list[tuple[tarfile.TarInfo, str | int | None]]:
    try:
        with path.open("rb") as file:
            return list(index_shard(file, str(path)))
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror}") from exc


def index_shard(file: BinaryIO, name: str, labelled: bool = True) -> Iterator[tuple[tarfile.TarInfo, str | int | None]]:
    """Yield each image of an open shard with its label, in order, then the photos of unsupported formats.

    `name` is that of the shard in messages. Without `labelled` all labels are None, and their files are not read.
    Raises `DataError` for what is no complete, uncompressed archive.
    """
    images: dict[str, tarfile.TarInfo] = {}
    photos: list[tarfile.TarInfo] = []
    labels: dict[str, dict[str, str | int]] = {}
    try:
        for key, extension, member, text in _members(file, name, labelled):
            if f".{extension}" in EXTENSIONS:
                images.setdefault(key, member)
            elif f".{extension}" in UNREAD:
                photos.append(member)
            elif text is not None:
                label = _label(f"{name}:{member.name}", extension, text)
                if label is not None:
                    labels.setdefault(key, {})[extension] = label
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise DataError(f"{name}: cannot be read as an uncompressed .tar: {exc}") from exc
    for key, member in images.items():
        found = labels.get(key, {})
        yield member, next((found[extension] for extension in _LABELS if extension in found), None)
    yield from ((member, None) for member in photos)


def _members(file: BinaryIO, name: str, labelled: bool) -> Iterator[tuple[str, str, tarfile.TarInfo, bytes | None]]:
    """Yield (key, extension, member, content if it is a label) of each regular file; the key ends at the first dot."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            folder, _, base = member.name.rpartition("/")
            key, _, extension = base.partition(".")
            if key and member.isfile() and not member.issparse():
                extension = extension.lower()
                is_label = labelled and extension in _LABELS and member.size <= _MAX_LABEL
                label = archive.extractfile(member) if is_label else None
                yield f"{folder}/{key}", extension, member, label.read() if label else None
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile accepts this as a regular end
            raise DataError(f"{name}: has no end-of-archive mark: it is truncated or damaged")


def _label(where: str, extension: str, content: bytes) -> str | int | None:
    """Return the label in a .cls, .txt or .json file, or None for JSON without one."""
    try:
        text = content.decode("utf-8-sig").strip()
        if extension != "json":
            return text
        record = json.loads(text)
    except ValueError as exc:
        raise DataError(f"{printable(where)}: is not {'JSON' if extension == 'json' else 'UTF-8 text'}") from exc
    label = record.get("label") if isinstance(record, dict) else None
    if label is not None and (not isinstance(label, str | int) or isinstance(label, bool)):
        raise DataError(f"{printable(where)}: label (={label!r}) must be a string or an integer")
    return label


def _read_at(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as exc:
        raise ImageError(f"{path.name} cannot be read: {exc.strerror}") from exc
    if len(data) < size:
        raise ImageError(f"{path.name} is truncated")
    return data

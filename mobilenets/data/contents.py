"""Compute content hashes of images and of the data set as a whole."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError, ImageError
from .parallel import ordered
from .rows import Row

__all__ = ["Digest", "fingerprint", "hash_all", "unreadable_first"]

Digest = bytes  # SHA-256 of a file's bytes
_BATCH = 64  # files per job: with one, dispatching would dominate for many tiny images


def hash_all(reads: Sequence[Callable[[], bytes]], workers: int = 0) -> list[Digest | None]:
    """Return the content hash of each file, or None for a file that is empty or cannot be read."""
    batches = (reads[start : start + _BATCH] for start in range(0, len(reads), _BATCH))
    return [digest for batch in ordered(_hash_batch, batches, workers) for digest in batch]


def _hash_batch(reads: Sequence[Callable[[], bytes]]) -> list[Digest | None]:
    return [_hash(read) for read in reads]


def _hash(read: Callable[[], bytes]) -> Digest | None:
    try:
        data = read()
    except ImageError:
        return None
    return hashlib.sha256(data).digest() if data else None


@contextmanager
def unreadable_first(root: Path, rows: Sequence[Row], contents: Sequence[Digest | None]) -> Iterator[None]:
    """Prefix a `DataError` raised in the block with the unreadable images, which may have caused it."""
    try:
        yield
    except DataError as exc:
        lost = [row for row, content in zip(rows, contents, strict=True) if content is None]
        if not lost:
            raise
        named = [f"{row.name} ({_reason(row)})" for row in lost[:3]]
        text = f"{len(lost)} of {len(rows)} images cannot be read: {', '.join(named)}"
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise DataError(f"{root}: {text}{more}; {str(exc).removeprefix(f'{root}: ')}") from exc


def _reason(row: Row) -> str:
    try:
        return "can be read now" if row.read() else "the file is empty"
    except ImageError as exc:
        return str(exc)


def fingerprint(images: Iterable[tuple[str, str, Digest | None]]) -> str:
    """Return the SHA-256 (hex) of (split, label, content) of all images, independent of order, names and paths."""
    lines = sorted(
        f"{split}\t{label}\t{content.hex() if content else 'unreadable'}\n" for split, label, content in images
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()

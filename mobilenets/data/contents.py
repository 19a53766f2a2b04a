"""Content hashes: of all images, and of the data set as a whole."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError, ImageError
from .parallel import ordered
from .rows import Row

__all__ = ["Digest", "fingerprint", "hash_all", "unreadable_first"]

Digest = bytes  # SHA-256 of a file's bytes
_BATCH = 64  # files a job: one by one, a hundred thousand tiny images would mostly wait for the threads


def hash_all(reads: Sequence[Callable[[], bytes]], workers: int = 0) -> list[Digest | None]:
    """The content hash of each file, None for one that is empty or cannot be read."""
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
    """Put what cannot be read in front of a `DataError` that is raised meanwhile, as it may be the reason of it."""
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
    """SHA-256 (hex) over (split, label, content) of all images, whatever their order, names and place."""
    lines = sorted(
        f"{split}\t{label}\t{content.hex() if content else 'unreadable'}\n" for split, label, content in images
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()

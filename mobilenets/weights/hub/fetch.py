"""Published networks on this machine: downloaded once, always verified, kept as `CACHE/weights/NAME/FILE`.

All files are in that one folder, those of the Hugging Face Hub too: it can be copied to a machine without a network,
and a file can be put there by hand.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ...errors import DownloadError
from ...files import cache_folder, write_atomic
from ..layers import extra
from . import huggingface
from .catalogue import CATALOGUE, HUGGING_FACE, File, Published, distance
from .download import RETRIES, Report, RetryPolicy, Stated, discard, download

__all__ = ["Progress", "at_hand", "fetch"]

Progress = Callable[[str, int, int | None], None]  # file, bytes received, bytes in all (None: unknown)
Note = Callable[[str], None]


def fetch(
    published: Published,
    progress: Progress | None = None,
    note: Note | None = None,
    *,
    retries: RetryPolicy = RETRIES,
) -> tuple[Path, ...]:
    """Return the files of `published` on this machine; download those that are missing.

    A file that is present is verified and used without a request; a damaged one is replaced, which `note` reports. A
    file must have the length and the SHA-256 of the catalogue; where that has no SHA-256, the digest that the server
    states (the hub's SHA-256, the MD5 of Google's storage), and from then on the SHA-256 recorded as `FILE.sha256`.
    Raises `DownloadError`, which says where to put a file that cannot be downloaded.
    """
    folder = cache_folder() / "weights" / published.name
    return tuple(_fetch(file, folder / file.name, progress, note, retries) for file in published.files)


def at_hand(alpha: float, height: int) -> Published | None:
    """Return the published V1 nearest to (alpha, height) of those whose files are on this machine, if any.

    A file counts that has the right size; `fetch` verifies it. Networks with a head are left out, as `find` does.
    """
    folder = cache_folder() / "weights"
    plain = [p for p in CATALOGUE if not p.head and not p.family]
    here = [p for p in plain if all(_held(folder / p.name / file.name, file) for file in p.files)]
    return min(here, key=lambda published: distance(published, alpha, height), default=None)


def _held(path: Path, file: File) -> bool:
    return path.is_file() and file.size in (None, path.stat().st_size)


def _fetch(file: File, target: Path, progress: Progress | None, note: Note | None, retries: RetryPolicy) -> Path:
    try:
        if _damage(target, file) is None:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with extra("filelock").FileLock(target.with_name(f".{target.name}.lock")):
            damage = _damage(target, file)
            if damage is None:  # another process has downloaded it meanwhile
                return target
            if note and target.exists():
                note(f"{target}: {damage}: it is downloaded again")
            return _bring(file, target, _report(file.name, progress), retries)
    except DownloadError as exc:
        raise DownloadError(
            f"{file.name} cannot be downloaded: {exc} ({file.url}): put it at {target}, or set MOBILENETS_CACHE to a "
            "folder that has it, or give the file itself"
        ) from exc
    except OSError as exc:
        raise DownloadError(
            f"{target}: {exc.strerror or exc}: set MOBILENETS_CACHE to a folder that can be read and written"
        ) from exc


def _bring(file: File, target: Path, report: Report, retries: RetryPolicy) -> Path:
    if _offline():
        raise DownloadError("HF_HUB_OFFLINE is set")
    if file.where.startswith(HUGGING_FACE):
        folder = target.with_name(f".{target.name}.download")
        try:
            path, stated = huggingface.download(file.where, folder, report, retries)
            return _accept(path, file, stated, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    part = target.with_name(f"{target.name}.part")
    return _accept(part, file, download(file.where, part, file.size, report, retries), target)


def _accept(part: Path, file: File, stated: Stated, target: Path) -> Path:
    """Verify a file that has come and move it to where it belongs; a wrong one is deleted."""
    known: list[tuple[str, str | None]] = [("sha256", file.sha256), ("md5", file.md5), *([stated] if stated else [])]
    for function, digest in known:
        if digest and not (found := _digest(part, function)).startswith(digest):
            discard(part)
            raise DownloadError(f"its {function.upper()} is {found}, expected {digest}")
    if not file.sha256:
        write_atomic(_record(target), f"{_digest(part)}  {target.name}\n")  # as sha256sum writes and checks it
    os.replace(part, target)
    discard(part)
    return target


def _damage(target: Path, file: File) -> str | None:
    """Return what is wrong with the file at `target`; None where it is complete."""
    if not target.is_file():
        return "it is not there"
    size = target.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {size} bytes, expected {file.size}"
    expected = file.sha256 or _recorded(target)
    if expected and not (found := _digest(target)).startswith(expected):
        return f"its SHA-256 is {found}, expected {expected}"
    return None


def _recorded(target: Path) -> str | None:
    """Return the SHA-256 of the file when it was downloaded; None for one that was copied there."""
    try:
        return _record(target).read_text("ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return None


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _digest(path: Path, function: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, function).hexdigest()


def _offline() -> bool:
    """Return whether the variable that disables huggingface_hub's requests, and this package's, is set."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _report(name: str, progress: Progress | None) -> Report:
    return lambda done, total: progress(name, done, total) if progress else None

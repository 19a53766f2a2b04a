"""Writing files so that a reader never sees half of one, and where files are kept that can be made again."""

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .errors import UsageError, WorkError

__all__ = ["CacheWarning", "cache_folder", "check_output", "writable_cache", "write_atomic"]


def cache_folder() -> Path:
    """`MOBILENETS_CACHE`, or the platform's folder for caches."""
    own = os.environ.get("MOBILENETS_CACHE")
    if own:
        return Path(os.path.expanduser(own))
    import platformdirs

    return platformdirs.user_cache_path("mobilenets")


class CacheWarning(UserWarning):
    """The cache cannot be written; the work goes on without it."""


def writable_cache() -> Path:
    """Return `cache_folder`, or a folder that lasts as long as the process where the cache cannot be written.

    The cache only saves time: a `CacheWarning`, once, names the variable that chooses another one.
    """
    return _writable(cache_folder())


@cache
def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return folder
    except OSError as exc:
        message = f"the cache {folder} cannot be written ({exc.strerror}): set MOBILENETS_CACHE to a folder that can be"
        warnings.warn(f"{message}; what is compiled now is lost at the end", CacheWarning, stacklevel=2)
        temporary = Path(tempfile.mkdtemp(prefix="mobilenets-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return temporary


def check_output(
    path: Path,
    endings: tuple[str, ...],
    overwrite: bool,
    option: str = "--output",
    sources: Iterable[Path] = (),
    any_case: bool = False,
) -> None:
    """Check, before any work is done, that `path` may be written.

    Raises `UsageError` for an ending that is not among `endings`, for a folder that does not exist, for a path that is
    a folder, for a file that exists (unless `overwrite`), and always for one of `sources`, the files that are read.
    `any_case`: .HTML is as good as .html, which is not so of models: they are recognised by their exact ending.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name a file in it")
    if not (path.name.lower() if any_case else path.name).endswith(endings):
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent} to write it to")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another {option}, or --overwrite it")
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise UsageError(f"{path} is what is read: choose another {option}")


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write `content` under a temporary name beside `path`, fsync it, rename it into place; returns `path`.

    `WorkError` where that cannot be done; what stood at `path` before stands there still.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        return _write(path, data)
    except OSError as exc:
        raise WorkError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def _write(path: Path, data: bytes) -> Path:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path

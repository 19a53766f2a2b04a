"""Writing files so that a reader never sees half of one, and where files are kept that can be made again."""

import atexit
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import UsageError, WorkError

__all__ = [
    "CacheWarning",
    "cache_folder",
    "check_output",
    "remove_left_over",
    "writable_cache",
    "write_all",
    "write_atomic",
]


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
    write_all({path: content})
    return path


def write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write several files that belong together as `write_atomic` does: where one cannot be written, none is.

    (A process that is killed between two renames leaves some of them new and the others old, each of them whole.)
    """
    new: dict[Path, Path] = {}
    old: dict[Path, Path] = {}
    path = next(iter(contents))
    try:
        for path, content in contents.items():
            new[path] = _temporary(path, content.encode() if isinstance(content, str) else content)
        for path in contents if len(contents) > 1 else ():
            if path.exists():
                old[path] = new[path].with_name(f"{new[path].name}.old")
                _keep(path, old[path])
        for path, temporary in new.items():
            os.replace(temporary, path)
    except BaseException as exc:
        _put_back(new, old)
        if isinstance(exc, OSError):
            raise WorkError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
        raise
    finally:
        for left in (*new.values(), *old.values()):
            left.unlink(missing_ok=True)


def _keep(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except OSError:  # some file systems have no second names
        shutil.copyfile(path, name)


def _put_back(new: Mapping[Path, Path], old: dict[Path, Path]) -> None:
    """Undo renames, of several, that were done before one failed; an old file that stays out of place is kept."""
    for path, temporary in new.items():
        if len(new) > 1 and not temporary.exists():
            with suppress(OSError):
                if before := old.pop(path, None):
                    os.replace(before, path)
                else:
                    path.unlink(missing_ok=True)


def _temporary(path: Path, data: bytes) -> Path:
    """A new file beside `path` that holds `data`, on the disk."""
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o755 if path.suffix == ".so" else 0o644)  # as linkers do it
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def remove_left_over(paths: Iterable[Path]) -> None:
    """Remove what `write_atomic` to each of `paths` left beside it where the process was killed as it wrote."""
    for path in paths:
        pattern = re.compile(re.escape(_prefix(path)) + "[a-z0-9_]{8}")  # as tempfile names files
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name) and other.is_file() and not other.is_symlink():
                with suppress(OSError):  # it only takes room
                    other.unlink()

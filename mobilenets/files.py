"""Write files atomically, and locate the cache folder."""

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
    "check_place",
    "make_folder",
    "remove_left_over",
    "writable_cache",
    "write_all",
    "write_atomic",
]


def cache_folder() -> Path:
    """Return the folder `MOBILENETS_CACHE`, or the platform's cache folder."""
    own = os.environ.get("MOBILENETS_CACHE")
    if own:
        return Path(os.path.expanduser(own))
    import platformdirs

    return platformdirs.user_cache_path("mobilenets")


class CacheWarning(UserWarning):
    """The cache cannot be written, and is not used."""


def writable_cache() -> Path:
    """Return `cache_folder`, or a temporary folder for the lifetime of the process if the cache cannot be written.

    In the latter case a `CacheWarning` is issued once.
    """
    return _writable(cache_folder())


@cache
def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return folder
    except OSError as exc:
        message = f"the cache {folder} cannot be written ({exc.strerror}): set MOBILENETS_CACHE to a writable folder"
        warnings.warn(f"{message}; compiled files are deleted at exit", CacheWarning, stacklevel=2)
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
    """Check, before other work, that the output `path` of the flag `option` may be written.

    Raises `UsageError` if `path` is a folder, if its suffix is not among `endings`, if its folder does not exist, if
    the file exists (unless `overwrite`), and always if it is one of the input files `sources`. With `any_case`, .HTML
    is accepted for .html; suffixes of models are case-sensitive.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder, must be a file")
    if not (path.name.lower() if any_case else path.name).endswith(endings):
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: the folder {path.parent} does not exist")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another {option}, or use --overwrite")
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise UsageError(f"{path} is an input file: choose another {option}")


def check_place(folder: Path, setting: str) -> None:
    """Check, before other work, that `folder` can be made; the `UsageError` names the setting that says where."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{setting} (={folder}): {there} is {'not writable' if there.is_dir() else 'no folder'}")


def make_folder(folder: Path, setting: str) -> None:
    """Make `folder` and those above it; the `UsageError` names the setting that says where."""
    try:
        folder.mkdir(parents=True)
    except OSError as exc:
        raise UsageError(f"{setting} (={folder}): cannot be made: {exc.strerror}") from exc


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write `content` to a temporary file in the same folder, fsync it and rename it to `path`; return `path`.

    Raises `WorkError` if that fails; an existing file is then unchanged.
    """
    write_all({path: content})
    return path


def write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write several files like `write_atomic`; if one cannot be written, none is changed.

    If the process is killed between two renames, some files are new and others old, but each is complete.
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
    except OSError:  # some file systems have no hard links
        shutil.copyfile(path, name)


def _put_back(new: Mapping[Path, Path], old: dict[Path, Path]) -> None:
    """Undo the renames that succeeded before one failed; keep an old file that cannot be restored."""
    for path, temporary in new.items():
        if len(new) > 1 and not temporary.exists():
            with suppress(OSError):
                if before := old.pop(path, None):
                    os.replace(before, path)
                else:
                    path.unlink(missing_ok=True)


def _temporary(path: Path, data: bytes) -> Path:
    """Write `data` to a new file in the folder of `path`, and fsync it."""
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o755 if path.suffix == ".so" else 0o644)  # as linkers do
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
    """Remove temporary files of `write_atomic` to `paths` that a killed process left behind."""
    for path in paths:
        pattern = re.compile(re.escape(_prefix(path)) + "[a-z0-9_]{8}")  # as tempfile names files
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name) and other.is_file() and not other.is_symlink():
                with suppress(OSError):  # it only occupies space
                    other.unlink()

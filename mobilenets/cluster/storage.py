"""Files of inputs and outputs wherever fsspec reaches them: a local path, s3://bucket/folder, and others."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO

from ..errors import DataError, ImageError, MissingExtraError, UsageError, WorkError
from ..files import write_atomic
from ..folders import IGNORED, walk
from ..image import read

__all__ = ["Place", "is_url"]


def is_url(name: str | Path) -> bool:
    """Return whether `name` is a URL such as s3://bucket/folder."""
    return "://" in str(name)


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder: `url` is an absolute path or a URL, which means the same in every process."""

    url: str
    _files: Any  # fsspec's file system
    _path: str  # in it

    @classmethod
    def of(cls, name: str | Path) -> "Place":
        """Return the place that a user names; `UsageError` for a scheme that fsspec does not know."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as exc:
            raise MissingExtraError(f"{name}: work in parts needs fsspec", "cluster") from exc
        try:
            files, path = url_to_fs(str(name))
        except ImportError as exc:  # fsspec names the package
            raise UsageError(f"{name}: {exc}") from exc
        except ValueError as exc:
            raise UsageError(f"{name}: must be a path or a URL that fsspec opens: {exc}") from exc
        path = path.rstrip("/") or "/"
        return cls(path if _is_local(files) else files.unstrip_protocol(path), files, path)

    @property
    def local(self) -> bool:
        """Return whether this is a path of the file system."""
        return _is_local(self._files)

    def below(self, name: str) -> "Place":
        """Return the place of the file `name` in this folder, or this place itself for the empty name."""
        if not name:
            return self
        return Place(f"{self.url.rstrip('/')}/{name}", self._files, f"{self._path.rstrip('/')}/{name}")

    def exists(self) -> bool:
        return bool(self._ask(self._files.exists))

    def is_folder(self) -> bool:
        return bool(self._ask(self._files.isdir))

    def names(self) -> list[str]:
        """Return the names of the files in this folder, empty where there is no folder."""
        self._files.invalidate_cache()
        if not self.is_folder():
            return []
        return sorted(str(path).rpartition("/")[2] for path in self._ask(partial(self._files.ls, detail=False)))

    def walk(self) -> list[str]:
        """Return the path of every visible file at any depth, relative to this folder, sorted as by `folders.walk`."""
        if self.local:
            return [path[len(self._path.rstrip("/")) + 1 :] for path in walk(self._path)]
        found = (str(path)[len(self._path.rstrip("/")) + 1 :] for path in self._ask(self._files.find))
        return sorted((name for name in found if _visible(name)), key=lambda name: name.split("/"))

    def matches(self) -> list[str]:
        """Return the URLs of what matches, where this is a pattern of a scheme, such as s3://bucket/*.tar."""
        return sorted(self._files.unstrip_protocol(path) for path in self._ask(self._files.glob))

    def image(self) -> Path | Callable[[], bytes]:
        """Return what `runtime.predict` reads: the path of a local file, else a function that fetches it."""
        return Path(self._path) if self.local else self._fetch

    def _fetch(self) -> bytes:
        try:
            return bytes(self._files.cat_file(self._path))
        except FileNotFoundError as exc:
            raise ImageError("no such file") from exc

    def read(self) -> bytes:
        """Return the content; raises `DataError`."""
        return read(Path(self._path)) if self.local else bytes(self._ask(self._files.cat_file))

    def write(self, content: bytes) -> None:
        """Write a file as a whole: readers see all of it or nothing. Its folder is made."""
        if self.local:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(Path(self._path), content)
            return
        try:
            self._files.pipe_file(self._path, content)  # one object, which exists when it is complete
        except Exception as exc:  # of the library behind the scheme
            raise WorkError(f"{self.url}: cannot be written: {exc}") from exc

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open a file to read at any position; a remote one is copied to a temporary file first. `DataError`."""
        try:
            with self._files.open(self._path, "rb") as file:
                if self.local:
                    yield file
                    return
                with tempfile.TemporaryFile() as copy:
                    copyfileobj(file, copy, 1 << 22)
                    copy.seek(0)
                    yield copy
        except OSError as exc:
            raise DataError(f"{self.url}: cannot be read: {exc.strerror or exc}") from exc

    @contextmanager
    def opened_in_place(self) -> Iterator[BinaryIO]:
        """Open a file of which little is read, such as the end of a Parquet file. `DataError`."""
        try:
            with self._files.open(self._path, "rb") as file:
                yield file
        except OSError as exc:
            raise DataError(f"{self.url}: cannot be read: {exc.strerror or exc}") from exc

    def _ask(self, what: Callable[[str], Any]) -> Any:
        try:
            return what(self._path)
        except Exception as exc:  # of the library behind the scheme: no connection, no such bucket, access denied
            raise DataError(f"{self.url}: cannot be read: {exc or type(exc).__name__}") from exc


def _is_local(files: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(files, LocalFileSystem)


def _visible(name: str) -> bool:
    return not any(part.startswith(IGNORED) for part in name.split("/"))

"""Writing files so that a reader never sees half of one, and where files are kept that can be made again."""

import os
import tempfile
from pathlib import Path

from .errors import WorkError

__all__ = ["cache_folder", "write_atomic"]


def cache_folder() -> Path:
    """`MOBILENETS_CACHE`, or the platform's folder for caches."""
    own = os.environ.get("MOBILENETS_CACHE")
    if own:
        return Path(os.path.expanduser(own))
    import platformdirs

    return platformdirs.user_cache_path("mobilenets")


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

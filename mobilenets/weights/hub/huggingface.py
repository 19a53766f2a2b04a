"""Download of one file from the Hugging Face Hub by its own client, which reads HF_ENDPOINT, HF_TOKEN and others."""

import re
from pathlib import Path
from typing import Any

from ...errors import DownloadError
from ..layers import extra
from .catalogue import HUGGING_FACE
from .download import MAX_BYTES, Report, RetryPolicy, Stated, TemporaryFailure, with_retries, words

__all__ = ["download"]


def download(where: str, folder: Path, report: Report, retries: RetryPolicy) -> tuple[Path, Stated]:
    """Return the file that `where` (hf://OWNER/REPOSITORY/FILE) names, in `folder`, and the SHA-256 that the hub
    states.

    The client copies it from its own cache where another program has downloaded it. Raises `DownloadError` with a short
    reason.
    """
    repository, _, name = where.removeprefix(HUGGING_FACE).rpartition("/")
    return with_retries(lambda: _attempt(repository, name, folder, report), retries)


def _attempt(repository: str, name: str, folder: Path, report: Report) -> tuple[Path, Stated]:
    hub = extra("huggingface_hub")
    try:
        known = hub.get_hf_file_metadata(hub.hf_hub_url(repository, name))
        if (known.size or 0) > MAX_BYTES:
            raise DownloadError(f"it has {known.size} bytes there, more than {MAX_BYTES} are not taken")
        path = hub.hf_hub_download(
            repository, name, revision=known.commit_hash, local_dir=folder, tqdm_class=_bar(report)
        )
    except DownloadError:
        raise
    except Exception as exc:  # its own, httpx's or httpx2's, by version
        raise _failure(exc) from exc
    is_sha256 = re.fullmatch("[0-9a-f]{64}", known.etag or "")  # of files kept with LFS; others have a git hash
    return Path(path), ("sha256", known.etag) if is_sha256 else None


def _failure(exc: Exception) -> Exception:
    """Return `TemporaryFailure` for an error that another attempt may resolve, else `DownloadError`."""
    response = getattr(exc, "response", None)
    if response is None:
        return TemporaryFailure(f"no connection: {words(exc)}")
    code = response.status_code
    failure = TemporaryFailure if code == 429 or code >= 500 else DownloadError
    return failure(f"the server says {code}")


def _bar(report: Report) -> Any:
    """Return a class of progress bars that draw nothing; the first of them reports.

    Files in Xet's storage have two: bytes written, and bytes transferred.
    """
    tqdm: Any = extra("huggingface_hub.utils").tqdm
    bars: list[Any] = []

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})
            bars.append(self)

        def update(self, n: float | None = 1) -> None:
            """Count `n` more bytes."""
            self.n += n or 0
            if self is bars[0]:
                report(int(self.n), self.total)

    return Bar

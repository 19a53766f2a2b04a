"""Download of one file over HTTP: resumed after a break, bounded, retried where that may help.

The bytes received so far are in `NAME.part`; `NAME.part.etag` holds the version of the file that they belong to.
"""

import base64
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import DownloadError
from ..layers import extra

if TYPE_CHECKING:
    import httpx

__all__ = [
    "MAX_BYTES",
    "RETRIES",
    "Report",
    "RetryPolicy",
    "Stated",
    "TemporaryFailure",
    "discard",
    "download",
    "with_retries",
    "words",
]

T = TypeVar("T")
Report = Callable[[int, int | None], None]  # bytes received, bytes in all (None: not stated)
Stated = tuple[str, str] | None  # the server's digest of the whole file: hash function, hex digits

MAX_BYTES = 256 << 20  # six times the largest file of the catalogue


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits on waiting for servers and networks."""

    timeout: float = 20.0  # seconds without a byte
    attempts: int = 4  # in all
    pause: float = 0.5  # seconds before the second attempt, doubled before each further one
    longest: float = 20.0  # seconds that a server may ask to wait (Retry-After)


RETRIES = RetryPolicy()


class TemporaryFailure(Exception):
    """A failure that may be temporary."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for


def with_retries(once: Callable[[], T], retries: RetryPolicy) -> T:
    """Return the result of `once`, which is repeated while it raises `TemporaryFailure`.

    Raises `DownloadError` after the last attempt.
    """
    reason, wait = "", 0.0
    for attempt in range(retries.attempts):
        if attempt:
            time.sleep(min(max(wait, retries.pause * 2 ** (attempt - 1)), retries.longest))
        try:
            return once()
        except TemporaryFailure as exc:
            reason, wait = str(exc), exc.wait
    raise DownloadError(reason)


def download(url: str, part: Path, size: int | None, report: Report, retries: RetryPolicy = RETRIES) -> Stated:
    """Download the rest of `url` to `part` and return the digest that the server states; nothing is verified.

    Raises `DownloadError` with a short reason; the bytes received by then are kept for the next call, unless they are
    too many or the length is not `size`.
    """
    httpx = extra("httpx")
    with _client(retries) as client:
        try:
            return with_retries(lambda: _attempt(client, url, part, size, report), retries)
        except httpx.TooManyRedirects as exc:
            raise DownloadError("it redirects endlessly") from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise DownloadError(words(exc)) from exc


def discard(part: Path) -> None:
    """Remove what has come so far."""
    part.unlink(missing_ok=True)
    _etag(part).unlink(missing_ok=True)


def words(exc: Exception) -> str:
    """Return the text of an exception in one line."""
    return " ".join(str(exc).split()) or type(exc).__name__


def _client(retries: RetryPolicy) -> Any:
    headers = {"User-Agent": "mobilenets", "Accept-Encoding": "identity"}
    try:
        return extra("httpx").Client(follow_redirects=True, timeout=retries.timeout, headers=headers)
    except (ImportError, ValueError) as exc:
        raise DownloadError(f"the proxy settings cannot be used: {words(exc)}") from exc


def _attempt(client: "httpx.Client", url: str, part: Path, size: int | None, report: Report) -> Stated:
    """Make one request for the missing part of the file."""
    httpx = extra("httpx")
    there, etag = _resumable(part)
    headers = {"Range": f"bytes={there}-", "If-Range": etag} if there else {}
    try:
        with client.stream("GET", url, headers=headers) as response:
            _check_status(response, part, there)
            total = _total(response)
            _check_length(total, size, part)
            if response.status_code == 200:
                _begin(part, response.headers.get("ETag", ""))
            _receive(response, part, total or size, report)
            return _stated(response)
    except httpx.ConnectError as exc:
        raise TemporaryFailure(f"no connection: {words(exc)}") from exc
    except httpx.TimeoutException as exc:
        raise TemporaryFailure("the server does not respond") from exc
    except (httpx.NetworkError, httpx.RemoteProtocolError) as exc:
        raise TemporaryFailure(f"the connection broke: {words(exc)}") from exc


def _resumable(part: Path) -> tuple[int, str]:
    """Return (bytes that are present, their version), or (0, "") where no download can be resumed."""
    try:
        return part.stat().st_size, _etag(part).read_text("ascii")
    except (OSError, ValueError):
        return 0, ""


def _begin(part: Path, etag: str) -> None:
    """Create an empty part; a file without a version, or with a weak one (W/"..."), is not resumed."""
    discard(part)
    part.touch()
    if etag.startswith('"'):
        _etag(part).write_text(etag, "ascii")


def _check_status(response: "httpx.Response", part: Path, there: int) -> None:
    code = response.status_code
    status = f"the server says {code} {response.reason_phrase}".rstrip()
    if code == 429 or code >= 500:
        raise TemporaryFailure(status, _seconds(response.headers.get("Retry-After", "")))
    goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {there}-")
    if code == 416 or (code == 206 and not (there and goes_on)):
        discard(part)
        raise TemporaryFailure("the server does not send the rest of it")
    if code not in (200, 206):
        raise DownloadError(status)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"the server sends it in the encoding {response.headers['Content-Encoding']!r}")


def _check_length(total: int | None, size: int | None, part: Path) -> None:
    """Check, before any byte is read, that the stated length is the known one and within the bound."""
    if total is not None and size is not None and total != size:
        discard(part)
        raise DownloadError(f"it has {total} bytes there, expected {size}")
    if total is not None and total > MAX_BYTES:
        discard(part)
        raise DownloadError(f"it has {total} bytes there, more than {MAX_BYTES} are not taken")


def _receive(response: "httpx.Response", part: Path, total: int | None, report: Report) -> None:
    """Append the body; `total`: bytes of the whole file."""
    limit = MAX_BYTES if total is None else total
    with part.open("ab") as file:
        there = file.tell()
        report(there, total)
        for chunk in response.iter_raw():
            there += len(chunk)
            if there > limit:
                break
            file.write(chunk)
            file.flush()  # nothing is lost if the process is killed
            report(there, total)
        os.fsync(file.fileno())
    if there > limit:
        discard(part)
        raise DownloadError(f"more than the {limit} bytes came that it may have")
    if total is not None and there < total:
        raise TemporaryFailure(f"the connection broke after {there} of {total} bytes")


def _total(response: "httpx.Response") -> int | None:
    """Return the bytes of the whole file as the response states them."""
    if response.status_code == 206:
        stated = response.headers["Content-Range"].rpartition("/")[2]
    else:
        stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else None


def _stated(response: "httpx.Response") -> Stated:
    """Return the MD5 that Google's storage sends with a file: `x-goog-hash: crc32c=..., md5=BASE64`."""
    found = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", response.headers.get("x-goog-hash", ""))
    return ("md5", base64.b64decode(found[1]).hex()) if found else None


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() else 0.0


def _etag(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")

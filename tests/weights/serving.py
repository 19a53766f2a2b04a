"""A server on this machine that serves files as their makers' servers do, and misbehaves where it is told to."""

import base64
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", bytes], None]


@dataclass
class Site:
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)  # path -> content
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # path -> sent with every answer
    answers: dict[str, list[Answer]] = field(default_factory=dict)  # path -> to the next requests, before plain ones
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, headers

    def put(self, path: str, content: bytes, *answers: Answer, **headers: str) -> str:
        """Serve `content`; returns its address."""
        self.files[path] = content
        self.answers[path] = list(answers)
        self.headers[path] = {name.replace("_", "-"): value for name, value in headers.items()}
        return f"{self.url}{path}"

    def ranges(self) -> list[str | None]:
        """The Range header of each request."""
        return [headers.get("Range") for _, _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.site.requests.append((self.command, self.path, dict(self.headers)))
        if self.path not in self.site.files:
            return status(404)(self, b"")
        waiting = self.site.answers[self.path]
        (waiting.pop(0) if waiting else plain)(self, self.site.files[self.path])

    do_HEAD = do_GET

    def start(self, code: int, length: int | None, **headers: str) -> None:
        self.send_response(code)
        sent = {**self.site.headers.get(self.path, {}), **{k.replace("_", "-"): v for k, v in headers.items()}}
        if length is not None:
            sent["Content-Length"] = str(length)
        else:
            self.close_connection = True
            sent["Connection"] = "close"
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()

    def body(self, content: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(content)

    def wanted(self, content: bytes) -> int | None:
        """Where the range begins that the client may have; None: it gets the whole."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None or self.headers.get("If-Range", etag(content)) != etag(content):
            return None
        return int(asked[1])

    def log_message(self, *_: object) -> None:
        pass


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def google_hash(content: bytes) -> str:
    return f"crc32c=AAAAAA==,md5={base64.b64encode(hashlib.md5(content).digest()).decode()}"


def plain(handler: Handler, content: bytes) -> None:
    """The whole, or the range that is asked for."""
    first = handler.wanted(content)
    if first is not None and first >= len(content):
        handler.start(416, 0, Content_Range=f"bytes */{len(content)}")
    elif first is not None:
        rest = content[first:]
        where = f"bytes {first}-{len(content) - 1}/{len(content)}"
        handler.start(206, len(rest), ETag=etag(content), Content_Range=where)
        handler.body(rest)
    else:
        handler.start(200, len(content), ETag=etag(content))
        handler.body(content)


def whole(handler: Handler, content: bytes) -> None:
    """No ranges."""
    handler.start(200, len(content), ETag=etag(content))
    handler.body(content)


def chunks(size: int) -> Answer:
    """The whole without a Content-Length, `size` bytes at a time."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, None)
        for first in range(0, len(content), size):
            handler.body(content[first : first + size])

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda handler, _: handler.start(code, 0, **headers)


def redirect(to: str, code: int = 302, **headers: str) -> Answer:
    return status(code, Location=to, **headers)


def breaks(after: int) -> Answer:
    """The connection ends after so many bytes of what is asked for."""

    def answer(handler: Handler, content: bytes) -> None:
        first = handler.wanted(content) or 0
        code = 206 if first else 200
        where = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        handler.start(code, len(content) - first, ETag=etag(content), **where)
        handler.body(content[first : first + after])
        handler.close_connection = True

    return answer


def claims(length: int) -> Answer:
    """A Content-Length of its own."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, length, ETag=etag(content))
        handler.body(content)
        handler.close_connection = True

    return answer


def stalls(after: int, seconds: float) -> Answer:
    """Nothing comes for so long after so many bytes."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content), ETag=etag(content))
        handler.body(content[:after])
        time.sleep(seconds)
        handler.body(content[after:])

    return answer


def endless(handler: Handler, content: bytes) -> None:
    handler.start(200, None)
    while True:
        handler.body(bytes(1 << 20))


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = QuietServer(("127.0.0.1", 0), handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


class QuietServer(ThreadingHTTPServer):
    """Threads die with the test; clients that leave are no news."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass

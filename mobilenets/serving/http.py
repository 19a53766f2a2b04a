"""uvicorn as this server runs it: limits of time, size and number for connections; start and end."""

import asyncio
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from time import monotonic
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import UsageError
from ..progress import Watch
from .app import Application
from .connections import Acceptor, JoinedWrites
from .settings import Settings
from .watching import Watcher

__all__ = ["Server", "bound_socket"]

MAX_HEADERS = 32 << 10  # bytes
EVERY = 0.1  # seconds between checks of what is late
GRACE = 0.5  # seconds in which clients learn that the server is shutting down
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Protocol(HttpToolsProtocol):
    """A connection, whose requests must arrive in time and with small headers."""

    settings: Settings
    scope: Any
    since: float | None = None  # when the request that is being received began
    _headers = 0  # bytes
    _refused = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
        self.since = monotonic()
        if len(self.connections) > self.settings.max_connections:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.since, self._headers = monotonic(), 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._headers += size
        if self._headers > MAX_HEADERS:
            self._refused = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("headers are too large")  # the parser ends the connection

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.since = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the images of the request, which nobody waits for any more."""
        if self.scope is not None and self.cycle is not None and not self.cycle.response_complete:
            self.scope["abandoned"] = True
            for future in self.scope.get("futures", ()):
                future.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        rule = f"the headers are larger than {MAX_HEADERS} bytes" if self._headers > MAX_HEADERS else "this is no HTTP"
        self.refuse(self._refused, rule)

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error and close the connection."""
        body = json.dumps({"error": message})
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        self.transport.close()

    def check(self, now: float) -> None:
        """Refuse a request that takes too long to arrive."""
        if self.since is not None and now - self.since > self.settings.timeout and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                rule = f"the request did not arrive within {self.settings.timeout:g} s"
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, rule)
            else:
                self.transport.close()


class Server(uvicorn.Server):
    """uvicorn that checks what is late, and answers what it has accepted before it ends."""

    def __init__(
        self, app: Application, settings: Settings, watch: Watch, ready: Callable[[str], None] | None = None
    ) -> None:
        self._app, self._settings, self._watch, self._ready = app, settings, watch, ready
        kind = type("LimitedProtocol", (Protocol,), {"settings": settings})
        config = uvicorn.Config(
            app,
            http=kind,
            ws="none",
            access_log=False,
            log_level="critical",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(settings.timeout) + 1,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
        )
        try:
            config.load()
        except OSError as exc:  # also of ssl
            raise UsageError(f"certificate (={settings.certificate}): {exc.strerror or exc}") from exc
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        shared = self._settings.workers > 1 and sys.platform != "win32"  # whose event loop does not watch sockets
        await super().startup([] if shared else sockets)
        self._acceptors = [Acceptor(one, self._connect) for one in sockets or () if shared]
        self._tasks = [asyncio.create_task(self._check())]
        if self._settings.watch:
            self._tasks.append(asyncio.create_task(Watcher(self._app, self._watch).run()))
        if self._ready is not None:
            self._ready(", ".join(f"{model.name} ({model.precision})" for model in self._app.models.values()))

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self._app.engine.expire()
            self._app.metrics.waiting.set(self._app.engine.waiting)
            now = monotonic()
            for connection in list(self.server_state.connections):
                connection.check(now)  # type: ignore[union-attr]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new requests, answer those that were accepted, then close.

        A connection without a request stays open for a while: its client may just be sending one.
        """
        self._app.draining = True
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.sleep(GRACE)
        late = [connection for one in sockets or () for connection in _accepted(one)]
        for server in self.servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.close()
        for connection in late:
            await self._connect(connection)
        end = monotonic() + GRACE
        while (self._app.active or (self.server_state.connections and monotonic() < end)) and not self.force_exit:
            await asyncio.sleep(EVERY)
        await super().shutdown(sockets)
        self._tasks[0].cancel()

    async def _connect(self, connection: socket.socket) -> None:
        with suppress(OSError):  # also of TLS: the client has gone
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM with exit code 0, where uvicorn ends by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that wait to be accepted, which closing the socket would reset."""
    with suppress(BlockingIOError):
        while True:
            yield listening.accept()[0]


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host` and `port`; `UsageError` where it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as exc:
        raise UsageError(f"host (={host}), port (={port}): {getattr(exc, 'strerror', None) or exc}") from exc
    return bound

"""Connections: accepted one at a time where several processes share a socket, and written to once for a response."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Acceptor", "JoinedWrites"]

BACKLOG = 2048  # connections that wait to be accepted, as uvicorn's
PAUSE = 1.0  # seconds without accepting where files or memory have run out
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts one connection at a time, between which the event loop does its other work.

    Event loops accept all that wait at once, so that one process gets the connections of all clients that come together
    and the others none. Here a process that is busy leaves the next connection to one that is not.
    """

    def __init__(self, listening: socket.socket, connect: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._listening, self._connect = listening, connect
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Future[None]] = set()
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._loop.add_reader(listening, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError as exc:  # another process was faster, or the client has gone
            if exc.errno in EXHAUSTED:
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE, self._again)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        task = asyncio.ensure_future(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more and close the socket."""
        self._loop.remove_reader(self._listening)
        self._listening.close()


class JoinedWrites:
    """A transport that writes at once what is written to it in one turn of the event loop.

    uvicorn writes the head of a response and then its body: two system calls and two packets, which would wake the
    client twice.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Write `data` together with what else is written in this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def close(self) -> None:
        """Write what is left and close the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

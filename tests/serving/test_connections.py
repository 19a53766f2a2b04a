"""Connections of several processes, one at a time, and writes that go out together."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from mobilenets.serving import connections
from mobilenets.serving.connections import Acceptor, JoinedWrites


class Listening(socket.socket):
    """A socket that cannot accept as often as `failing` says."""

    failing = 0
    error = errno.EMFILE

    def accept(self) -> Any:
        if self.failing:
            self.failing -= 1
            raise OSError(self.error, "refused")
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def clients(listening: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(listening.getsockname(), timeout=10) for _ in range(count)]


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def test_processes_that_share_a_socket_share_the_connections(listening: Listening) -> None:
    """All clients come together: neither takes them all."""
    taken: list[list[socket.socket]] = [[], []]
    asked = clients(listening, 8)

    async def keep(into: list[socket.socket], connection: socket.socket) -> None:
        into.append(connection)

    async def main() -> None:
        both = [
            Acceptor(one, partial(keep, into)) for one, into in zip((listening, listening.dup()), taken, strict=True)
        ]
        await until(lambda: sum(map(len, taken)) == 8)
        for acceptor in both:
            acceptor.close()

    asyncio.run(main())
    assert min(map(len, taken)) >= 3
    assert all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in taken[0] + taken[1])
    for one in (*asked, *taken[0], *taken[1]):
        one.close()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ECONNABORTED, errno.EAGAIN])
def test_a_connection_that_cannot_be_accepted_yet(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """It waits where files have run out; the event loop is not kept busy by it."""
    monkeypatch.setattr(connections, "PAUSE", 0.05)
    listening.failing, listening.error = 1, error
    taken: list[socket.socket] = []
    (asked,) = clients(listening, 1)

    async def keep(connection: socket.socket) -> None:
        taken.append(connection)

    async def main() -> bool:
        acceptor = Acceptor(listening, keep)
        await until(lambda: not listening.failing)
        for _ in range(5):
            await asyncio.sleep(0)
        waits = not taken
        await until(lambda: taken)
        acceptor.close()
        return waits

    assert asyncio.run(main()) == (error == errno.EMFILE)
    assert listening.fileno() == -1
    for one in (asked, *taken):
        one.close()


def test_closed_while_it_waits(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PAUSE", 0.01)
    listening.failing = 1
    (asked,) = clients(listening, 1)
    errors: list[dict[str, Any]] = []

    async def never(connection: socket.socket) -> None:
        raise AssertionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        acceptor = Acceptor(listening, never)
        await until(lambda: not listening.failing)
        acceptor.close()
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert errors == []
    asked.close()


class Transport:
    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


def test_writes_of_one_turn_go_out_together() -> None:
    transport = Transport()

    async def main() -> None:
        joined = JoinedWrites(transport)  # type: ignore[arg-type]
        joined.write(b"head ")
        joined.write(b"body")
        assert transport.calls == []
        await asyncio.sleep(0)
        joined.write(b"next")
        await asyncio.sleep(0)
        joined.write(b"last")
        assert not joined.is_closing()
        joined.close()
        assert joined.is_closing()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert transport.calls == [b"head body", b"next", b"last", "close"]

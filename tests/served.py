"""Servers that tests start in a thread of this process."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mobilenets.progress import Watch
from mobilenets.runtime import Runner
from mobilenets.serving.app import Application
from mobilenets.serving.http import Server, bound_socket
from mobilenets.serving.served import open_all
from mobilenets.serving.settings import Settings


@dataclass
class Notes(Watch):
    """Keeps what a server says."""

    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Running:
    """A server that runs in a thread."""

    app: Application
    server: Server
    port: int
    notes: Notes

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(models: Sequence[object], **settings: object) -> Iterator[Running]:
    """Serve models on a free port until the block ends."""
    kept = Settings(port=0, **{"quiet": True, **settings})  # type: ignore[arg-type]
    app, notes = Application(open_all(list(map(str, models)), kept, Watch()), kept), Notes()
    server = Server(app, kept, notes)
    listening = bound_socket(kept.host, kept.port)
    thread = threading.Thread(target=server.run, args=([listening],))
    port = listening.getsockname()[1]
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Running(app, server, port, notes)
    finally:
        server.should_exit = True
        thread.join()


class Gated:
    """A runner that computes nothing until its gate is open."""

    def __init__(self, inner: Runner) -> None:
        self.inner, self.gate, self.runs = inner, threading.Event(), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, images: Any) -> Any:
        assert self.gate.wait(30)
        self.runs += 1
        return self.inner.run(images)


@contextmanager
def gated(running: Running) -> Iterator[Gated]:
    """Hold the network of a server back until its gate is set, or the block ends."""
    (name, model), *_ = running.app.models.items()
    runner = Gated(model.session)
    running.app.models[name] = replace(model, session=runner, wide=runner)  # type: ignore[arg-type]
    try:
        yield runner
    finally:
        runner.gate.set()
        running.app.models[name] = model


def until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds, half a minute at most."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def raw(port: int, data: bytes, end: bool = False) -> bytes:
    """Send bytes; return all that comes back until the server closes the connection, or has sent a whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sent:
        sent.sendall(data)
        if end:
            sent.shutdown(socket.SHUT_WR)
        return answer(sent)


def answer(connection: socket.socket) -> bytes:
    """Return one response of a connection, what came of it where it is closed."""
    got = b""
    while True:
        head, found, body = got.partition(b"\r\n\r\n")
        if found and (length := re.search(rb"content-length: (\d+)", head)) and len(body) >= int(length[1]):
            return got
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return got
        if not more:
            return got
        got += more

"""Run the server in this process, or in several that share its socket."""

import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from ..errors import MissingExtraError, MobilenetsError, WorkError
from ..progress import Watch
from .settings import Settings

__all__ = ["run_server"]

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # names the folder in which prometheus-client keeps the figures of workers


def run_server(models: Sequence[str], settings: Settings, watch: Watch) -> None:
    """Open the models and serve them until SIGINT or SIGTERM; requests that were accepted are answered first."""
    try:
        from .http import bound_socket
    except ImportError as exc:
        raise MissingExtraError(f"the server needs {exc.name}", "serve") from None
    with bound_socket(settings.host, settings.port) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http{'s' if settings.certificate else ''}://{host}:{listening.getsockname()[1]}"

        def ready(names: str) -> None:
            watch.note(f"serving {names} at {address}")

        if settings.workers == 1:
            serve_models(models, settings, listening, watch, ready)
        else:
            _Workers(models, settings, listening, watch).run(ready)


def serve_models(
    models: Sequence[str], settings: Settings, listening: socket.socket, watch: Watch, ready: Callable[[str], None]
) -> None:
    """Serve models in this process; `ready` receives their names when they are served."""
    from .app import Application
    from .http import Server
    from .served import open_all

    app = Application(open_all(models, settings, watch), settings)
    Server(app, settings, watch, ready).run([listening])


class _Workers:
    """Processes that serve the same socket; one that dies after it has served is replaced."""

    def __init__(self, models: Sequence[str], settings: Settings, listening: socket.socket, watch: Watch) -> None:
        self._job = (models, replace(settings, threads=settings.used_threads), listening)
        self._count, self._watch = settings.workers, watch
        self._running: dict[SpawnProcess, Connection] = {}  # each tells when it serves
        self._ending = False

    def run(self, ready: Callable[[str], None]) -> None:
        """Start the workers and wait until all have ended after a signal."""
        before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:
            os.environ[SHARED] = folder
            try:
                for _ in range(self._count):
                    self._start()
                names = [self._served(one) for one in [*self._running]]
                if not self._ending:
                    ready(f"{names[0]} in {self._count} workers")
                self._keep()
            finally:
                self._end()
                for process in self._running:
                    process.join()
                del os.environ[SHARED]
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _start(self) -> None:
        parent, child = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_worker, args=(*self._job, child))
        process.start()
        child.close()
        self._running[process] = parent

    def _served(self, process: SpawnProcess) -> str:
        """Return the names that a worker serves, once it does; raises `WorkError` where it ends before."""
        with suppress(EOFError), self._running[process] as told:
            names, error = told.recv()
            if error is None:
                return str(names)
            raise WorkError(error)
        if not self._ending:
            raise WorkError("a worker ended before it served")
        return ""

    def _keep(self) -> None:
        """Replace workers that die, until a signal ends them all."""
        while self._running and not self._ending:
            wait([process.sentinel for process in self._running], timeout=1)
            for process, told in [*self._running.items()]:
                if process.exitcode is not None and not self._ending:
                    if not told.closed:  # what it told was not read yet
                        self._served(process)
                    del self._running[process]
                    self._watch.note(f"a worker ended with exit code {process.exitcode}, another one starts")
                    self._start()

    def _end(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._ending = True
        self._job[-1].close()  # the workers have it, and the last of them refuses what comes later
        for process in self._running:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGTERM)


def _worker(models: Sequence[str], settings: Settings, listening: socket.socket, told: Connection) -> None:
    """Serve in a process of its own; tell its parent that it does, or why not."""
    try:
        serve_models(models, settings, listening, Watch(), lambda names: told.send((names, None)))
    except MobilenetsError as exc:
        told.send(("", str(exc)))

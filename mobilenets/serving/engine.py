"""Threads that take images from a bounded queue, one image a thread."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from ..errors import MobilenetsError

__all__ = ["Engine", "Full"]


class Full(MobilenetsError):
    """The queue is full."""


class Engine:
    """Threads that run functions for the event loop in which it is made; at most `most` wait or run at once."""

    def __init__(self, threads: int, most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._most, self.waiting = most, 0
        self._threads = [threading.Thread(target=self._work, name=f"predict-{at}") for at in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Return the future of what `work` returns; raises `Full`."""
        if self.waiting >= self._most:
            raise Full(f"{self.waiting} images wait, at most {self._most} do")
        self.waiting += 1
        future = self._loop.create_future()
        self._queue.put((work, future))
        return future

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            work, future = job
            result: Any = None
            error: Exception | None = None
            try:
                result = work()
            except Exception as exc:  # it is raised where the future is awaited
                error = exc
            self._loop.call_soon_threadsafe(self._done, future, result, error)

    def _done(self, future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        self.waiting -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def close(self) -> None:
        """End the threads after what is queued."""
        for _ in self._threads:
            self._queue.put(None)

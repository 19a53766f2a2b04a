"""The bounded queue of images, and the threads that take images from it, one image a thread."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import Any

__all__ = ["Done", "Engine", "Full", "Late"]


class Full(Exception):
    """The queue is full."""


class Late(Exception):
    """The deadline of a request has passed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a piece of work returned, and the seconds that it waited."""

    result: Any
    waited: float


Work = Callable[[bool], Any]
Job = tuple[Work, "asyncio.Future[Done]", float]


class Engine:
    """Threads that work for the event loop in which it is made; at most `most` pieces of work wait or run at once.

    Work receives whether it is alone, so that it may use all cores. Each must be done within `timeout` seconds.
    A single thread is the event loop's own, which looks for requests after each piece of work: another one would cost
    some 100 µs a piece, since the two would wait for each other's Python code.
    """

    def __init__(self, threads: int, most: int, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._pending: deque[Job] = deque()
        self._timeout, self.most, self.waiting = timeout, most, 0
        others = threads if threads > 1 else 0
        self._threads = [threading.Thread(target=self._serve, name=f"predict-{at}") for at in range(others)]
        for thread in self._threads:
            thread.start()

    @property
    def full(self) -> bool:
        """Return whether nothing more is accepted."""
        return self.waiting >= self.most

    def submit(self, works: Sequence[Work]) -> "list[asyncio.Future[Done]]":
        """Return the futures of what each of `works` returns; raises `Full` where not all can wait."""
        if self.waiting + len(works) > self.most:
            raise Full(f"{self.waiting} images wait, and at most {self.most} may")
        now = perf_counter()
        jobs = [(work, self._loop.create_future(), now) for work in works]
        self.waiting += len(jobs)
        self._pending.extend(jobs)
        idle = self._queue.empty()
        for job in jobs:
            self._queue.put(job)
        if idle and not self._threads:
            self._loop.call_soon(self._step)
        return [future for _, future, _ in jobs]

    def expire(self) -> None:
        """Raise `Late` in the futures that are not done in time; the oldest come first."""
        last = perf_counter() - self._timeout
        while self._pending and (self._pending[0][2] < last or self._pending[0][1].done()):
            future = self._pending.popleft()[1]
            if not future.done():
                future.set_exception(Late(f"no answer within {self._timeout:g} s"))

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish, job[1], self._done(job))
            del job

    def _step(self) -> None:
        """Do one piece of work in the event loop, then others after it has looked for requests."""
        if (job := self._queue.get()) is not None:
            self._finish(job[1], self._done(job))
        if not self._queue.empty():
            self._loop.call_soon(self._step)

    def _done(self, job: Job) -> "Done | Exception | None":
        """Return the result of a piece of work, or its error; None where nobody waits for it any more."""
        work, future, submitted = job
        if future.done():  # given up by the client, or late
            return None
        begin = perf_counter()
        try:
            return Done(work(self.waiting == 1), begin - submitted)
        except Exception as exc:  # it is raised where the future is awaited
            return exc

    def _finish(self, future: "asyncio.Future[Done]", done: Done | Exception | None) -> None:
        self.waiting -= 1
        if future.done() or done is None:
            return
        if isinstance(done, Exception):
            future.set_exception(done)
        else:
            future.set_result(done)

    def close(self) -> None:
        """End the threads, if there are any, after what is queued."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

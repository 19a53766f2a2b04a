"""Many small jobs on all cores, results in order, memory bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..machine import cores

__all__ = ["ordered"]

T = TypeVar("T")
R = TypeVar("R")


def ordered(function: Callable[[T], R], items: Iterable[T], workers: int = 0) -> Iterator[R]:
    """`function` of each item, in the items' order, by `workers` threads (0: one a core).

    At most four results a thread wait to be taken. Leaving early (an error, Ctrl-C) drops what has not begun.
    """
    workers = workers or cores()
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

"""Run many small jobs on all cores, with ordered results and bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..machine import cores

__all__ = ["ordered"]

T = TypeVar("T")
R = TypeVar("R")


def ordered(function: Callable[[T], R], items: Iterable[T], workers: int = 0) -> Iterator[R]:
    """Yield `function(item)` for each item, in order, computed by `workers` threads (0: one per core).

    At most four results per thread are buffered. If iteration stops early (error, Ctrl-C), pending items are cancelled.
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

"""The queue of images: its order, its bound, its deadline, and whose threads work."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from mobilenets.serving.engine import Engine, Full, Late

THREADS = pytest.mark.parametrize("threads", [1, 3])


@contextmanager
def engine(threads: int, most: int = 8, timeout: float = 30.0) -> Iterator[Engine]:
    made = Engine(threads, most, timeout)
    try:
        yield made
    finally:
        made.close()


def fails(alone: bool) -> None:
    raise ValueError("damaged")


@THREADS
def test_results_errors_and_bound(threads: int) -> None:
    async def main() -> list[Any]:
        with engine(threads, most=4) as made:
            futures = made.submit([lambda alone: 1, fails, lambda alone: 3])
            with pytest.raises(Full, match="3 images wait, and at most 4 may"):
                made.submit([lambda alone: 4] * 2)
            done = await asyncio.gather(*futures, return_exceptions=True)
            assert made.waiting == 0
            later = await asyncio.gather(*made.submit([lambda alone: 5] * 4))
            return [*done, *later]

    first, error, *others = asyncio.run(main())
    assert (first.result, str(error), [one.result for one in others]) == (1, "damaged", [3, 5, 5, 5, 5])


@THREADS
def test_whose_threads_work(threads: int) -> None:
    async def main() -> set[threading.Thread]:
        with engine(threads) as made:
            done = await asyncio.gather(*made.submit([lambda alone: threading.current_thread()] * 8))
            return {one.result for one in done}

    assert (threading.current_thread() in asyncio.run(main())) == (threads == 1)


def test_a_single_thread_looks_for_requests_after_each_image() -> None:
    order: list[str] = []

    def call(name: str, then: Callable[[], object] | None = None) -> None:
        order.append(name)
        if then is not None:
            asyncio.get_running_loop().call_soon(then)

    async def main() -> None:
        with engine(1) as made:
            works = [partial(lambda name, alone: order.append(name), f"image {at}") for at in range(3)]
            futures = [*made.submit(works[:1]), *made.submit(works[1:])]
            asyncio.get_running_loop().call_soon(partial(call, "event 0", partial(call, "event 1")))
            await asyncio.gather(*futures)

    asyncio.run(main())
    assert order == ["image 0", "event 0", "image 1", "event 1", "image 2"]


@THREADS
def test_alone_in_the_queue(threads: int) -> None:
    async def main() -> list[bool]:
        with engine(threads) as made:
            return [(await made.submit([lambda alone: alone])[0]).result for _ in range(2)]

    assert asyncio.run(main()) == [True, True]

    async def together() -> bool:
        with engine(threads) as made:
            gate = threading.Event()
            first, second = made.submit([lambda alone: (alone, gate.set()), lambda alone: gate.wait(10)])
            await second
            return bool((await first).result[0])

    assert not asyncio.run(together())


@THREADS
def test_given_up_and_late(threads: int) -> None:
    ran: list[int] = []

    async def main() -> None:
        with engine(threads, timeout=0.0) as made:
            gate = threading.Event()
            if threads > 1:  # all of them are busy while the others wait
                made.submit([lambda alone: gate.wait(10)] * threads)
            given_up, late = made.submit([lambda alone: ran.append(0), lambda alone: ran.append(1)])
            given_up.cancel()
            made.expire()
            gate.set()
            with pytest.raises(Late, match="no answer within 0 s"):
                await late
            while made.waiting:
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert ran == []

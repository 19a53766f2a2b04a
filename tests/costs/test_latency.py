"""Timings: the interval covers what it says, calls take turns, and what is told apart differs."""

import math
import random
import time
from itertools import groupby

import pytest

from mobilenets.costs import Latency
from mobilenets.costs.latency import MIN_RUNS, summarise, time_interleaved


@pytest.mark.parametrize("n", [*range(MIN_RUNS, 120), 999, 2000])
def test_interval_covers_the_median_in_95_percent(n: int) -> None:
    """Exactly, by the binomial distribution: the k-th of n is below the median with P(B(n, 1/2) >= k)."""
    latency = summarise([float(i) for i in range(n)], 1, "none")
    low, high = int(latency.low), int(latency.high)
    assert latency.median == (n - 1) / 2 == (low + high) / 2
    coverage = sum(math.comb(n, k) for k in range(low + 1, high + 1)) / 2**n
    assert 0.95 <= coverage <= 0.99


def test_order_statistics() -> None:
    values = [float(i) for i in range(1, 102)]
    random.Random(0).shuffle(values)
    latency = summarise(values, 3, "runtime")
    assert (latency.median, latency.p10, latency.p90) == (51, 11, 91)
    assert (latency.low, latency.high) == (41, 61)
    assert (latency.runs, latency.threads, latency.runtime) == (101, 3, "runtime")


def test_calls_take_turns_in_bursts() -> None:
    order: list[str] = []
    first, second = time_interleaved([lambda: order.append("a"), lambda: order.append("b")], 0.05, 1, "none")
    turns = "".join(order).replace("aa", "a").replace("bb", "b")
    while "aa" in turns or "bb" in turns:
        turns = turns.replace("aa", "a").replace("bb", "b")
    assert turns.startswith("abab")
    assert min(first.runs, second.runs) >= MIN_RUNS


def test_warm_up_runs_and_the_first_of_each_burst_are_not_counted() -> None:
    order: list[str] = []

    def call(name: str) -> None:
        order.append(name)
        time.sleep(0.002)

    timed = time_interleaved([lambda: call("a"), lambda: call("b")], 0.0, 1, "none", warmup=7)
    turns = ["".join(turn) for _, turn in groupby(order)]
    assert turns[:2] == [7 * "a", 7 * "b"]  # all are warm before one is timed
    for latency, name in zip(timed, "ab", strict=True):
        assert latency.runs == sum(len(turn) - 1 for turn in turns[2:] if name in turn)


@pytest.mark.parametrize(
    ("milliseconds", "counted"),
    [(1.5, 7), (3, 4), (4, 3), (6, 3), (40, 3)],  # 10 ms or more, and 3 runs or more
)
def test_a_burst_is_ten_milliseconds_and_three_runs(
    milliseconds: float, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the calls advance. The first run of a burst is not counted."""
    clock, order = 0.0, ""

    def call(name: str) -> None:
        nonlocal clock, order
        clock += milliseconds
        order += name

    monkeypatch.setattr(time, "perf_counter", lambda: clock / 1000)
    timed = time_interleaved([lambda: call("a"), lambda: call("b")], 0.0, 1, "none", warmup=0)
    bursts = -(-MIN_RUNS // counted)
    assert order == bursts * ((counted + 1) * "a" + (counted + 1) * "b")
    for latency in timed:
        assert latency.runs == bursts * counted
        assert (latency.low, latency.median, latency.high) == pytest.approx([milliseconds] * 3)


def test_calls_are_warmed_up_by_default() -> None:
    order: list[str] = []
    time_interleaved([lambda: order.append("a"), lambda: order.append("b")], 0.0, 1, "none")
    assert "".join(order).startswith(5 * "a" + 5 * "b" + "a")


def test_slow_calls_still_run_often_enough() -> None:
    clock = time_interleaved([lambda: math.fsum(range(20_000))] * 2, 0.0, 1, "none")
    assert all(latency.runs >= MIN_RUNS and latency.low <= latency.median <= latency.high for latency in clock)


def test_nothing_to_time() -> None:
    assert time_interleaved([], 1.0, 1, "none") == []


def test_distinct_from() -> None:
    def latency(low: float, high: float) -> Latency:
        return Latency((low + high) / 2, low, high, low, high, 15, 1, "none")

    assert latency(1, 2).distinct_from(latency(2.1, 3)) and latency(2.1, 3).distinct_from(latency(1, 2))
    assert not latency(1, 2).distinct_from(latency(2, 3))
    assert not latency(1, 4).distinct_from(latency(2, 3))


def test_processor_time_does_not_count_waiting() -> None:
    (waited,) = time_interleaved([lambda: time.sleep(0.005)], 0.0, 1, "none", clock=time.thread_time)
    assert waited.median < 2.5  # of 5 ms and more by the clock on the wall

"""Measured latency: medians with their confidence intervals."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Latency", "summarise", "time_interleaved"]

MIN_RUNS = 15  # the fewest whose 95% interval of the median leaves out three outliers on each side
BURST_MS = 10.0  # longer than refilling a cache, shorter than changes of the processor's clock


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one image. `low` to `high` is the 95% confidence interval of the median."""

    median: float
    low: float
    high: float
    p10: float
    p90: float
    runs: int
    threads: int
    runtime: str

    def distinct_from(self, other: "Latency") -> bool:
        """Return whether the two intervals do not overlap."""
        return self.high < other.low or other.high < self.low


def summarise(milliseconds: list[float], threads: int, runtime: str) -> Latency:
    """Return order statistics of the runs.

    The interval lies between the ranks (n -+ 1.96 * sqrt(n)) / 2 (binomial).
    """
    ranked = sorted(milliseconds)
    n = len(ranked)
    low = max(0, int((n - 1.96 * n**0.5 - 1) / 2))
    median = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
    p10, p90 = ranked[n // 10], ranked[n - 1 - n // 10]
    return Latency(median, ranked[low], ranked[n - 1 - low], p10, p90, n, threads, runtime)


def time_interleaved(
    calls: Sequence[Callable[[], object]],
    seconds: float,
    threads: int,
    runtime: str,
    warmup: int = 5,
    clock: Callable[[], float] | None = None,
) -> list[Latency]:
    """Time the calls in turn, AAA BBB CCC AAA ..., for `seconds` in all and at least `MIN_RUNS` each.

    In turn, so that a machine that slows down slows all of them. In bursts of `BURST_MS`, whose first run is
    not counted: run by run the calls push each other out of the cache and all take up to twice their time.
    Each call first runs `warmup` times. `clock` gives the seconds of a run, by default `time.perf_counter`.
    """
    clock = clock or time.perf_counter
    for call in calls:
        for _ in range(warmup):
            call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while calls and (time.perf_counter() < end or min(map(len, times)) < MIN_RUNS):
        for call, record in zip(calls, times, strict=True):
            call()
            record += _burst(call, clock)
    return [summarise(record, threads, runtime) for record in times]


def _burst(call: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    """Return milliseconds of each run over `BURST_MS` and at least 3 runs."""
    record: list[float] = []
    start = last = clock()
    while len(record) < 3 or last - start < BURST_MS / 1e3:
        call()
        now = clock()
        record.append((now - last) * 1e3)
        last = now
    return record

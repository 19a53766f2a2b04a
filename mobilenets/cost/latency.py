"""Latency as it is measured: medians with their uncertainty, never mult-adds in disguise."""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Latency", "time_interleaved"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one image. `low` to `high` is the 95 % confidence interval of the median."""

    median: float
    low: float
    high: float
    p10: float
    p90: float
    runs: int
    threads: int
    runtime: str

    def distinct_from(self, other: "Latency") -> bool:
        """True where the two intervals do not overlap."""
        return self.high < other.low or other.high < self.low


def summarise(milliseconds: list[float], threads: int, runtime: str) -> Latency:
    """Order statistics of the runs; the interval's ranks are n/2 -+ 1.96 * sqrt(n) / 2 (binomial)."""
    ranked = sorted(milliseconds)
    n = len(ranked)
    half = 1.96 * n**0.5 / 2
    low, high = max(0, int(n / 2 - half)), min(n - 1, int(n / 2 + half))
    return Latency(
        ranked[n // 2], ranked[low], ranked[high], ranked[n // 10], ranked[(9 * n) // 10], n, threads, runtime
    )


def time_interleaved(
    calls: list[Callable[[], object]], seconds: float, threads: int, runtime: str, warmup: int = 5
) -> list[Latency]:
    """Time each call in turn, A B C A B C ..., for `seconds` in all (at least 15 runs each) after `warmup` runs."""
    for call in calls:
        for _ in range(warmup):
            call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 15:
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            record.append((time.perf_counter() - start) * 1e3)
    return [summarise(record, threads, runtime) for record in times]

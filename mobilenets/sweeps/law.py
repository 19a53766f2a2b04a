"""What a sweep shows: networks with the mean of their seeds, the log-linear law, the Pareto front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

from .results import Row

__all__ = ["Group", "Law", "fit_law", "front", "groups"]

FEWEST = 3  # points of a law


@dataclass(frozen=True, slots=True)
class Group:
    """The finished trials of one network."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """Return the trial with the first seed."""
        return self.rows[0]

    @property
    def is_peer(self) -> bool:
        """Return whether its trials are of one of the paper's other networks."""
        return self.first.is_peer

    @property
    def top1(self) -> float:
        """Return the mean top-1 of all seeds, in %."""
        return 100 * mean(row.top1 or 0.0 for row in self.rows)

    @property
    def spread(self) -> float | None:
        """Return the standard deviation of top-1 over the seeds, in points; None of one seed."""
        return 100 * stdev(row.top1 or 0.0 for row in self.rows) if len(self.rows) > 1 else None


@dataclass(frozen=True, slots=True)
class Law:
    """top-1 = `at_million` + `slope` * log10(cost / 1 million), in %, with its residuals in points."""

    at_million: float
    slope: float
    rms: float  # root mean square of the residuals
    worst: float
    explained: float  # share of the variance (R squared)
    points: int

    @property
    def line(self) -> tuple[float, float]:
        """Return (top-1 at a million, slope)."""
        return self.at_million, self.slope

    def at(self, cost: float) -> float:
        """Return top-1 in % by the law."""
        return self.at_million + self.slope * math.log10(cost / 1e6)


def groups(rows: Sequence[Row]) -> list[Group]:
    """Return the networks of the finished trials in the order of the plan."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.state == "done" and row.top1 is not None:
            found.setdefault(row.network, []).append(row)
    return [Group(tuple(of_network)) for of_network in found.values()]


def fit_law(points: Sequence[tuple[float, float]]) -> Law | None:
    """Return the least-squares line of top-1 (%) over the logarithm of a cost; None of fewer than 3 costs."""
    if len({cost for cost, _ in points}) < FEWEST:
        return None
    x = np.log10([cost / 1e6 for cost, _ in points])
    y = np.array([top1 for _, top1 in points])
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    start = float(y.mean() - slope * x.mean())
    residual = y - start - slope * x
    variance = float(((y - y.mean()) ** 2).sum())
    return Law(
        at_million=start,
        slope=slope,
        rms=float(np.sqrt((residual**2).mean())),
        worst=float(np.abs(residual).max()),
        explained=1 - float((residual**2).sum()) / variance if variance else 1.0,
        points=len(points),
    )


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, score) that no other betters, cheapest first."""
    best, kept = -math.inf, list[int]()
    key: Callable[[int], tuple[float, float]] = lambda at: (points[at][0], -points[at][1])  # noqa: E731
    for at in sorted(range(len(points)), key=key):
        if points[at][1] > best:
            best = points[at][1]
            kept.append(at)
    return kept

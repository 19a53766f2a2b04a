"""Successive halving: after a fourth and a half of the epochs, the better half of the networks goes on.

A network is better than another if it lies on an earlier Pareto front of accuracy against cost, so that small networks
are compared with small ones; within a front, if it is more accurate.
"""

from collections.abc import Mapping, Sequence

from ..arch.network import Network
from ..costs import cost
from .plan import SweepPlan

__all__ = ["better_half", "rungs_of", "share_of_work", "survivors"]

_PARTS = (4, 2)  # of the epochs


def rungs_of(epochs: int) -> tuple[int, ...]:
    """Return the numbers of epochs after which half of the networks are stopped."""
    return tuple(sorted({epochs // part for part in _PARTS} - {0, epochs}))


def share_of_work(rungs: Sequence[int], epochs: int) -> float:
    """Return the mean share of its epochs that a trial is trained, where half of them stop at each rung."""
    left, done, total = 1.0, 0, 0.0
    for rung in (*rungs, epochs):
        total += left * (rung - done)
        left, done = left / 2, rung
    return total / epochs


def survivors(plan: SweepPlan, numbers: Sequence[int], scores: Mapping[int, float], by_cost: bool) -> list[int]:
    """Return the trials that go on, in their order: those of the better half of the networks, by their mean scores.

    `scores` are of the trials that can go on. All seeds of a network go on or none. Without `by_cost` accuracy alone
    counts.
    """
    of_network: dict[Network, list[float]] = {}
    for number in numbers:
        if number in scores:
            of_network.setdefault(plan.trials[number].settings.network, []).append(scores[number])
    networks = list(of_network)
    points = [
        (sum(found) / len(found), cost(network).mult_adds if by_cost else 0) for network, found in of_network.items()
    ]
    kept = {networks[at] for at in better_half(points)}
    return [number for number in numbers if number in scores and plan.trials[number].settings.network in kept]


def better_half(points: Sequence[tuple[float, int]]) -> list[int]:
    """Return the indices of half of the points (score, cost), rounded up: by Pareto front, then by score."""
    left, ranked = list(range(len(points))), list[int]()
    while left:
        front = [at for at in left if not any(_dominates(points[other], points[at]) for other in left)]
        ranked += sorted(front, key=lambda at: (-points[at][0], points[at][1], at))
        left = [at for at in left if at not in front]
    return sorted(ranked[: -(-len(points) // 2)])


def _dominates(a: tuple[float, int], b: tuple[float, int]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b

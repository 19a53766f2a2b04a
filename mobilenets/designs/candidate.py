"""A network with its costs and predicted accuracy, and the Pareto front of several."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arch.network import Network
from ..costs import Cost, DeviceCost, Latency

__all__ = ["Candidate", "pareto", "rank"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with its costs; `top1` in % is predicted or the user's measurement.

    `latency` is set where it was measured, `device` where the budget is of a microcontroller.
    """

    network: Network
    cost: Cost
    top1: float
    score: float  # what to rank by: `Prior.score`
    latency: Latency | None = None
    device: DeviceCost | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the network, its costs and its accuracy as JSON."""
        latency = None if self.latency is None else asdict(self.latency)
        values = {**self.cost.to_dict(layers=False), "top1": self.top1, "latency_ms": latency}
        return values if self.device is None else {**values, "device": self.device.to_dict(layers=False)}


def rank(candidate: Candidate) -> tuple[float, int, int, str]:
    """Return the sort key, best first: more accurate, then cheaper, then by name, so that the order is unique."""
    return -candidate.score, candidate.cost.mult_adds, candidate.cost.params, candidate.network.name


def pareto(candidates: Sequence[Candidate], costs: Sequence[Callable[[Candidate], float]]) -> tuple[Candidate, ...]:
    """Return the candidates that no other equals or betters in accuracy and in every one of `costs`, least accurate
    first.

    Of several that are equal in all of these, the first by `rank` is returned.
    """
    front: list[Candidate] = []
    kept = np.empty((len(candidates), len(costs)))
    for candidate in sorted(candidates, key=rank):
        values = [cost(candidate) for cost in costs]
        if not (kept[: len(front)] <= values).all(axis=1).any():
            kept[len(front)] = values
            front.append(candidate)
    return tuple(reversed(front))

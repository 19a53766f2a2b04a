"""`search(Budget) -> Design`: the most accurate network that fits, its Pareto front, and the reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..costs import cost
from ..errors import BudgetError
from .budget import Bound, Budget, Estimate
from .candidate import Candidate, pareto, rank
from .latency import Measure, fastest_enough, median, show_latency
from .prior import Prior
from .space import Space, broad_family

__all__ = ["Design", "search"]


@dataclass(frozen=True, slots=True, repr=False)
class Design:
    """The result of a search. `front` holds `choice`, its most accurate candidate, last."""

    choice: Candidate
    # accuracy against the bounded costs; with max_latency, of the networks that were measured and fit
    front: tuple[Candidate, ...]
    considered: int  # networks in the space
    feasible: int  # of these, within every bound that needs no measurement
    reason: str  # which bounds bind, what the next better network costs, where the accuracies come from

    def __repr__(self) -> str:
        return f"Design({self.choice.network.name}, the best of {self.feasible:,} within the budget)"

    def __str__(self) -> str:
        return f"{self.choice.network.name}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets design`, whose keys docs/json.md lists."""
        return {
            "choice": self.choice.to_dict(),
            "reason": self.reason,
            "front": [candidate.to_dict() for candidate in self.front],
            "considered": self.considered,
            "feasible": self.feasible,
        }


def search(
    budget: Budget, space: Space, prior: Prior, measure: Measure | None = None, estimate: Estimate | None = None
) -> Design:
    """Return the network of `space` that `prior` ranks best within `budget`.

    `measure` is needed for max_latency only: `runtime.measure.measure_networks`; `estimate` for a budget of a device:
    a `devices.Estimator`. Raises `BudgetError` where there is no bound or no network fits, and `LatencyError` where
    timings cannot decide.
    """
    bounds = budget.bounds(estimate)
    _check(budget, bounds, space, prior, measure)
    candidates = sorted((Candidate(n, cost(n), prior.predict(n), prior.score(n)) for n in space.networks()), key=rank)
    within = [c for c in candidates if _fits(c, bounds)]
    if not within:
        raise BudgetError(_impossible(bounds, candidates))
    costs: list[Callable[[Candidate], float]] = [_cost_of(bound) for bound in bounds]
    if not budget.measured or measure is None:
        choice, front, fitting = within[0], pareto(within, costs), within
        if estimate is not None:
            choice, *others = (replace(c, device=estimate.cost(c.network)) for c in (choice, *front))
            front = tuple(others)
        next_better = _next_better(choice, candidates, bounds)
    else:
        limit = float(budget.max_latency or 0)
        choice, measured, complete = fastest_enough(within, limit, measure)
        fast = [c for c in measured if median(c) <= limit and rank(c) >= rank(choice)]
        front, fitting = pareto(fast, [*costs, median]), fast
        slow = [c for c in measured if rank(c) < rank(choice)]
        next_better = _next_better(choice, candidates, bounds)
        if slow:
            rival = min(slow, key=median)
            next_better = f"max_latency {limit:.4g} ms binds: {rival.network.name} takes {show_latency(rival)}"
        if not complete:
            next_better += f"; time ran out after {len(measured)} networks: a better one may fit"
    beside = _others(choice, fitting, candidates)
    reason = f"{_summary(choice, bounds)}; {next_better}. {beside}Accuracy is {prior.label}."
    return Design(choice, front, len(candidates), len(within), reason)


def _check(budget: Budget, bounds: Sequence[Bound], space: Space, prior: Prior, measure: Measure | None) -> None:
    if not bounds and not budget.measured:
        flash = ", max_flash" if budget.device else ""
        raise BudgetError(
            f"give at least one bound: max_mult_adds, max_params, max_size, max_ram{flash} or max_latency"
        )
    if budget.measured and measure is None:
        raise BudgetError("max_latency needs a `measure`: latency is never guessed from mult-adds")
    classes = {point.network.classes for point in prior.measured} - {space.base.classes}
    if classes:
        raise BudgetError(
            f"the calibration runs have {min(classes)} classes, the network asked for {space.base.classes}"
        )
    if () in (space.families, space.alphas, space.resolutions):
        raise BudgetError("the space is empty: it needs at least one family, one alpha and one resolution")


def _cost_of(bound: Bound) -> Callable[[Candidate], float]:
    return lambda candidate: bound.cost(candidate.cost)


def _floor_of(bound: Bound) -> Callable[[Candidate], float]:
    return lambda candidate: bound.floor(candidate.cost)


def _least(
    candidates: Sequence[Candidate], value: Callable[[Candidate], float], floor: Callable[[Candidate], float]
) -> Candidate:
    """Return the first candidate of the least `value`, asking only those for it whose `floor` is below the others'."""
    found, least = candidates[0], math.inf
    for candidate in sorted(candidates, key=floor):
        if floor(candidate) >= least:
            break
        if (own := value(candidate)) < least:
            found, least = candidate, own
    return found


def _fits(candidate: Candidate, bounds: Sequence[Bound]) -> bool:
    known = all(bound.floor(candidate.cost) <= bound.limit for bound in bounds)
    return known and all(bound.cost(candidate.cost) <= bound.limit for bound in bounds)


def _impossible(bounds: Sequence[Bound], candidates: Sequence[Candidate]) -> str:
    """Return the error text: the bounds that no network meets (all, where each can be met alone), the least cost."""
    cheapest_first = sorted(candidates, key=lambda c: c.cost.mult_adds)  # where several tie
    smallest = {bound.name: _least(cheapest_first, _cost_of(bound), _floor_of(bound)) for bound in bounds}
    failing = [bound for bound in bounds if not _fits(smallest[bound.name], [bound])]
    needs = [
        f"{smallest[bound.name].network.name}, needs {bound.excess(bound.cost(smallest[bound.name].cost))}"
        for bound in failing or bounds
    ]
    asked = " and ".join(str(bound) for bound in failing or bounds)
    together = "" if failing else " together"
    return f"no network fits {asked}{together}: the smallest, {'; the smallest, '.join(needs)}"


def _summary(choice: Candidate, bounds: Sequence[Bound]) -> str:
    spent = [f"{bound.show(bound.cost(choice.cost))} of {bound}" for bound in bounds]
    spent += [show_latency(choice)] if choice.latency else []
    return f"{choice.network.name} is the best that fits, with {', '.join(spent)}"


def _others(choice: Candidate, fitting: Sequence[Candidate], candidates: Sequence[Candidate]) -> str:
    """Return a sentence on the best network in `fitting` of each other family; empty where there is no other family."""
    best: dict[str, Candidate] = {}
    for candidate in sorted(fitting, key=rank):
        best.setdefault(broad_family(candidate.network), candidate)
    others = [f"{c.network.name} {c.top1:.1f}" for c in best.values() if c.network != choice.network]
    absent = sorted({broad_family(candidate.network) for candidate in candidates} - {*best})
    facts = [f"the best of the other families that fit: {', '.join(others)}"] if others else []
    facts += [f"nothing {'better ' if choice.latency else ''}of {', '.join(absent)} fits"] if absent else []
    return f"Top-1 is {choice.top1:.1f} %; {'; '.join(facts)}. " if facts else ""


def _next_better(choice: Candidate, candidates: Sequence[Candidate], bounds: Sequence[Bound]) -> str:
    """Return text on the more accurate network that exceeds the budget least, and the bounds that it exceeds."""

    def excess(candidate: Candidate) -> float:
        """Return the largest ratio of cost to limit."""
        return max(bound.cost(candidate.cost) / bound.limit for bound in bounds)

    def floor(candidate: Candidate) -> float:
        """Return a lower bound of `excess`."""
        return max(bound.floor(candidate.cost) / bound.limit for bound in bounds)

    better = [c for c in candidates if c.score > choice.score and not _fits(c, bounds)]
    if not better or not bounds:
        return "nothing in the space is more accurate, so no bound binds"
    candidate = _least(better, excess, floor)
    broken = [
        f"{bound} binds: {candidate.network.name} needs {bound.excess(bound.cost(candidate.cost))}"
        for bound in bounds
        if not _fits(candidate, [bound])
    ]
    return ", ".join(broken)

"""The part of the search that has to measure: the best network under a bound of milliseconds.

Mult-adds do not tell the time. In ONNX Runtime on x86, 0.2-128 (8.9 M) takes twice as long as 0.25-112
(10.8 M), since channels that are no multiple of the vector width fall off the fast kernels. What holds is
weaker: of one alpha and depth, the larger image takes longer. The search leans on that:

1. measure the best of all: if it fits there is no more to do, if not it shows what the machine can do at most;
2. binary search along the front of accuracy against mult-adds, for a first network that fits;
3. for each alpha and depth, measure the cheapest network that is better than the best so far; where it does
   not fit, none of that alpha and depth can;
4. measure the best few again, in turn in one run and longer, and decide by 95 % intervals of the median.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..arch.network import Block, Network
from ..cost import Latency
from ..errors import BudgetError, LatencyError
from .candidate import Candidate, pareto, rank

__all__ = ["Measure", "fastest_enough"]

Measure = Callable[[Sequence[Network], float], list[Latency]]  # networks, seconds in all -> one latency each

SCREEN_SECONDS = 0.15  # for one network: a median to about 2 %, some forty of them in ten seconds
DECIDE_SECONDS = (2.0, 8.0)  # for the last few together; the second only where the first leaves a doubt
NEAR = 1.1  # a screened interval that begins below this times the bound is measured again
RIVALS = 3  # better networks that are measured again together with the choice; and as many that are worse
FASTER = 1.5  # a network that would need this times the most mult-adds a second seen is not measured at all


class _Screen:
    """Measures a candidate once, and remembers."""

    def __init__(self, limit: float, measure: Measure) -> None:
        self.limit = limit
        self.measure = measure
        self.seen: dict[Network, Candidate] = {}

    def fits(self, candidate: Candidate) -> bool:
        if candidate.network not in self.seen:
            latency = self.measure([candidate.network], SCREEN_SECONDS)[0]
            self.seen[candidate.network] = replace(candidate, latency=latency)
        return median(self.seen[candidate.network]) <= self.limit

    def hopeless(self, candidate: Candidate) -> bool:
        """It would have to run at a rate that nothing on this machine comes near."""
        rates = [seen.cost.mult_adds / median(seen) for seen in self.seen.values()]
        return candidate.cost.mult_adds > self.limit * FASTER * max(rates)


def fastest_enough(within: Sequence[Candidate], limit: float, measure: Measure) -> tuple[Candidate, list[Candidate]]:
    """The best of `within` (best first) whose median is shown to be at most `limit` ms, and all that were measured.

    Raises `BudgetError` where none is fast enough, and `LatencyError` where the choice and a better network
    that may or may not fit cannot be told apart.
    """
    screen = _Screen(limit, measure)
    best = within[0] if screen.fits(within[0]) else None
    if best is None:
        best = _last_that_fits(pareto(within, [lambda c: c.cost.mult_adds]), screen)
        best = _improve(within, best, screen)
    choice, decided = _decide(list(screen.seen.values()), best, limit, measure)
    screen.seen.update({candidate.network: candidate for candidate in decided})
    return choice, list(screen.seen.values())


def _last_that_fits(row: Sequence[Candidate], screen: _Screen) -> Candidate | None:
    """Binary search: `row` grows in mult-adds and in accuracy."""
    low, high = 0, len(row)
    while low < high:
        middle = (low + high) // 2
        if screen.fits(row[middle]):
            low = middle + 1
        else:
            high = middle
    return row[low - 1] if low else None


def _improve(within: Sequence[Candidate], best: Candidate | None, screen: _Screen) -> Candidate | None:
    rows: dict[tuple[float, tuple[Block, ...]], list[Candidate]] = {}
    for candidate in sorted(within, key=lambda c: c.cost.mult_adds):
        rows.setdefault((candidate.network.alpha, candidate.network.blocks), []).append(candidate)
    while True:
        cheapest = {key: row[0] for key, members in rows.items() if (row := _better(members, best))}
        rows = {key: rows[key] for key, candidate in cheapest.items() if not screen.hopeless(candidate)}
        if not rows:
            return best
        key = min(rows, key=lambda key: cheapest[key].cost.mult_adds)
        if screen.fits(cheapest[key]):
            best = _last_that_fits(_better(rows[key], best), screen)
        del rows[key]


def _better(candidates: Sequence[Candidate], best: Candidate | None) -> list[Candidate]:
    return [c for c in candidates if best is None or rank(c) < rank(best)]


def _decide(
    seen: list[Candidate], best: Candidate | None, limit: float, measure: Measure
) -> tuple[Candidate, list[Candidate]]:
    contenders = _contenders(seen, best, limit)
    for seconds in DECIDE_SECONDS:
        latencies = measure([c.network for c in contenders], seconds)
        contenders = [replace(c, latency=latency) for c, latency in zip(contenders, latencies, strict=True)]
        choice = next((c for c in contenders if interval(c).high <= limit), None)
        doubt = choice and next((c for c in _better(contenders, choice) if not _apart(c, choice)), None)
        if choice and not doubt:
            return choice, contenders
    if choice is None:
        raise _none_fits(contenders, best, limit)
    assert doubt is not None
    raise LatencyError(
        f"max_latency {limit:.4g} ms: cannot tell {doubt.network.name}, {show_latency(doubt)}, from "
        f"{choice.network.name}, {show_latency(choice)}: close other programs, or move the bound"
    )


def _contenders(seen: list[Candidate], best: Candidate | None, limit: float) -> list[Candidate]:
    """Best first: near misses, the best that fits, and worse ones in case that it does not after all."""
    if best is None:
        return sorted(sorted(seen, key=median)[:RIVALS], key=rank)
    near = [c for c in _better(seen, best) if interval(c).low <= NEAR * limit]
    fitting = sorted((c for c in seen if median(c) <= limit), key=rank)
    return sorted(sorted(near, key=median)[:RIVALS] + fitting[: RIVALS + 1], key=rank)


def _none_fits(contenders: list[Candidate], best: Candidate | None, limit: float) -> BudgetError | LatencyError:
    fastest = min(contenders, key=median)
    found = f"{fastest.network.name} takes {show_latency(fastest)}"
    if best is None:
        return BudgetError(f"no network fits max_latency {limit:.4g} ms: the fastest measured, {found}")
    return LatencyError(
        f"max_latency {limit:.4g} ms: {found}, and took less a moment ago: close other programs, try again"
    )


def interval(candidate: Candidate) -> Latency:
    assert candidate.latency is not None, "only measured candidates come here"
    return candidate.latency


def median(candidate: Candidate) -> float:
    return interval(candidate).median


def show_latency(candidate: Candidate) -> str:
    """`0.512 ms (0.508 to 0.519)`: the median and its 95 % interval."""
    latency = interval(candidate)
    return f"{latency.median:.4g} ms ({latency.low:.4g} to {latency.high:.4g})"


def _apart(one: Candidate, other: Candidate) -> bool:
    return interval(one).distinct_from(interval(other))

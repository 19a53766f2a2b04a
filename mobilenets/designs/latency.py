"""The part of the search that measures: the best network under a bound of milliseconds.

Mult-adds do not determine latency. In ONNX Runtime on x86, 0.2-128 (8.9 M) takes twice as long as 0.25-112 (10.8 M),
since channels that are not a multiple of the vector width do not use the fast kernels. A weaker rule holds: for one
alpha and depth, the larger image takes longer. The search relies on it in three steps.

1. Binary search along the front of accuracy against mult-adds finds a first network that fits.

2. For each alpha and depth, the cheapest network that is better than the best so far is measured; where it does not
fit, none of that alpha and depth can.

3. The best few are measured again, in turn in one longer run, and compared by 95% intervals of the median.

The second step ends after `SEARCH_SECONDS`, even where networks are left.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..arch.network import Block, Network
from ..costs import Latency
from ..errors import BudgetError, LatencyError
from .candidate import Candidate, pareto, rank

__all__ = ["Measure", "fastest_enough"]

Measure = Callable[[Sequence[Network], float], list[Latency]]  # networks, seconds in all -> one latency each

SCREEN_SECONDS = 0.15  # for one network: a median to about 2%
AGAIN, TRIES = 2.0, 3  # a network up to this times above the bound is measured so often, since noise only adds
SEARCH_SECONDS = 90.0  # after these no further network is measured; with the deciding runs two minutes in all
DECIDE_SECONDS = (2.0, 8.0)  # for the last few together; the second where the first does not decide
NEAR = 1.1  # networks rejected at up to this times the bound are measured again
ABOVE, BELOW = 3, 6  # networks measured again: at most so many of those rejected, and of those that fit


class _Screen:
    """Measures each candidate once and keeps the result."""

    def __init__(self, limit: float, measure: Measure) -> None:
        self.limit = limit
        self.measure = measure
        self.seen: dict[Network, Candidate] = {}
        self.end = time.monotonic() + SEARCH_SECONDS

    @property
    def late(self) -> bool:
        """Return whether the time for measurements is used up."""
        return time.monotonic() > self.end

    def fits(self, candidate: Candidate) -> bool:
        """Return whether the measured latency is within the limit."""
        if candidate.network not in self.seen:
            self.seen[candidate.network] = self._quickest(candidate)
        return _quick(self.seen[candidate.network]) <= self.limit

    def _quickest(self, candidate: Candidate) -> Candidate:
        """Return the candidate with the least of up to `TRIES` measurements: other programs only make it slower."""
        tries: list[Candidate] = []
        while not tries or (len(tries) < TRIES and self.limit < _quick(tries[-1]) <= AGAIN * self.limit):
            latency = self.measure([candidate.network], SCREEN_SECONDS)[0]
            tries.append(replace(candidate, latency=latency))
        return min(tries, key=_quick)


def fastest_enough(
    within: Sequence[Candidate], limit: float, measure: Measure
) -> tuple[Candidate, list[Candidate], bool]:
    """Return the best of `within` (best first) with a median of at most `limit` ms, all measured candidates, and
    completeness.

    The third value is False where time ran out before every candidate that may be better was measured.

    Raises `BudgetError` where none is fast enough, and `LatencyError` where the choice and a better network that may or
    may not fit cannot be told apart.
    """
    screen = _Screen(limit, measure)
    best = _last_that_fits(_chain(within, None), screen)
    best, complete = _improve(within, best, screen)
    choice, decided = _decide(list(screen.seen.values()), best, limit, measure)
    screen.seen.update({candidate.network: candidate for candidate in decided})
    return choice, list(screen.seen.values()), complete


def _last_that_fits(row: Sequence[Candidate], screen: _Screen) -> Candidate | None:
    """Return the last network of `row` that fits, by binary search: `row` grows in mult-adds and in accuracy."""
    low, high = 0, len(row)
    while low < high:
        middle = (low + high) // 2
        if screen.fits(row[middle]):
            low = middle + 1
        else:
            high = middle
    return row[low - 1] if low else None


def _improve(within: Sequence[Candidate], best: Candidate | None, screen: _Screen) -> tuple[Candidate | None, bool]:
    """Return the best that fits of every alpha and depth, and whether there was time for all of them."""
    rows: dict[tuple[float, tuple[Block, ...]], list[Candidate]] = {}
    for candidate in within:
        rows.setdefault((candidate.network.alpha, candidate.network.blocks), []).append(candidate)
    while True:
        chains = {key: chain for key, row in rows.items() if (chain := _chain(row, best))}
        if not chains or screen.late:
            return best, not chains
        key = min(chains, key=lambda key: chains[key][0].cost.mult_adds)
        if screen.fits(chains[key][0]):
            best = _last_that_fits(chains[key], screen)
        del rows[key]


def _chain(candidates: Sequence[Candidate], best: Candidate | None) -> tuple[Candidate, ...]:
    """Return the candidates better than `best`, without those that cost more mult-adds for no more accuracy; cheapest
    first.
    """
    return pareto(_better(candidates, best), [lambda c: c.cost.mult_adds])


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
        unsure = [c for c in _better(contenders, choice) if interval(c).low <= limit]
        if choice and not unsure:
            return choice, contenders
    if choice is None:
        raise _none_fits(contenders, best, limit)
    for other in unsure:
        if not interval(other).distinct_from(interval(choice)):
            raise LatencyError(
                f"max_latency {limit:.4g} ms: cannot tell {other.network.name}, {show_latency(other)}, from "
                f"{choice.network.name}, {show_latency(choice)}: close other programs, or move the bound"
            )
    return choice, contenders


def _contenders(seen: list[Candidate], best: Candidate | None, limit: float) -> list[Candidate]:
    """Return near misses, the best that fits, and worse candidates in case that it does not fit after all; best
    first.
    """
    if best is None:
        return sorted(sorted(seen, key=_quick)[:BELOW], key=rank)
    near = [c for c in _better(seen, best) if _quick(c) <= NEAR * limit]
    fitting = sorted((c for c in seen if _quick(c) <= limit), key=rank)
    return sorted(sorted(near, key=_quick)[:ABOVE] + fitting[:BELOW], key=rank)


def _none_fits(contenders: list[Candidate], best: Candidate | None, limit: float) -> BudgetError | LatencyError:
    fastest = min(contenders, key=median)
    found = f"{fastest.network.name} takes {show_latency(fastest)}"
    if best is None:
        return BudgetError(f"no network fits max_latency {limit:.4g} ms: the fastest measured, {found}")
    return LatencyError(
        f"max_latency {limit:.4g} ms: {found}, too unsteady to promise anything: close other programs and try again"
    )


def interval(candidate: Candidate) -> Latency:
    """Return the 95% interval of the measured latency."""
    assert candidate.latency is not None, "only measured candidates come here"
    return candidate.latency


def median(candidate: Candidate) -> float:
    """Return the measured median in milliseconds."""
    return interval(candidate).median


def _quick(candidate: Candidate) -> float:
    """Return the undisturbed latency: a network that is kept wrongly is rejected later, but not the reverse."""
    return interval(candidate).p10


def show_latency(candidate: Candidate) -> str:
    """Return the median and its 95% interval as `0.512 ms (0.508 to 0.519)`."""
    latency = interval(candidate)
    return f"{latency.median:.4g} ms ({latency.low:.4g} to {latency.high:.4g})"

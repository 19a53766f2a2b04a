"""The part of the search that measures: the best network under a bound of milliseconds.

Mult-adds do not determine latency. In ONNX Runtime on x86, 0.2-128 (8.9 M) takes twice as long as 0.25-112 (10.8 M),
since channels that are not a multiple of the vector width do not use the fast kernels, and families differ more: the
gates and hard swishes of V3 count as no mult-adds. Two weaker rules hold: for one body and alpha, the larger image
takes longer; and within one body, times grow with mult-adds within a factor of `DOUBT`. The search relies on them in
three steps.

1. Of each body a few networks are measured, from its mult-adds at the rate of those measured before, until the best
that fits is about found. A body none of whose networks can be better and fit by `_Screen.expected` is left out.

2. For each body and alpha, the cheapest network that is better than the best so far is measured, the most likely first;
where it does not fit, none of that body and alpha can.

3. The best few are measured again, in turn in one longer run, and compared by 95% intervals of the median.

The first two steps end after `SEARCH_SECONDS`, even where networks are left.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..arch.network import Block, Network
from ..costs import Latency
from ..errors import BudgetError, LatencyError
from .candidate import Candidate, pareto, rank

__all__ = ["Measure", "fastest_enough"]

Measure = Callable[[Sequence[Network], float], list[Latency]]  # networks, seconds in all -> one latency each

DOUBT = 1.5  # networks that are expected to take this times the bound are not measured
GROWTH = 0.75  # time grows with at least this power of mult-adds: larger networks run at higher rates
FIRST = 2  # networks of one body that the first step measures
UNKNOWN = 0.5  # of the highest rate measured: at which the first network of another body is chosen
SCREEN_SECONDS = 0.15  # for one network: a median to about 2%
TRIES = 3  # times that a network above the bound is measured, since noise only adds
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
        self.bodies: dict[tuple[Block, ...], list[Candidate]] = {}  # what was seen of each
        self.end = time.monotonic() + SEARCH_SECONDS

    @property
    def late(self) -> bool:
        """Return whether the time for measurements is used up."""
        return time.monotonic() > self.end

    def fits(self, candidate: Candidate) -> bool:
        """Return whether the measured latency is within the limit."""
        if candidate.network not in self.seen:
            self.seen[candidate.network] = self._quickest(candidate)
            self.bodies.setdefault(candidate.network.blocks, []).append(self.seen[candidate.network])
        return _quick(self.seen[candidate.network]) <= self.limit

    def expected(self, candidate: Candidate) -> float:
        """Return milliseconds by the mult-adds, a low estimate: at the rate of the measured network of the same body
        that is nearest in size, or where there is none at the highest rate measured; 0 before the first measurement.
        """
        size = candidate.cost.mult_adds
        own = self.bodies.get(candidate.network.blocks)
        if own is None:
            return min((size * _quick(c) / c.cost.mult_adds for c in self.seen.values()), default=0.0)
        nearest = min(own, key=lambda c: abs(math.log(size / c.cost.mult_adds)))
        ratio = size / nearest.cost.mult_adds
        return float(_quick(nearest) * min(ratio, ratio**GROWTH))

    def possible(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return those that may fit by what is known without measuring them."""
        return [c for c in candidates if c.network in self.seen or self.expected(c) <= DOUBT * self.limit]

    def _quickest(self, candidate: Candidate) -> Candidate:
        """Return the candidate with the least of up to `TRIES` measurements: other programs only make it slower."""
        tries: list[Candidate] = []
        while not tries or (len(tries) < TRIES and _quick(tries[-1]) > self.limit):
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
    best = None
    bodies = dict.fromkeys(candidate.network.blocks for candidate in within)
    for body in sorted(bodies, key=len):  # the shorter is built sooner
        best = _about_the_best([c for c in within if c.network.blocks == body], best, screen)
    best, complete = _improve(within, best, screen)
    choice, decided = _decide(list(screen.seen.values()), best, limit, measure)
    screen.seen.update({candidate.network: candidate for candidate in decided})
    return choice, list(screen.seen.values()), complete


def _about_the_best(body: Sequence[Candidate], best: Candidate | None, screen: _Screen) -> Candidate | None:
    """Return the best that fits of `best` and up to `FIRST` networks of one body, the next by those before.

    Where nothing fits yet, one is measured even if that is unlikely to fit.
    """
    for _ in range(FIRST):
        better = [c for c in _chain(body, best) if c.network not in screen.seen]
        chain = screen.possible(better) or (better[:1] if best is None else [])
        if not chain or screen.late:
            break
        rate = 1 if chain[0].network.blocks in screen.bodies else UNKNOWN
        likely = [c for c in chain if screen.expected(c) <= screen.limit * rate]
        candidate = (likely or chain[:1])[-1] if screen.seen else chain[len(chain) // 2]
        if screen.fits(candidate):
            best = candidate
    return best


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
    """Return the best that fits of every body and alpha, and whether there was time for all of them."""
    rows: dict[tuple[float, tuple[Block, ...]], list[Candidate]] = {}
    for candidate in within:
        rows.setdefault((candidate.network.alpha, candidate.network.blocks), []).append(candidate)
    while True:
        chains = {key: chain for key, row in rows.items() if (chain := screen.possible(_chain(row, best)))}
        if not chains or screen.late:
            return best, not chains
        key = min(chains, key=lambda key: screen.expected(chains[key][0]))
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

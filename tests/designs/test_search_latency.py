"""The search under a bound of milliseconds, with a clock that the test holds."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets import costs, design
from mobilenets.arch import Network, named
from mobilenets.costs import Latency
from mobilenets.designs import Budget, MeasuredPoint, Prior, Space, search
from mobilenets.designs.latency import DECIDE_SECONDS, SCREEN_SECONDS, SEARCH_SECONDS, Measure
from mobilenets.designs.space import broad_family
from mobilenets.errors import BudgetError, LatencyError

PAPER = Prior.published()
cost = functools.cache(costs.cost)
SPACE = Space(Network(classes=5), ("v1",), alphas=(0.1, 0.2, 0.25, 0.4, 0.5), resolutions=tuple(range(32, 161, 16)))
LINE = replace(SPACE, alphas=(0.25,), families=("v1-plain",))  # one alpha, one depth: 0.25-32 to 0.25-160


def exactly(milliseconds: float, spread: float = 0.0) -> Latency:
    low, high = milliseconds * (1 - spread), milliseconds * (1 + spread)
    return Latency(milliseconds, low, high, low, high, 100, 1, "a test")


def clock(
    milliseconds: Callable[[Network], float], spread: float = 0.0
) -> tuple[Measure, list[tuple[list[str], float]]]:
    """A `measure` that knows the answer, and the list of what it was asked."""
    asked: list[tuple[list[str], float]] = []

    def measure(networks: Sequence[Network], seconds: float) -> list[Latency]:
        asked.append(([network.name for network in networks], seconds))
        return [exactly(milliseconds(network), spread) for network in networks]

    return measure, asked


def by_mult_adds(network: Network) -> float:
    return 0.01 + cost(network).mult_adds / 40e6  # 40 M a ms


@settings(max_examples=12, deadline=None)
@given(
    st.floats(0.02, 1.5),
    st.lists(st.floats(1, 1.5), min_size=5, max_size=5),
    st.integers(50_000, 10**9),
    st.lists(st.tuples(st.sampled_from(SPACE.networks()), st.floats(20, 60)), max_size=3),
)
def test_against_brute_force(
    limit: float, slowness: list[float], max_params: int, runs: list[tuple[Network, float]]
) -> None:
    """Some alphas are up to half slower than their mult-adds tell, and some networks better or worse than
    the prior says: the best that fits is found all the same."""
    points = [MeasuredPoint(network, top1, "a test") for network, top1 in runs]
    prior = PAPER.calibrated(points) if points else PAPER
    slow = dict(zip(SPACE.alphas, slowness, strict=True))

    def milliseconds(network: Network) -> float:
        return by_mult_adds(network) * slow[network.alpha]

    measure, asked = clock(milliseconds)
    budget = Budget(max_latency=limit, max_params=max_params)
    fitting = [n for n in SPACE.networks() if milliseconds(n) <= limit and cost(n).params <= max_params]
    if not fitting:
        with pytest.raises(BudgetError, match="no network fits max_latency"):
            search(budget, SPACE, prior, measure)
        return
    design = search(budget, SPACE, prior, measure)
    assert design.choice.score == max(prior.score(n) for n in fitting)
    assert design.choice.latency is not None and design.choice.latency.median <= limit
    assert design.front[-1] == design.choice
    assert len(asked) < 40  # of 90 networks


@pytest.mark.parametrize(
    ("slowness", "limit", "winner"),
    [
        ({}, 0.5, "v3"),  # all at one rate: as by mult-adds
        ({"v2": 2.5, "v3": 5.0, "v4": 3.0}, 0.5, "fd"),
        ({"v1": 2.0, "fd": 2.0, "v3": 3.0}, 2.0, "v4"),
        ({"v2": 2.5, "v3": 5.0, "v4": 3.0}, 5.0, "v1"),
    ],
)
def test_families_of_other_rates(slowness: dict[str, float], limit: float, winner: str) -> None:
    """Gates and hard swishes take time and count as no mult-adds: which family wins is measured, with few questions."""
    space = Space(Network(classes=5), alphas=(0.35, 0.5, 1.0), resolutions=(64, 128, 160))

    def milliseconds(network: Network) -> float:
        return by_mult_adds(network) * slowness.get(broad_family(network), 1.0)

    measure, asked = clock(milliseconds)
    design = search(Budget(max_latency=limit), space, PAPER, measure)
    fitting = [network for network in space.networks() if milliseconds(network) <= limit]
    assert design.choice.score == max(map(PAPER.score, fitting))
    assert broad_family(design.choice.network) == winner
    told = re.search(r"Top-1 is .* %; (the best of the other families that fit: |nothing better of )", design.reason)
    assert told and all(name in design.reason for name in {"v1", "fd", "v2", "v3", "v4"} - {winner, "v1"})
    assert len({name for names, _ in asked for name in names}) <= 30  # of 99 networks


def test_what_is_asked_of_the_clock() -> None:
    measure, asked = clock(by_mult_adds)
    design = search(Budget(max_latency=0.3), SPACE, PAPER, measure)
    assert all(len(names) == 1 and seconds == SCREEN_SECONDS for names, seconds in asked[:-1])
    together, seconds = asked[-1]
    assert design.choice.network.name in together and len(together) > 1 and seconds == DECIDE_SECONDS[0]
    assert "max_latency 0.3 ms binds: " in design.reason
    assert all(c.latency is not None and c.latency.median <= 0.3 for c in design.front)


def test_the_best_of_all_fits() -> None:
    measure, asked = clock(by_mult_adds)
    design = search(Budget(max_latency=1e6), SPACE, PAPER, measure)
    assert design.choice.network.name == "0.5-160"
    assert len(asked) < 10
    assert "nothing in the space is more accurate" in design.reason


def test_nothing_is_fast_enough() -> None:
    with pytest.raises(BudgetError) as error:
        search(Budget(max_latency=0.001), SPACE, PAPER, clock(by_mult_adds)[0])
    assert str(error.value) == (
        "no network fits max_latency 0.001 ms: the fastest measured, shallow-0.1-32 takes 0.0125 ms (0.0125 to 0.0125)"
    )


def test_neighbours_that_cannot_be_told_apart() -> None:
    """0.25-96 at 1.00 ms and 0.25-112 at 1.02, both to 3 %, under a bound of 1.03: the second may or may not fit."""
    times = {"0.25-96": 0.995, "0.25-112": 1.02}
    measure, asked = clock(lambda n: times.get(n.name, 0.1 if n.height < 96 else 9.0), spread=0.03)
    with pytest.raises(LatencyError) as error:
        search(Budget(max_latency=1.03), LINE, PAPER, measure)
    assert str(error.value) == (
        "max_latency 1.03 ms: cannot tell 0.25-112, 1.02 ms (0.9894 to 1.051), from 0.25-96, 0.995 ms "
        "(0.9651 to 1.025): close other programs, or move the bound"
    )
    assert [seconds for _, seconds in asked[-2:]] == list(DECIDE_SECONDS)


def test_a_doubt_that_a_longer_run_settles() -> None:
    times = {"0.25-96": 0.995, "0.25-112": 1.02}

    def measure(networks: Sequence[Network], seconds: float) -> list[Latency]:
        spread = 0.001 if seconds == DECIDE_SECONDS[1] else 0.03
        return [exactly(times.get(n.name, 0.1 if n.height < 96 else 9.0), spread) for n in networks]

    assert search(Budget(max_latency=1.03), LINE, PAPER, measure).choice.network.name == "0.25-112"
    assert search(Budget(max_latency=1.01), LINE, PAPER, measure).choice.network.name == "0.25-96"


def test_an_interval_across_the_bound_is_not_chosen() -> None:
    """0.25-112 may fit, but is not shown to; 0.25-96 is, and the two are far apart."""
    times = {"0.25-96": 0.5, "0.25-112": 1.0}
    measure, _ = clock(lambda n: times.get(n.name, 0.1 if n.height < 96 else 9.0), spread=0.03)
    design = search(Budget(max_latency=1.01), LINE, PAPER, measure)
    assert design.choice.network.name == "0.25-96"
    assert "0.25-112 takes 1 ms (0.97 to 1.03)" in design.reason


def test_a_machine_that_became_busy() -> None:
    def measure(networks: Sequence[Network], seconds: float) -> list[Latency]:
        busy = 1.0 if seconds == SCREEN_SECONDS else 50.0
        return [exactly(busy * by_mult_adds(n)) for n in networks]

    with pytest.raises(LatencyError, match="too unsteady to promise anything: close other programs and try again"):
        search(Budget(max_latency=0.3), SPACE, PAPER, measure)


def test_static_bounds_come_first() -> None:
    measure, asked = clock(by_mult_adds)
    design = search(Budget(max_latency=100, max_mult_adds=cost(named("0.25-96")).mult_adds), LINE, PAPER, measure)
    assert design.choice.network.name == "0.25-96"
    assert not any("0.25-112" in names for names, _ in asked)
    assert "max_mult_adds 7.745 M binds: 0.25-112 needs 10.58 M" in design.reason


def test_noise_in_one_burst_does_not_reject_a_network() -> None:
    """Every network's first burst is disturbed, to nearly twice its time: the choice is that of a quiet machine."""
    quiet, _ = clock(by_mult_adds)
    seen: set[str] = set()

    def disturbed(networks: Sequence[Network], seconds: float) -> list[Latency]:
        times = [by_mult_adds(n) * (1.0 if n.name in seen or len(networks) > 1 else 1.9) for n in networks]
        seen.update(n.name for n in networks)
        return [exactly(milliseconds) for milliseconds in times]

    for limit in (0.2, 0.4, 0.8):
        seen.clear()
        choices = [search(Budget(max_latency=limit), SPACE, PAPER, measure).choice for measure in (quiet, disturbed)]
        assert choices[0].network == choices[1].network


def test_a_search_that_takes_too_long_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which a measurement takes ten seconds: after the first row, ninety seconds are over."""
    now = 0.0
    quiet, _ = clock(by_mult_adds)

    def slow(networks: Sequence[Network], seconds: float) -> list[Latency]:
        nonlocal now
        now += 10
        return quiet(networks, seconds)

    monkeypatch.setattr("time.monotonic", lambda: now)
    hurried = search(Budget(max_latency=0.3), SPACE, PAPER, slow)
    assert "time ran out after" in hurried.reason and "a better one may fit" in hurried.reason
    assert now <= SEARCH_SECONDS + 100 and hurried.choice.latency is not None and hurried.choice.latency.high <= 0.3
    assert "time ran out" not in search(Budget(max_latency=0.3), SPACE, PAPER, quiet).reason


@pytest.mark.parametrize(("load", "busy"), [(0.1, False), (64.0, True)])
def test_a_busy_machine_is_named(load: float, busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    quiet, _ = clock(by_mult_adds)
    monkeypatch.setattr("mobilenets.runtime.measure_networks", lambda networks, seconds, **_: quiet(networks, seconds))
    reason = design(Budget(max_latency=0.3), SPACE).reason
    assert ("The machine was busy (load average 64.0 on" in reason) == busy
    assert "busy" not in design(Budget(max_mult_adds="10M"), SPACE).reason

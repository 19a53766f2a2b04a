"""The search against brute force, and what it says where nothing fits."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.arch import Network, named
from mobilenets.arch.network import BODY, SHALLOW_BODY
from mobilenets.costs import cost
from mobilenets.designs import Budget, Candidate, MeasuredPoint, Prior, Space, search
from mobilenets.designs.search import _impossible
from mobilenets.errors import BudgetError, NetworkError

PAPER = Prior.of_the_paper()
SMALL = Space(base=Network(classes=5), alphas=(0.1, 0.25, 0.5), resolutions=(32, 64, 96, 128))

budgets = st.builds(
    Budget,
    max_mult_adds=st.none() | st.integers(10_000, 60_000_000),
    max_params=st.none() | st.integers(1_000, 2_000_000),
    max_size=st.none() | st.integers(5_000, 4_000_000),
    max_ram=st.none() | st.integers(1_000, 1_500_000),
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
).filter(lambda budget: budget.bounds() != ())

spaces = st.builds(
    replace,
    st.just(SMALL),
    alphas=st.lists(st.floats(0.05, 1).map(lambda a: round(a, 2)), min_size=1, max_size=4, unique=True).map(tuple),
    resolutions=st.lists(st.integers(32, 160), min_size=1, max_size=4, unique=True).map(tuple),
    depths=st.sampled_from([(BODY,), (SHALLOW_BODY,), (BODY, SHALLOW_BODY)]),
)


def costs_of(network: Network, budget: Budget) -> list[int]:
    return [bound.cost(cost(network)) for bound in budget.bounds()]


@settings(max_examples=60, deadline=None)
@given(budgets, spaces)
def test_against_brute_force(budget: Budget, space: Space) -> None:
    limits = [bound.limit for bound in budget.bounds()]
    fitting = [
        (PAPER.score(n), costs_of(n, budget), n)
        for n in space.networks()
        if all(c <= limit for c, limit in zip(costs_of(n, budget), limits, strict=True))
    ]
    if not fitting:
        with pytest.raises(BudgetError, match="no network fits"):
            search(budget, space, PAPER)
        return
    design = search(budget, space, PAPER)
    assert design.choice.score == max(score for score, _, _ in fitting)
    assert (design.feasible, design.considered) == (len(fitting), len(space.networks()))
    front = {
        (score, *costs)
        for score, costs, _ in fitting
        if not any(
            (s >= score and all(a <= b for a, b in zip(c, costs, strict=True)) and (s, c) != (score, costs))
            for s, c, _ in fitting
        )
    }
    assert {(c.score, *costs_of(c.network, budget)) for c in design.front} == front
    assert len(design.front) == len(front)
    assert design.front[-1] == design.choice


def test_a_budget_of_ten_million_mult_adds() -> None:
    design = search(Budget(max_mult_adds=10_000_000), Space(base=Network(classes=5)), PAPER)
    assert design.choice.cost.mult_adds <= 10_000_000
    assert design.choice.network.classes == 5
    assert design.considered == 720 > design.feasible > 0
    assert [c.top1 for c in design.front] == sorted(c.top1 for c in design.front)
    assert design.choice.latency is None


def test_the_reason_names_what_binds() -> None:
    design = search(Budget(max_mult_adds=3_000_000, max_params=5_000_000), SMALL, PAPER)
    assert design.reason == (
        "0.1-128 is the best that fits, with 2.573 M of max_mult_adds 3 M, 38.23 k of max_params "
        "5 M; max_mult_adds 3 M binds: shallow-0.25-96 needs 4.334 M. Accuracy is a prior from ImageNet "
        "(the paper's 16 networks), good for ranking only."
    )


def test_a_budget_that_does_not_bind() -> None:
    design = search(Budget(max_params=10**9), SMALL, PAPER)
    assert design.choice.network.name == "0.5-128"
    assert "nothing in the space is more accurate, so no bound binds" in design.reason


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            Budget(max_mult_adds=100_000),
            "no network fits max_mult_adds 100 k: the smallest, shallow-0.1-32, needs 100.1 k",
        ),
        (
            Budget(max_mult_adds=50_000, max_params=10**8, max_ram=10),
            "no network fits max_mult_adds 50 k and max_ram 10 bytes: the smallest, shallow-0.1-32, needs 100.1 k; "
            "the smallest, shallow-0.1-32, needs 15.36 KB",
        ),
        (Budget(), "give at least one bound: max_mult_adds, max_params, max_size, max_ram or max_latency"),
        (Budget(max_latency=5), "max_latency needs a `measure`: latency is never guessed from mult-adds"),
    ],
)
def test_what_cannot_be(budget: Budget, message: str) -> None:
    with pytest.raises(BudgetError) as error:
        search(budget, SMALL, PAPER)
    assert str(error.value) == message


def test_bounds_that_cannot_be_met_together() -> None:
    networks = [named("1-32"), named("0.25-224")]
    candidates = [Candidate(n, cost(n), PAPER.predict(n), PAPER.score(n)) for n in networks]
    message = _impossible(Budget(max_mult_adds=15_000_000, max_params=500_000).bounds(), candidates)
    assert message == (
        "no network fits max_mult_adds 15 M and max_params 500 k together: the smallest, 1-32, needs 12.61 M; "
        "the smallest, 0.25-224, needs 470.1 k"
    )


def test_the_users_own_runs_decide() -> None:
    runs = [
        MeasuredPoint(named(name).replace(classes=5), top1, "runs/x")
        for name, top1 in (("0.1-128", 60.0), ("0.25-32", 90.0))
    ]
    design = search(Budget(max_mult_adds=3_000_000), SMALL, PAPER.calibrated(runs))
    assert (design.choice.network.name, design.choice.top1) == ("0.25-32", 90.0)
    assert "calibrated on 2 runs" in design.reason
    with pytest.raises(BudgetError, match="the calibration runs have 5 classes, the network asked for 7"):
        search(Budget(max_mult_adds=10**6), Space(base=Network(classes=7)), PAPER.calibrated(runs))


def test_spaces() -> None:
    assert {n.height for n in replace(SMALL, max_resolution=70).networks()} == {32, 64, 96}
    assert {n.height for n in replace(SMALL, max_resolution=64).networks()} == {32, 64}
    assert {n.height for n in replace(SMALL, max_resolution=20).networks()} == {32}
    assert {n.height for n in replace(SMALL, max_resolution=999).networks()} == {32, 64, 96, 128}
    assert all(n.name == named(n.name).name for n in Space().networks())  # no 0.30000000000000004
    with pytest.raises(NetworkError, match="alpha"):
        search(Budget(max_params=10), replace(SMALL, alphas=(-1.0,)), PAPER)
    with pytest.raises(BudgetError, match="the space is empty"):
        search(Budget(max_params=10), replace(SMALL, alphas=()), PAPER)

"""The search against brute force, and what it says where nothing fits."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.arch import Network, named
from mobilenets.costs import cost
from mobilenets.designs import Budget, Candidate, MeasuredPoint, Prior, Space, search
from mobilenets.designs.search import _impossible
from mobilenets.designs.space import broad_family
from mobilenets.errors import BudgetError, NetworkError

PAPER = Prior.published()
SMALL = Space(Network(classes=5), ("v1",), alphas=(0.1, 0.25, 0.5), resolutions=(32, 64, 96, 128))
MIXED = Space(Network(classes=5), alphas=(0.25, 0.5, 1.0), resolutions=(96, 128, 160))

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
    families=st.sampled_from([("v1-plain",), ("v1-shallow", "v2"), ("v1", "fd", "v3-small")]),
)


def costs_of(network: Network, budget: Budget) -> list[int]:
    return [bound.cost(cost(network)) for bound in budget.bounds()]


@settings(max_examples=25, deadline=None)
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


def test_the_front_mixes_families() -> None:
    design = search(Budget(max_mult_adds=20_000_000), MIXED, PAPER)
    assert design.choice.cost.mult_adds <= 20_000_000
    assert design.choice.network.classes == 5
    assert design.considered == len(MIXED.networks()) > design.feasible > 0
    assert [c.top1 for c in design.front] == sorted(c.top1 for c in design.front)
    assert {broad_family(c.network) for c in design.front} == {"fd", "v3"}
    assert design.choice.latency is None


def test_the_reason_names_what_binds_and_the_other_families() -> None:
    design = search(Budget(max_mult_adds=20_000_000, max_params=5_000_000), MIXED, PAPER)
    best = {name: 0.0 for name in ("v1", "fd", "v2", "v4")}
    for network in MIXED.networks():
        name = broad_family(network)
        if name in best and cost(network).mult_adds <= 20_000_000:
            best[name] = max(best[name], PAPER.score(network))
    assert design.reason == (
        "v3-small-1-128 is the best that fits, with 18.83 M of max_mult_adds 20 M, 1.523 M of max_params 5 M; "
        "max_mult_adds 20 M binds: v3-large-0.5-128 needs 24.32 M. Top-1 is 59.3 %; the best of the other families "
        f"that fit: v2-0.5-96 {best['v2']:.1f}, v4-conv-small-0.5-96 {best['v4']:.1f}, fd-0.5-128 {best['fd']:.1f}, "
        f"0.25-128 {best['v1']:.1f}. "
        "Accuracy is a prior from ImageNet (74 published networks), good for ranking only."
    )


def test_the_reason_within_one_family() -> None:
    design = search(Budget(max_mult_adds=3_000_000, max_params=5_000_000), SMALL, PAPER)
    assert design.reason == (
        "shallow-0.25-64 is the best that fits, with 1.927 M of max_mult_adds 3 M, 124.1 k of max_params "
        "5 M; max_mult_adds 3 M binds: 0.25-64 needs 3.33 M. Accuracy is a prior from ImageNet "
        "(74 published networks), good for ranking only."
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
    with pytest.raises(NetworkError, match="alpha"):
        search(Budget(max_params=10), replace(SMALL, alphas=(-1.0,)), PAPER)
    with pytest.raises(BudgetError, match="the space is empty"):
        search(Budget(max_params=10), replace(SMALL, alphas=()), PAPER)


def test_the_space_of_all_families() -> None:
    networks = Space().networks()
    assert len(networks) == len(set(networks)) == 2104
    assert all(named(n.name) == n for n in networks)  # no 0.30000000000000004; settings are the family's
    assert len(Space(families=("v1",)).networks()) == 720
    v3 = Space(families=("v3-small", "v2")).networks()
    assert {n.name.rpartition("-")[0].rpartition("-")[0] for n in v3} == {"v2", "v3-small", "v3-small-minimalistic"}
    assert {n.height for n in v3} == {32, 64, 96, 128, 160, 192, 224, 256}


def test_settings_of_the_base_and_of_the_family() -> None:
    base = Network(channels=1, classes=7, padding="same", epsilon=1e-3, activation="relu6", rounding="multiple_of_8")
    for network in Space(base, ("v1", "v3-large"), alphas=(0.5,), resolutions=(96,)).networks():
        assert (network.channels, network.classes, network.padding, network.epsilon) == (1, 7, "same", 1e-3)
        assert network.activation == ({"v1": "relu6"}.get(broad_family(network)) or named(network.name).activation)
        assert network.rounding == "multiple_of_8"
    full = Space(Network(convolution="full"), alphas=(0.5,), resolutions=(96,)).networks()
    assert [network.name for network in full] == ["conv-0.5-96", "conv-shallow-0.5-96"]


def test_families_that_do_not_exist() -> None:
    with pytest.raises(BudgetError) as error:
        Space(families=("v1", "v5")).networks()
    assert str(error.value) == (
        "family 'v5' must be one of v1, fd, v2, v3, v4, v1-plain, v1-shallow, v3-large, v3-large-minimalistic, "
        "v3-small, v3-small-minimalistic, v4-conv-small, v4-conv-medium"
    )
    assert Space(families=("v1-shallow", "v2", "fd")).within(("v1", "fd"), "it").families == ("v1-shallow", "fd")
    with pytest.raises(BudgetError, match="family v2, v3: it takes v1, fd only"):
        Space(families=("v2", "v3")).within(("v1", "fd"), "it")

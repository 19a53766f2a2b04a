"""Successive halving: which trials go on."""

from dataclasses import replace

import pytest
from sweep_rows import trial

from mobilenets.arch import Network
from mobilenets.sweeps import SweepPlan, rungs_of, share_of_work, survivors
from mobilenets.sweeps.halving import better_half


@pytest.mark.parametrize(("epochs", "rungs"), [(100, (25, 50)), (8, (2, 4)), (4, (1, 2)), (2, (1,)), (1, ())])
def test_rungs_are_a_fourth_and_a_half(epochs: int, rungs: tuple[int, ...]) -> None:
    assert rungs_of(epochs) == rungs


def test_share_of_work_counts_the_epochs_of_each_half() -> None:
    """8 trials of 100 epochs: 8 x 25, 4 x 25 more, 2 x 50 more."""
    assert share_of_work((25, 50), 100) == pytest.approx((8 * 25 + 4 * 25 + 2 * 50) / 800)
    assert share_of_work((), 100) == 1


def test_a_small_network_on_the_front_survives_a_better_large_one() -> None:
    points = [(0.9, 100), (0.8, 100), (0.5, 10), (0.4, 20)]
    assert better_half(points) == [0, 2]


def test_equal_points_do_not_dominate_each_other() -> None:
    assert better_half([(0.5, 1), (0.5, 1), (0.5, 1)]) == [0, 1]


def plan_of(*networks: Network, seeds: int = 1) -> SweepPlan:
    return SweepPlan("d", "f", tuple(trial(network, seed) for seed in range(seeds) for network in networks))


def test_seeds_of_a_network_go_on_together() -> None:
    small, large = Network(0.25, 32, 32), Network(0.5, 32, 32)
    plan = plan_of(small, large, seeds=2)
    scores = {0: 0.9, 1: 0.6, 2: 0.1, 3: 0.5}  # means: small 0.5, large 0.55
    assert survivors(plan, range(4), scores, by_cost=False) == [1, 3]


def test_by_cost_the_cheaper_network_is_kept_of_two_on_the_front_that_score_alike() -> None:
    small, large = Network(0.25, 32, 32), Network(0.5, 32, 32)
    scores = {0: 0.5, 1: 0.5}
    assert survivors(plan_of(small, large), range(2), scores, by_cost=True) == [0]
    assert survivors(replace(plan_of(large, small)), range(2), scores, by_cost=True) == [1]


def test_failed_trials_do_not_go_on() -> None:
    plan = plan_of(Network(0.25, 32, 32), Network(0.5, 32, 32))
    assert survivors(plan, range(2), {1: 0.1}, by_cost=True) == [1]

"""The accuracy prior: the sixteen points, the fit through them, and its calibration on a user's runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import Network, named
from mobilenets.arch.network import SHALLOW_BODY, Block
from mobilenets.designs.prior import POINTS, MeasuredPoint, Prior
from mobilenets.errors import BudgetError

PAPER = Prior.of_the_paper()


def run(name: str, top1: float, classes: int = 5) -> MeasuredPoint:
    return MeasuredPoint(named(name).replace(classes=classes), top1, "runs/test")


def test_the_sixteen_points() -> None:
    grid = {(alpha, side) for alpha in (1, 0.75, 0.5, 0.25) for side in (224, 192, 160, 128)}
    assert {(point.network.alpha, point.network.height) for point in POINTS} == grid
    assert len(POINTS) == 16
    assert sum(point.source.startswith("the paper") for point in POINTS) == 8


def test_the_law_is_the_least_squares_fit() -> None:
    """Against the normal equations; its residual is the figure that the docs give."""
    alpha = np.array([point.network.alpha for point in POINTS])
    side = np.array([point.network.height for point in POINTS])
    rows = np.stack([np.ones(16), np.log2(alpha), np.log2(side), np.maximum(0, np.log2(0.5 / alpha))], axis=1)
    top1 = np.array([point.top1 for point in POINTS])
    assert PAPER.coefficients == pytest.approx(np.linalg.solve(rows.T @ rows, rows.T @ top1), abs=1e-6)
    errors = [PAPER.predict(point.network) - point.top1 for point in POINTS]
    assert PAPER.residual == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))))
    assert PAPER.residual == pytest.approx(0.696, abs=0.001)
    assert max(map(abs, errors)) < 1.6


def test_variants_carry_the_papers_differences() -> None:
    plain = PAPER.predict(Network())
    assert PAPER.predict(named("shallow-1-224")) == pytest.approx(plain - 5.3)
    assert PAPER.predict(named("conv-1-224")) == pytest.approx(plain + 1.1)


def test_inputs_below_the_plotted_ones_lose_more() -> None:
    assert PAPER.predict(named("1-128")) - PAPER.predict(named("1-96")) == pytest.approx(
        PAPER.coefficients[2] * np.log2(128 / 96) + 1.7, abs=0.05
    )


def test_an_input_that_is_not_square() -> None:
    assert PAPER.predict(named("1-128x192")) == pytest.approx(PAPER.predict(named("1-192x128")))
    assert PAPER.predict(named("1-128")) < PAPER.predict(named("1-128x192")) < PAPER.predict(named("1-192"))


def test_another_body_is_refused() -> None:
    with pytest.raises(BudgetError, match="knows the paper's body and its shallow variant only"):
        PAPER.predict(Network(blocks=(Block(2, 64),)))


sizes = st.tuples(st.floats(0.05, 2), st.integers(32, 512), st.booleans())


@given(sizes, sizes)
def test_predictions_are_percentages_and_grow(one: tuple[float, int, bool], other: tuple[float, int, bool]) -> None:
    def network(size: tuple[float, int, bool]) -> Network:
        base = Network(alpha=size[0], height=size[1], width=size[1])
        return base.replace(blocks=SHALLOW_BODY) if size[2] else base

    assert 0 <= PAPER.predict(network(one)) <= 100
    larger = (max(one[0], other[0]), max(one[1], other[1]), one[2] and other[2])
    assert PAPER.score(network(larger)) >= PAPER.score(network(one)) - 1e-9


def test_one_run_shifts() -> None:
    prior = PAPER.calibrated([run("0.25-96", 75.0)])
    shift = 75 - PAPER.predict(named("0.25-96"))
    assert prior.predict(named("0.5-128")) == pytest.approx(PAPER.predict(named("0.5-128")) + shift)
    assert prior.label == "the paper's prior, calibrated on 1 run"


def test_two_runs_fit_a_line_and_keep_their_own_figures() -> None:
    prior = PAPER.calibrated([run("0.25-128", 70.0), run("1-128", 80.0)])
    low, high, between = (PAPER.predict(named(name)) for name in ("0.25-128", "1-128", "0.5-128"))
    assert prior.predict(named("0.5-128")) == pytest.approx(70 + 10 * (between - low) / (high - low))
    assert prior.predict(named("0.25-128").replace(classes=5)) == 70.0
    assert prior.label == "the paper's prior, calibrated on 2 runs"


def test_many_runs_fit_least_squares() -> None:
    points = [run("0.25-128", 71), run("0.5-128", 74), run("0.75-128", 80), run("1-128", 79)]
    slope, offset = np.polyfit([PAPER.predict(p.network) for p in points], [p.top1 for p in points], 1)
    prior = PAPER.calibrated(points)
    assert (prior.slope, prior.offset) == pytest.approx((slope, offset))


def test_a_network_trained_twice_returns_the_mean() -> None:
    prior = PAPER.calibrated([run("0.25-96", 74.0), run("0.25-96", 76.0)])
    assert prior.predict(named("0.25-96").replace(classes=5)) == 75.0
    assert prior.slope == 1.0


def test_runs_that_contradict_the_prior_only_shift_it() -> None:
    prior = PAPER.calibrated([run("0.25-128", 80.0), run("1-128", 70.0)])
    assert prior.slope == 1.0
    assert prior.label == "the paper's prior, calibrated on 2 runs, shifted only"
    middle = (PAPER.predict(named("0.25-128")) + PAPER.predict(named("1-128"))) / 2
    assert prior.predict(named("0.5-128")) == pytest.approx(75 + PAPER.predict(named("0.5-128")) - middle)


def test_calibrated_beyond_100_still_ranks() -> None:
    prior = PAPER.calibrated([run("0.25-96", 97.0)])
    small, large = named("1-192"), named("1-224")
    assert prior.predict(small) == prior.predict(large) == 100
    assert prior.score(small) < prior.score(large)


def test_calibration_errors() -> None:
    with pytest.raises(BudgetError, match="at least one run"):
        PAPER.calibrated([])
    with pytest.raises(BudgetError, match=r"\[5, 10\] classes: all must come from one data set"):
        PAPER.calibrated([run("0.25-96", 75.0), run("0.5-96", 80.0, classes=10)])
    with pytest.raises(BudgetError, match=r"top1 \(=175\) must be from 0 to 100%"):
        run("0.25-96", 175)

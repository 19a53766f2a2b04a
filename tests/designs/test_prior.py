"""The accuracy prior: the published points, the fit through them, and its calibration on a user's runs."""

import math
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import Network, named
from mobilenets.arch.network import SHALLOW_BODY, Block
from mobilenets.arch.zoo import FAMILIES
from mobilenets.designs.points import POINTS, REFERENCE, Point, points_beside
from mobilenets.designs.prior import MeasuredPoint, Prior
from mobilenets.designs.space import body_of
from mobilenets.errors import BudgetError

PRIOR = Prior.published()


def rms(errors: list[float]) -> float:
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def run(name: str, top1: float, classes: int = 5) -> MeasuredPoint:
    return MeasuredPoint(named(name).replace(classes=classes), top1, "runs/test")


def test_the_points() -> None:
    """74 networks of five families, each with its source; no network twice by one recipe."""
    assert len(POINTS) == 74 == len({(point.network, point.recipe) for point in POINTS})
    assert all(point.source and point.network.height == point.network.width for point in POINTS)
    slim = {point.network.name for point in POINTS if point.recipe == "V2 paper"}
    sizes = [f"v2-{alpha}-{side}" for alpha in (1, 0.75, 0.5, 0.35) for side in (224, 192, 160, 128, 96)]
    assert slim == {"v2-1.4-224", "v2-1.3-224", *sizes}
    assert {body_of(point.network) for point in POINTS} == {body_of(network) for network in FAMILIES.values()} | {
        "v1-shallow"
    }


def test_the_points_beside_a_network() -> None:
    """What a report draws: for V1 the sixteen of the paper's Figure 4, as before there were others."""
    for name in ("0.25-96", "shallow-1-224"):
        grid = {(point.network.alpha, point.network.height) for point in points_beside(named(name))}
        assert grid == {(alpha, side) for alpha in (1, 0.75, 0.5, 0.25) for side in (224, 192, 160, 128)}
        assert len(points_beside(named(name))) == 16
    assert {point.recipe for point in points_beside(named("v2-0.35-96"))} == {"V2 paper"}
    assert len(points_beside(named("v4-conv-small-1-224"))) == 3
    assert points_beside(Network(blocks=(Block(2, 64),))) == []


def test_keras_prints_the_same_figures() -> None:
    """keras.applications quotes TF-slim's table of V3, with another rounding of two of its six networks."""
    spec = find_spec("keras")
    if spec is None or spec.origin is None:
        pytest.skip("keras is not installed")
    text = (Path(spec.origin).parent / "src" / "applications" / "mobilenet_v3.py").read_text()
    rows = re.findall(r"mobilenet_(v3_\w+?)_(1.0|0.75)_224 +\| +\d+ +\| [\d.]+ +\| +([\d.]+)", text)
    printed = {f"{name.replace('_', '-')}-{float(alpha):g}-224": float(top1) for name, alpha, top1 in rows}
    ours = {point.network.name: point.top1 for point in POINTS if point.recipe == "V3 paper"}
    assert printed.keys() == ours.keys()
    assert {name for name in ours if ours[name] != printed[name]} == {"v3-large-1-224", "v3-small-1-224"}
    assert all(abs(ours[name] - printed[name]) < 0.7 for name in ours)


def test_the_fit_is_as_close_as_the_docs_say() -> None:
    errors = [PRIOR.at(point) - point.top1 for point in POINTS]
    assert rms(errors) == pytest.approx(0.55, abs=0.01)
    assert max(map(abs, errors)) == pytest.approx(1.60, abs=0.01)


def test_a_network_left_out_is_predicted() -> None:
    """Except for the four that are alone with their term."""
    errors = []
    for i, point in enumerate(POINTS):
        others = Prior.published(POINTS[:i] + POINTS[i + 1 :])
        if others.terms.keys() == PRIOR.terms.keys():
            errors.append(others.at(point) - point.top1)
    assert len(errors) == len(POINTS) - 4
    assert rms(errors) == pytest.approx(0.70, abs=0.01)
    assert max(map(abs, errors)) == pytest.approx(1.88, abs=0.01)


def test_a_law_is_found_again() -> None:
    """From exact points of two families by two recipes, which one network connects."""

    def top1(odds: float, name: str) -> float:
        network = named(name)
        return 100 / (1 + math.exp(-odds - 0.8 * (1 - network.alpha**-0.5) - 0.4 * (1 - 224 / network.height)))

    names = {"1-224": 1.0, "0.5-160": 1.0, "0.25-128": 1.0, "v2-1-224": 0.7}
    points = [Point(named(name), top1(odds, name), REFERENCE, "") for name, odds in names.items()]
    points += [Point(named(name), top1(0.9, name), "another", "") for name in ("v2-0.5-96", "v2-1-224")]
    prior = Prior.published(points)
    assert (prior.width, prior.size) == (pytest.approx(0.8), pytest.approx(0.4))
    assert prior.terms == {"v1-plain": pytest.approx(1.0), "v2": pytest.approx(0.7), "another": pytest.approx(0.2)}
    assert prior.predict(named("v2-0.75-192")) == pytest.approx(top1(0.7, "v2-0.75-192"))


def test_predictions_are_by_one_recipe() -> None:
    """The reference's, whose networks the fit meets to 0.9; the variants of V1 differ about as its paper says."""
    reference = [point for point in POINTS if point.recipe == REFERENCE]
    assert {body_of(point.network) for point in reference} == {"v1-plain", "fd", "v2", "v3-large"}
    assert all(abs(PRIOR.predict(point.network) - point.top1) < 0.9 for point in reference)
    plain = PRIOR.predict(Network())
    assert PRIOR.predict(named("shallow-1-224")) == pytest.approx(plain - 5.3, abs=0.6)
    assert PRIOR.predict(named("conv-1-224")) == pytest.approx(plain + 1.1, abs=0.8)


def test_families_rank_as_published() -> None:
    """At about equal mult-adds: 60 M, 150 to 200 M, 300 M (one column of figures each in published tables)."""
    for names in (
        ("0.25-224", "v2-0.35-224", "v3-small-1-224"),
        ("fd-1-224", "v2-0.75-192", "v4-conv-small-1-224", "v3-large-0.75-224"),
        ("0.75-224", "v2-1-224", "v3-large-1-256"),
    ):
        found = [PRIOR.predict(named(name)) for name in names]
        assert found == sorted(found)


def test_an_input_that_is_not_square() -> None:
    assert PRIOR.predict(named("1-128x192")) == pytest.approx(PRIOR.predict(named("1-192x128")))
    assert PRIOR.predict(named("1-128")) < PRIOR.predict(named("1-128x192")) < PRIOR.predict(named("1-192"))


def test_another_body_is_refused() -> None:
    with pytest.raises(BudgetError, match="knows the published bodies of MobileNets only"):
        PRIOR.predict(Network(blocks=(Block(2, 64),)))


sizes = st.tuples(st.floats(0.05, 2), st.integers(32, 512))
starts = st.sampled_from([*FAMILIES.values(), Network(blocks=SHALLOW_BODY)])


@given(starts, sizes, sizes)
def test_predictions_are_percentages_and_grow(start: Network, one: tuple[float, int], other: tuple[float, int]) -> None:
    def network(size: tuple[float, int]) -> Network:
        return start.replace(alpha=size[0], height=size[1], width=size[1])

    assert 0 <= PRIOR.predict(network(one)) <= 100
    larger = (max(one[0], other[0]), max(one[1], other[1]))
    assert PRIOR.score(network(larger)) >= PRIOR.score(network(one))


def test_one_run_shifts() -> None:
    prior = PRIOR.calibrated([run("0.25-96", 75.0)])
    shift = 75 - PRIOR.predict(named("0.25-96"))
    assert prior.predict(named("0.5-128")) == pytest.approx(PRIOR.predict(named("0.5-128")) + shift)
    assert prior.label == "the published prior, calibrated on 1 run"


def test_two_runs_fit_a_line_and_keep_their_own_figures() -> None:
    prior = PRIOR.calibrated([run("0.25-128", 70.0), run("1-128", 80.0)])
    low, high, between = (PRIOR.predict(named(name)) for name in ("0.25-128", "1-128", "0.5-128"))
    assert prior.predict(named("0.5-128")) == pytest.approx(70 + 10 * (between - low) / (high - low))
    assert prior.predict(named("0.25-128").replace(classes=5)) == 70.0
    assert prior.label == "the published prior, calibrated on 2 runs"


def test_many_runs_fit_least_squares() -> None:
    points = [run("0.25-128", 71), run("0.5-128", 74), run("0.75-128", 80), run("1-128", 79)]
    slope, offset = np.polyfit([PRIOR.predict(p.network) for p in points], [p.top1 for p in points], 1)
    prior = PRIOR.calibrated(points)
    assert (prior.slope, prior.offset) == pytest.approx((slope, offset))


def test_a_network_trained_twice_returns_the_mean() -> None:
    prior = PRIOR.calibrated([run("0.25-96", 74.0), run("0.25-96", 76.0)])
    assert prior.predict(named("0.25-96").replace(classes=5)) == 75.0
    assert prior.slope == 1.0


def test_runs_that_contradict_the_prior_only_shift_it() -> None:
    prior = PRIOR.calibrated([run("0.25-128", 80.0), run("1-128", 70.0)])
    assert prior.slope == 1.0
    assert prior.label == "the published prior, calibrated on 2 runs, shifted only"
    middle = (PRIOR.predict(named("0.25-128")) + PRIOR.predict(named("1-128"))) / 2
    assert prior.predict(named("0.5-128")) == pytest.approx(75 + PRIOR.predict(named("0.5-128")) - middle)


def test_calibrated_beyond_100_still_ranks() -> None:
    prior = PRIOR.calibrated([run("0.25-96", 97.0)])
    small, large = named("1-192"), named("1-224")
    assert prior.predict(small) == prior.predict(large) == 100
    assert prior.score(small) < prior.score(large)


def test_calibration_errors() -> None:
    with pytest.raises(BudgetError, match="at least one run"):
        PRIOR.calibrated([])
    with pytest.raises(BudgetError, match=r"\[5, 10\] classes: all must come from one data set"):
        PRIOR.calibrated([run("0.25-96", 75.0), run("0.5-96", 80.0, classes=10)])
    with pytest.raises(BudgetError, match=r"top1 \(=175\) must be from 0 to 100%"):
        run("0.25-96", 175)

"""Rules of ranges and the steps that follow from them, against counts laid out by hand."""

import numpy as np
import pytest
from test_reference import TINY

from mobilenets.model import Model
from mobilenets.quant.calibrate import RULES, ranges_by
from mobilenets.quant.conversion import quant_params, to_integers
from mobilenets.quant.observe import BINS, Histogram
from mobilenets.quant.scheme import multipliers

BIN = 16 / BINS  # of a histogram from -8 to 8, or half of one from 0 to 8


def counted(**at: int) -> Histogram:
    """A million values from -8 to 8: `b100=7` puts seven into bin 100, the rest lies in the middle."""
    counts = np.zeros(BINS)
    for name, count in at.items():
        counts[int(name[1:])] = count
    counts[BINS // 2] = 1_000_000 - counts.sum()
    return Histogram(-8.0, 8.0, counts)


@pytest.mark.parametrize(
    ("outside", "bins"),
    [
        ({"b40": 90, "b500": 20, "b1600": 20, "b2000": 90}, (500, 1600)),
        ({"b40": 120, "b500": 1, "b1600": 20, "b2000": 90}, (40, 1600)),
        ({"b40": 90, "b500": 20, "b1600": 1, "b2000": 120}, (500, 2000)),
    ],
    ids=["both sides lose 90", "high side alone", "low side alone"],
)
def test_the_percentile_leaves_out_one_value_of_ten_thousand_on_either_side(
    outside: dict[str, int], bins: tuple[int, int]
) -> None:
    """Of a million 90 are left out, 110 are not; the end lies within the bin that passes 100."""
    found = ranges_by("percentile", {"dw1": counted(**outside)})["dw1"]
    assert found == pytest.approx([-8 + (number + 0.5) * BIN for number in bins], abs=0.51 * BIN)


def test_the_percentile_leaves_an_end_at_0_where_it_is() -> None:
    counts = np.zeros(BINS)
    counts[1000] = 1e6
    assert ranges_by("percentile", {"dw1": Histogram(0.0, 8.0, counts)})["dw1"] == (0.0, pytest.approx(1001 / 256))


@pytest.mark.parametrize("rule", RULES)
def test_an_array_of_zeros_has_a_range_of_nothing(rule: str) -> None:
    histogram = Histogram(0.0, 0.0)
    histogram.add(np.zeros(100, np.float32))
    assert ranges_by(rule, {"dw1": histogram})["dw1"] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "finest", "scale", "zero_point"),
    [
        (0.0, 255.0, 0.5, 1.0, -128),
        (0.0, 51.0, 0.5, 0.5, -128),
        (-255.0, 0.0, 0.5, 1.0, 127),
        (-127.0, 128.0, 0.5, 1.0, -1),
        (-2.0, 2.0, 0.5, 0.5, -124),
        (0.0, 0.0, 0.25, 0.25, -128),
        (100.0, 255.0, 0.5, 1.0, -128),
    ],
)
def test_a_range_has_255_steps_and_none_finer_than_asked(
    low: float, high: float, finest: float, scale: float, zero_point: int
) -> None:
    found = quant_params(low, high, finest)
    assert (found.scale, found.zero_point) == (scale, zero_point)


@pytest.mark.parametrize("largest", [1e-9, 1e9])
def test_no_output_has_finer_steps_than_the_sums_it_is_rounded_from(random_model, largest: float) -> None:  # type: ignore[no-untyped-def]
    """Where ranges are next to nothing the coarsest channel's sums pass as they are; else the range decides."""
    model: Model = random_model(TINY)
    names = [name.removesuffix(".weight") for name in model.weights if name.endswith(".weight") and "_bn" not in name]
    integers = to_integers(model, dict.fromkeys(names, (0.0, largest)))
    sources = integers.sources()
    for name in names:
        factor = multipliers(integers.layers[name], sources[name][0], integers.activations[name]).max()
        if largest < 1:
            assert factor == pytest.approx(1, rel=1e-6), name
        else:
            assert factor < 1 and integers.activations[name].scale == pytest.approx(largest / 255, rel=1e-6), name

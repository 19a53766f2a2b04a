"""Quantisation of blocks with residual sums, gates and hard swishes: what equalisation scales, and odd networks."""

import numpy as np
import pytest
from test_quantize import draw_images

from mobilenets.arch import named
from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.quant import reference
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.equalise import equalise
from mobilenets.quant.observe import channel_ranges, whole
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.runtime.activations import open_activations

INVERTED = Network(
    height=32,
    width=32,
    classes=8,
    stem=8,
    blocks=(Block(1, 8, expansion=24, residual=True), Block(2, 12, expansion=24), Block(2, 16, 5, 36, False, 8)),
    head=24,
)


@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_swish"])
def test_equalising_stays_within_blocks(random_model, activation: str) -> None:
    """Not across the sum of block 1, and not where a gate (block 3) or a hard swish follows."""
    model = random_model(INVERTED.replace(activation=activation))
    images = draw_images(model.network)
    run = open_activations(model)
    before = channel_ranges(run, images)
    equal, ranges = equalise(model, before)
    found, expected = open_activations(equal)(images), run(images)
    np.testing.assert_allclose(found["fc"], expected["fc"], atol=1e-4 * np.abs(expected["fc"]).max())
    scaled = {name for name in ranges if not np.array_equal(ranges[name][1], before[name][1])}
    linear, inside = {"pw2", "pw3", "gate3_squeeze"}, {"ex1", "dw1", "ex2", "dw2", "ex3", "head"}
    assert scaled == (linear if activation == "hard_swish" else linear | inside)


def test_a_gate_steeper_than_its_input_opens_at_the_same_place(random_model) -> None:
    """The network of an error once: input scale * weight scale / output scale (=2273) must be below 256."""
    model = random_model(INVERTED)
    model.weights["gate3_excite.weight"] *= 1e6
    model.weights["gate3_excite.bias"] *= 1e6
    images = draw_images(model.network)
    run = open_activations(model)
    integers = to_integers(model, whole(channel_ranges(run, images)))
    open_gates = run(images)["gate3_excite"] > 0.5
    found = dict(reference.steps(integers, images))["gate3_excite"]
    assert 0.1 < open_gates.mean() < 0.9
    assert (integers.activations["gate3_excite"].real(found) > 0.5)[open_gates].mean() > 0.9
    assert (integers.activations["gate3_excite"].real(found) > 0.5)[~open_gates].mean() < 0.1


@pytest.mark.parametrize("factor", [0.0, 1e-6, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("layer", ["pw1", "dw1", "gate3_squeeze", "gate3_excite", "ex3"])
def test_layers_of_any_scale_are_representable(random_model, layer: str, factor: float) -> None:
    """Branches of a sum, gates and hard swishes whose scales are far apart, which XNNPACK refuses."""
    model = random_model(INVERTED.replace(activation="hard_swish"))
    model.weights[f"{layer}.weight"] *= np.float32(factor)
    norm = f"{layer}_bn.weight"
    if norm in model.weights:
        model.weights[norm] *= np.float32(factor)
    images = draw_images(model.network)
    run = open_activations(model)
    integers = to_integers(model, whole(channel_ranges(run, images)))
    assert reference.run(integers, images).shape == (24, 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_activations_that_are_no_numbers(random_model, value: float) -> None:
    model = random_model(INVERTED)
    model.weights["pw2.weight"][0] = value
    with pytest.raises(ModelFileError, match=r"pw2: activations reach \S+, must be at most 1e\+30 for int8") as error:
        quantize(model, draw_images(model.network), open_activations)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["v2-0.35-32", "v3-small-0.35-32"])
def test_whole_networks_follow_their_floats(random_model, name: str) -> None:
    """With weights for which activations stay near 1; equalisation is tried."""
    model = random_model(named(name).replace(classes=8))
    found = quantize(model, draw_images(model.network), open_activations, Choices("minmax"))
    assert {tried.equalised for tried in found.tried} == {False, True}
    assert found.tried[0].snr > 5

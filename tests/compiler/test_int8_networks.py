"""Compiled int8 networks against quant/reference.py: not one byte of any layer may differ, on any target."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from imported_roundings import with_roundings
from int8_networks import compare, images_for, random_integers
from running import needs_compiler, running

from mobilenets.arch.network import SHALLOW_BODY, Block, Network, Output
from mobilenets.compiler import arena_bytes
from mobilenets.compiler.lower import lower
from mobilenets.compiler.targets import INT8_TARGETS
from mobilenets.costs.memory import peak_elements
from mobilenets.errors import CompileError
from mobilenets.quant import reference
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.observe import channel_ranges, whole
from mobilenets.quant.scheme import QuantModel, QuantParams
from mobilenets.runtime import open_session
from mobilenets.runtime.activations import open_activations

pytestmark = needs_compiler

SMALL = (Block(1, 24), Block(2, 40), Block(1, 40))
PAPER = {
    f"{alpha}-{size}": Network(alpha, size, size) for alpha in (1.0, 0.75, 0.5, 0.25) for size in (224, 192, 160, 128)
}
ODD = {
    "alpha .1": Network(0.1, 40, 40),
    "alpha .33": Network(0.33, 64, 48),
    "alpha 1.3": Network(1.3, 33, 65, blocks=SMALL),
    "33x65": Network(0.25, 33, 65, padding="same"),
    "grey": Network(0.25, 48, 48, channels=1, classes=2, padding="keras"),
    "1001 classes": Network(0.25, 32, 32, classes=1001, padding="same", activation="relu6"),
    "one class": Network(0.25, 32, 32, classes=1, blocks=SMALL, output="sigmoid"),
    "head": Network(0.25, 64, 64, head=1024, blocks=SHALLOW_BODY),
    "full": Network(0.1, 64, 48, convolution="full", padding="same"),
    "full, head, grey": Network(0.2, 33, 40, channels=1, convolution="full", blocks=SMALL, head=50, padding="keras"),
    "stem of 5": Network(1.0, 40, 56, stem=5, blocks=(Block(2, 3), Block(1, 17), Block(2, 130)), classes=7),
    "one pixel": Network(0.25, 32, 32, blocks=(*SHALLOW_BODY, Block(2, 64), Block(1, 64)), padding="same"),
}
GATED = (
    Block(1, 16, expansion=16, residual=True, activation="relu"),
    Block(2, 24, expansion=72, activation="relu"),
    Block(1, 24, expansion=88, residual=True),
    Block(2, 40, kernel=5, expansion=96, gate=24),
    Block(1, 40, kernel=5, expansion=240, gate=64, residual=True),
)
INVERTED = {
    "hard swish": Network(1.0, 40, 48, stem=16, blocks=GATED, activation="hard_swish", classes=7),
    "relu6, same": Network(0.75, 33, 65, stem=16, blocks=GATED, activation="relu6", padding="same", classes=7),
    "small": Network(1.0, 32, 40, stem=16, blocks=GATED[3:], activation="hard_swish", classes=7),
}


@pytest.mark.parametrize(
    ("name", "target"),
    [(("full, head, grey", "stem of 5")[number % 2], target) for number, target in enumerate(INT8_TARGETS)],
)
def test_every_byte_is_the_oracles(name: str, target: str) -> None:
    model = random_integers(ODD[name], seed=1)
    compared, differing = compare(model, target, images_for(model))
    assert compared > 1000 and differing == 0
    assert np.ptp(dict(reference.steps(model, images_for(model)))["pool"], axis=0).any()  # it tells images apart


@functools.cache
def inverted(name: str) -> QuantModel:
    """Inverted residual blocks, gates and hard swish, in integers for the ranges of eight images of noise."""
    model = make_random_model(INVERTED[name])
    p = model.preprocess
    images = np.random.default_rng(0).integers(0, 256, (8, p.height, p.width, p.channels), np.uint8)
    return to_integers(model, whole(channel_ranges(open_activations(model), images)))


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(name, target, marks=[] if target in quick else [pytest.mark.slow])
        for name, quick in (("hard swish", ("avx2",)), ("relu6, same", ("portable",)))
        for target in INT8_TARGETS
    ],
)
def test_every_byte_of_residuals_and_gates_is_the_oracles(name: str, target: str) -> None:
    model = inverted(name)
    compared, differing = compare(model, target, images_for(model), parts=3 if target == "portable" else 1)
    assert compared > 100_000 and differing == 0


@pytest.mark.parametrize(
    "target",
    [pytest.param(target, marks=[] if target == "portable" else [pytest.mark.slow]) for target in INT8_TARGETS],
)
def test_every_byte_of_imported_roundings_is_the_oracles(target: str) -> None:
    model = with_roundings(inverted("small"))
    compared, differing = compare(model, target, images_for(model))
    assert compared > 20_000 and differing == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", INT8_TARGETS)
@pytest.mark.parametrize("network", [*PAPER.values(), *ODD.values()], ids=[*PAPER, *ODD])
def test_every_byte_of_every_network(network: Network, target: str) -> None:
    model = random_integers(network, seed=2)
    assert compare(model, target, images_for(model))[1] == 0


@pytest.mark.parametrize(
    ("target", "harsh", "weight_zero"),
    [
        pytest.param(target, *case, marks=[] if target in quick and case == (0.0, 127) else [pytest.mark.slow])
        for quick in (("portable", "avx2", "avx512vnni"),)
        for target in INT8_TARGETS
        for case in ((0.0, 127), (300.0, 0), (1.0, -128), (0.001, -3))
    ],
)
def test_ties_saturation_and_weights_with_a_zero_point(target: str, harsh: float, weight_zero: int) -> None:
    network = Network(0.5, 33, 34, blocks=(Block(1, 48), Block(2, 40)), activation="relu6", classes=5)
    model = random_integers(network, 3, harsh, weight_zero)
    assert compare(model, target, images_for(model))[1] == 0


blocks = st.lists(st.builds(Block, st.sampled_from([1, 2]), st.integers(1, 150)), min_size=1, max_size=3)
networks = st.builds(
    Network,
    alpha=st.just(1.0),
    height=st.integers(32, 50),
    width=st.integers(32, 70),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(1, 40),
    stem=st.integers(1, 40),
    blocks=blocks.map(tuple),
    head=st.sampled_from([0, 0, 9, 64]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    activation=st.sampled_from(["relu", "relu6"]),
    convolution=st.sampled_from(["separable", "separable", "full"]),
)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    networks,
    st.sampled_from(list(INT8_TARGETS)),
    st.integers(0, 99),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.sampled_from([0, 9]),
)
def test_any_network(network: Network, target: str, seed: int, harsh: float, zero: int) -> None:
    model = random_integers(network, seed, harsh, zero)
    assert compare(model, target, images_for(model), parts=1 + seed % 3)[1] == 0


@pytest.mark.parametrize("target", ["portable", "avx512vnni"])
def test_parts_in_any_number_and_order_give_the_same_bits(target: str) -> None:
    model = random_integers(Network(0.25, 33, 65, padding="same", blocks=SMALL, classes=11), seed=4)
    run, image = running(model, INT8_TARGETS[target]), images_for(model)[0]
    whole = run(image)
    assert np.ptp(whole[0]) > 0
    for parts, backwards in ((2, True), (3, False), (7, True)):
        assert (run(image, parts, backwards).view(np.uint32) == whole.view(np.uint32)).all()


def test_a_session_gives_the_oracles_logits() -> None:
    model = random_integers(Network(0.25, 32, 40, blocks=SMALL, classes=6), seed=5)
    images = images_for(model, 5)
    session = open_session(model, threads=2)
    assert session.runtime.startswith("mobilenets")
    exact = model.activations["fc"].real(reference.run(model, images))
    assert (session.logits(images) == exact).all() and (session.logits(images[:1]) == exact[:1]).all()


def test_a_wrong_weight_would_show() -> None:
    model = random_integers(Network(0.25, 32, 40, blocks=SMALL, classes=6), seed=5)
    layer = model.layers["pw2"]
    weight = layer.weight.copy()
    weight[0, 0, 0, 0] += 100 if weight[0, 0, 0, 0] < 0 else -100
    other = replace(model, layers={**model.layers, "pw2": replace(layer, weight=weight)})
    assert compare(model, "avx512vnni", images_for(model), oracle=other)[1] > 0


integers_of = functools.cache(random_integers)  # for all targets


@pytest.mark.any_processor
@pytest.mark.parametrize("target", INT8_TARGETS)
@pytest.mark.parametrize("network", PAPER.values(), ids=PAPER)
def test_the_arena_is_small(network: Network, target: str) -> None:
    """Within a tenth of what the ops need one by one, borders and the depthwise rows included."""
    model = integers_of(network)
    assert arena_bytes(model, target) <= 1.1 * peak_elements(model.graph)


@pytest.mark.any_processor
@pytest.mark.parametrize("target", INT8_TARGETS)
def test_a_small_network_fits_60_kb(target: str) -> None:
    assert arena_bytes(random_integers(Network(0.25, 96, 96, classes=2)), target) <= 60 * 1024


@pytest.mark.parametrize("output", ["sigmoid", "l2_normalise"])
def test_other_endings(output: Output) -> None:
    model = random_integers(Network(0.25, 32, 32, blocks=SMALL, classes=5, output=output), seed=6)
    assert compare(model, "avx512vnni", images_for(model))[1] == 0


def test_maps_are_refused() -> None:
    model = random_integers(Network(0.25, 32, 32, blocks=SMALL, classes=3, output="features"))
    with pytest.raises(CompileError, match="is not compiled: export it to ONNX"):
        lower(model, INT8_TARGETS["portable"], "n", "int8")
    assert open_session(model).runtime == "numpy, int8"


@pytest.mark.of_target("avx512vnni")
def test_scales_below_a_normal_float_and_above_the_clamps() -> None:
    """Factors near 256 and near 0: every output at an end, or at the zero point."""
    model = random_integers(Network(0.25, 32, 32, blocks=SMALL, classes=3))
    for scale in (1e-38, 2.0):
        layers = {n: replace(a, scale=np.full_like(a.scale, scale)) for n, a in model.layers.items()}
        activations = {n: QuantParams(1.0 / 64, a.zero_point) for n, a in model.activations.items()}
        other = replace(model, layers=layers, activations=activations)
        assert compare(other, "avx512vnni", images_for(model))[1] == 0

"""The engine for microcontrollers against quant/reference.py: not one byte of the logits may differ."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from imported_roundings import with_roundings
from int8_networks import images_for, random_integers
from micro_running import differing
from running import needs_compiler

from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.compiler.micro import CORES, micro_sources
from mobilenets.errors import CompileError, UsageError
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.observe import channel_ranges, whole
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.activations import open_activations

pytestmark = [needs_compiler, pytest.mark.any_processor]

FAMILIES = {core.kernels: core for core in CORES.values()}
TINY = Network(1.0, 32, 32, classes=3, blocks=(Block(2, 8),))
SMALL = (Block(1, 24), Block(2, 40), Block(1, 40))
NETWORKS = {
    "alpha .33, 33x65": Network(0.33, 33, 65, padding="same", classes=5, blocks=SHALLOW_BODY[:6], activation="relu6"),
    "grey, keras": Network(0.25, 48, 32, channels=1, classes=2, padding="keras", output="sigmoid", blocks=SMALL),
    "one pixel": Network(0.25, 32, 32, blocks=(*SHALLOW_BODY, Block(2, 64), Block(1, 64)), padding="same"),
    "full, head": Network(0.2, 33, 40, convolution="full", blocks=SMALL, head=50, padding="keras", classes=9),
    "5x5, odd channels": Network(1.0, 40, 56, stem=5, blocks=(Block(2, 3, 5), Block(1, 17), Block(2, 33)), classes=7),
}
# plain C is the twin of the assembly, but for the order of the first windows
PAIRS = [(name, family) for name in NETWORKS for family in FAMILIES if family != "plain" or "odd" in name]


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_logits_are_the_oracles(name: str, family: str, tmp_path: Path) -> None:
    model = random_integers(NETWORKS[name], seed=5)
    assert differing(model, FAMILIES[family], images_for(model), tmp_path) == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("harsh", "weight_zero"), [(0.0, 127), (1.0, -128), (300.0, 0)])
def test_ties_saturation_and_weights_with_a_zero_point(
    family: str, harsh: float, weight_zero: int, tmp_path: Path
) -> None:
    network = Network(0.5, 33, 34, blocks=(Block(1, 48), Block(2, 40)), activation="relu6", classes=5)
    model = random_integers(network, 3, harsh, weight_zero)
    assert differing(model, FAMILIES[family], images_for(model), tmp_path) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_hard_swish(family: str, tmp_path: Path) -> None:
    model = swishing(Network(0.5, 40, 48, blocks=SMALL, activation="hard_swish", classes=7))
    assert differing(model, FAMILIES[family], images_for(model), tmp_path) == 0


GATED = (Block(2, 12, 5, expansion=20, gate=8), Block(2, 16))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activation", ["hard_swish", "relu"])
def test_imported_roundings(family: str, activation: str, tmp_path: Path) -> None:
    network = Network(1.0, 32, 40, classes=7, stem=8, blocks=GATED, activation=activation)
    model = with_roundings(swishing(network))
    assert differing(model, FAMILIES[family], images_for(model), tmp_path) == 0


def swishing(network: Network) -> QuantModel:
    """Integers for the ranges of eight images of noise."""
    model = make_random_model(network)
    p = model.preprocess
    images = np.random.default_rng(0).integers(0, 256, (8, p.height, p.width, p.channels), np.uint8)
    return to_integers(model, whole(channel_ranges(open_activations(model), images)))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"output": "features"}, CompileError, "needs a classifier"),
        ({"classes": 70_000}, CompileError, "pool . fc: 70000 of a size"),
    ],
)
def test_what_it_refuses(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        micro_sources(random_integers(TINY.replace(**changes)), CORES["riscv32"])


INVERTED = (
    Block(1, 16, expansion=16, residual=True),
    Block(2, 24, expansion=72),
    Block(1, 24, expansion=88, residual=True),
    Block(1, 24, kernel=5, expansion=72, residual=True, activation="relu"),
    Block(2, 21, start=5, expansion=60),
    Block(1, 21, start=3, kernel=0, expansion=63, residual=True),
    Block(1, 21, kernel=0, expansion=42, residual=True),
)
RESIDUAL = {
    "relu6": Network(1.0, 40, 49, stem=16, blocks=INVERTED, activation="relu6", classes=7, head=40),
    "relu, same, hidden": Network(1.0, 65, 33, stem=16, blocks=INVERTED, padding="same", classes=3, hidden=20),
    "hard swish": Network(1.0, 33, 32, stem=16, blocks=INVERTED[:4], activation="hard_swish", classes=3),
    "gates": Network(
        1.0,
        49,
        40,
        stem=16,
        blocks=(
            Block(2, 16, expansion=16, gate=4, activation="relu"),
            Block(1, 16, expansion=48, gate=12, residual=True),
            Block(2, 24, kernel=5, expansion=72, gate=20),
            Block(1, 24, kernel=5, expansion=72, gate=20, residual=True),
        ),
        activation="hard_swish",
        head=40,
        hidden=30,
        classes=5,
    ),
    "gates of V1": Network(1.0, 33, 32, blocks=(Block(1, 24, gate=8), Block(2, 32, gate=5)), padding="same", classes=3),
    "fused": Network(
        1.0, 48, 48, blocks=(Block(2, 24, expansion=40, fused=True), Block(1, 24, expansion=48, residual=True))
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", RESIDUAL)
def test_residuals(name: str, family: str, tmp_path: Path) -> None:
    model = swishing(RESIDUAL[name])
    assert differing(model, FAMILIES[family], images_for(model), tmp_path) == 0


def test_names_are_words_of_c() -> None:
    with pytest.raises(UsageError, match="'my net' must be a word that C allows"):
        micro_sources(random_integers(TINY), CORES["riscv32"], "my net")


blocks = st.lists(
    st.builds(Block, st.sampled_from([1, 2]), st.integers(1, 70), st.sampled_from([3, 3, 5])), min_size=1, max_size=3
)
networks = st.builds(
    Network,
    alpha=st.just(1.0),
    height=st.integers(32, 50),
    width=st.integers(32, 70),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 40),
    stem=st.integers(1, 30),
    blocks=blocks.map(tuple),
    head=st.sampled_from([0, 0, 9, 64]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    activation=st.sampled_from(["relu", "relu6"]),
)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40)
@given(networks, st.integers(0, 99), st.sampled_from([0.0, 1.0, 30.0]), st.sampled_from([0, 0, 9]))
def test_any_network(family: str, network: Network, seed: int, harsh: float, zero: int) -> None:
    model = random_integers(network, seed, harsh, zero)
    with TemporaryDirectory() as folder:
        assert differing(model, FAMILIES[family], images_for(model), Path(folder)) == 0

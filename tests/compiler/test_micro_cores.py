"""The engine for microcontrollers on emulated boards: the assembly, the intrinsics, the flags, what they need."""

import subprocess
from pathlib import Path

import pytest
from cortex import BOARDS, FLAGS, GCC, measure, needs_boards, random_network, steps_that_differ
from int8_networks import images_for, random_integers
from test_micro_networks import NETWORKS, RESIDUAL, swishing

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.micro import CORES, micro_sources
from mobilenets.opening import open_model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel

pytestmark = [needs_boards, pytest.mark.any_processor]

SIMPLE = Network(1.0, 48, 40, blocks=(Block(1, 12), Block(2, 18)), activation="relu6", classes=3)
CASES = {
    "simple": SIMPLE,
    "7x7": Network(0.5, 56, 56, blocks=(Block(2, 48), Block(1, 34), Block(2, 20), Block(1, 36)), padding="same"),
    **NETWORKS,
}
FAST = ("cortex-m4", "cortex-m55")  # cores with assembly of their own


@pytest.mark.parametrize("core", FAST)
@pytest.mark.parametrize("name", ["relu6", "relu, same, hidden", "gates"])
def test_residuals(name: str, core: str, tmp_path: Path) -> None:
    model = swishing(RESIDUAL[name])
    assert steps_that_differ(model, core, images_for(model)[0], tmp_path) == []


PAIRS = [(name, core) for name in CASES for core in FAST] + [("simple", core) for core in BOARDS if core not in FAST]


@pytest.mark.parametrize(("name", "core"), PAIRS)
def test_every_step_is_the_oracles(name: str, core: str, tmp_path: Path) -> None:
    model = random_integers(CASES[name], seed=6)
    assert steps_that_differ(model, core, images_for(model)[0], tmp_path) == []


@pytest.mark.parametrize("core", FAST)
@pytest.mark.parametrize(("harsh", "weight_zero"), [(0.0, -128), (30.0, 9)])
def test_ties_saturation_and_weights_with_a_zero_point(
    harsh: float, weight_zero: int, core: str, tmp_path: Path
) -> None:
    model = random_integers(SIMPLE, 3, harsh, weight_zero)
    assert steps_that_differ(model, core, images_for(model)[0], tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("core", FAST)
@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int, core: str, tmp_path: Path) -> None:
    model = random_integers(
        random_network(seed), seed, harsh=(1.0, 30.0, 0.0)[seed % 3], weight_zero=9 * (seed % 4 == 3)
    )
    assert steps_that_differ(model, core, images_for(model)[0], tmp_path) == []


@pytest.mark.parametrize("core", FAST)
@pytest.mark.parametrize("level", ["-Os", "-O2"])
def test_it_needs_what_it_states(level: str, core: str, tmp_path: Path) -> None:
    model = random_integers(SIMPLE, seed=7)
    flags = (level, *FLAGS[1:])
    found, images = measure(model, core, images_for(model), tmp_path, flags), images_for(model)
    assert (found.logits == reference.run(model, images)).all()
    sources = micro_sources(model, CORES[core])
    assert found.stack <= sources.stack and sources.weights < found.flash < sources.weights + 12_000


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_cpp_compiles_it(core: str, tmp_path: Path) -> None:
    for name, text in micro_sources(random_integers(SIMPLE), CORES[core]).files.items():
        (tmp_path / name).write_text(text)
    flags = [*CORES[core].flags, "-Wall", "-Wextra", "-Werror", "-Os", "-c", "-o", tmp_path / "network.o"]
    subprocess.run([GCC.replace("gcc", "g++"), "-x", "c++", *flags, tmp_path / "network.c"], check=True)


@pytest.mark.slow
def test_visual_wake_words(tmp_path: Path, shared_data: Path) -> None:
    model = open_model(shared_data / "weights" / "vww_96_int8.tflite").model
    assert isinstance(model, QuantModel)
    images = images_for(model, 3)
    for core, instructions, arena in (("cortex-m4", 9e6, 40_000), ("cortex-m55", 4e6, 48_000)):
        found = measure(model, core, images, tmp_path)
        assert (found.logits == reference.run(model, images)).all()
        assert found.instructions < instructions and found.arena <= arena and found.flash <= 240_000

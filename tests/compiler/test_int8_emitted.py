"""The C of int8 networks: one as it stands in golden_int8/, no warning, no symbol too many, nothing for the sanitizers.

`pytest tests/compiler/test_int8_emitted.py --update-golden` writes the golden files anew.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from driver import COMMANDS, build, command, run
from int8_networks import images_for, random_integers
from native import runnable
from test_emitted import COMPILERS, FOUND, STRICT, compiled

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.targets import INT8_TARGETS
from mobilenets.image import Preprocess
from mobilenets.quant import reference
from mobilenets.quant.scheme import IntegerLayer, QuantModel, QuantParams

pytestmark = pytest.mark.any_processor

GOLDEN = Path(__file__).parent / "golden_int8"
SMALL = Network(0.5, 40, 36, blocks=(Block(1, 24), Block(2, 40)), head=24, classes=3, activation="relu6")
NETWORKS = {
    "33x65": Network(0.25, 33, 65, classes=11, padding="same"),
    "alpha .1, grey": Network(0.1, 40, 37, channels=1, classes=2),
    "full, head": Network(0.1, 48, 36, convolution="full", head=70, classes=5, padding="same"),
    "odd": Network(1.3, 32, 70, stem=5, blocks=(Block(2, 3), Block(1, 17), Block(2, 130)), classes=1001),
    "small": SMALL,
}


def small() -> QuantModel:
    """Integers that any machine makes alike."""
    drawn = random_integers(SMALL)
    layers = {
        name: IntegerLayer(
            (np.arange(layer.weight.size) % 201 - 100).astype(np.int8).reshape(layer.weight.shape),
            np.full_like(layer.scale, 2.0**-9),
            (np.arange(layer.bias.size) * 7).astype(np.int32),
        )
        for name, layer in drawn.layers.items()
    }
    activations = {name: QuantParams(2.0**-5, -128 if name != "fc" else 5) for name in drawn.activations}
    return QuantModel(SMALL, activations, layers, Preprocess(40, 36, 3), ("a", "b", "c"))


def texts(target: str) -> dict[str, str]:
    made, _ = sources_of(small(), INT8_TARGETS[target], "int8", True)
    return {"int8.c": made.c, "mobilenets_int8.h": made.h}


def test_the_c_is_what_it_was(request: pytest.FixtureRequest) -> None:
    found = texts("avx512vnni")
    for file, text in found.items():
        if request.config.getoption("--update-golden"):
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / file).write_text(text, "utf-8")
        assert text == (GOLDEN / file).read_text("utf-8"), "read the difference, then run with --update-golden"
    assert {file.name for file in GOLDEN.iterdir()} == set(found)


@pytest.mark.parametrize("command", COMPILERS)
@pytest.mark.parametrize("target", INT8_TARGETS)
def test_no_compiler_warns(target: str, command: list[str], tmp_path: Path) -> None:
    """Nor is anything allocated or kept between two images, and the object has the instructions of its target."""
    flags = INT8_TARGETS[target].flags
    assert compiled(tmp_path, texts(target), *command, *STRICT, "-std=c99", *flags, "-c", "int8.c") == ""
    if command in FOUND and shutil.which("nm"):
        assert_nothing_is_allocated_and_nothing_is_kept(tmp_path)
    if command in FOUND and shutil.which("objdump"):
        assert_the_instructions_are_there(target, tmp_path)
    if target == "portable":  # as where there is no SSE2
        words = (*command, *STRICT, "-std=c99", "-U__SSE2__", "-c", "int8.c")
        assert compiled(tmp_path, texts(target), *words) == ""


def assert_nothing_is_allocated_and_nothing_is_kept(folder: Path) -> None:
    listed = subprocess.run(["nm", "int8.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines()]
    assert {name for kind, name in symbols if kind == "U"} <= {"memset", "memcpy", "memmove"}
    assert {kind for kind, _ in symbols} <= set("TtRrU")
    assert {name for kind, name in symbols if kind in "TR"} == {"mobilenets_int8_run", "mobilenets_int8_step"}


def assert_the_instructions_are_there(target: str, folder: Path) -> None:
    disassembled = subprocess.run(["objdump", "-d", "int8.o"], cwd=folder, capture_output=True, text=True).stdout
    for instruction in ("tdpbusd", "ldtilecfg", "tileloadd", "tilestored", "tilerelease"):
        assert (instruction in disassembled) == (target == "amx")
    assert ("vpdpbusd" in disassembled) == (target in ("amx", "avx512vnni", "avxvnni"))


def build_and_run(folder: Path, name: str, network: Network, target: str, *before: str) -> None:
    """The logits of the driver, behind the command `before`, are the oracle's."""
    model = random_integers(network, seed=1)
    image = images_for(model, 1)
    build(folder, command(name), model, runnable(INT8_TARGETS[target]))
    exact = model.activations["fc"].real(reference.run(model, image))[0]
    assert (run(folder, image, *before) == exact).all()


@pytest.mark.slow
@pytest.mark.parametrize("target", INT8_TARGETS)
@pytest.mark.parametrize("sanitizer", [name for name in COMMANDS if name != "gcc" and "thread" not in name])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_sanitizers_find_nothing(network: Network, sanitizer: str, target: str, tmp_path: Path) -> None:
    build_and_run(tmp_path, sanitizer, network, target)


@pytest.mark.slow
def test_threads_do_not_race(tmp_path: Path) -> None:
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    build_and_run(tmp_path, "gcc thread", NETWORKS["33x65"], "avx512vnni", *fixed)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.parametrize("target", ["avx2", "portable"])  # which it does not know
def test_valgrind_finds_nothing(target: str, tmp_path: Path) -> None:
    before = ("valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full")
    build_and_run(tmp_path, "gcc", NETWORKS["33x65"], target, *before)

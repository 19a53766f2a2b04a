"""Compiled networks in fp16 against torch in float64; a target that this processor does not run is emulated."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from running import float64_logits, images_of, needs_compiler, relative_rms, running
from test_emitted import FOUND, STRICT, compiled
from test_parity import ODD, RESIDUAL

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.compile import compile_model, sources_of, write_c
from mobilenets.compiler.processor import LEVELS
from mobilenets.compiler.targets import ALL_FP16_TARGETS, FP16_TARGETS, TARGETS
from mobilenets.errors import CompileError, UsageError

pytestmark = needs_compiler


def error(network: Network, target: str, seed: int) -> float:
    """Return the relative RMS of the logits; parts of a step in any number and order give the same bits."""
    model = make_random_model(network, seed=seed)
    images, run = images_of(model, 4), running(model, ALL_FP16_TARGETS[target], "fp16")
    whole = np.stack([run(image) for image in images])
    for parts, backwards in ((2, True), (7, False)):
        assert (run(images[0], parts, backwards) == whole[0]).all()
    return relative_rms(whole[:, 0], float64_logits(model, images))


@pytest.mark.slow
@pytest.mark.parametrize("target", ALL_FP16_TARGETS)
@pytest.mark.parametrize("network", ODD.values(), ids=ODD)
def test_odd_networks(network: Network, target: str) -> None:
    assert np.median([error(network, target, seed) for seed in (1, 2, 3)]) < 0.006


@pytest.mark.parametrize("name", ["stem of 5", "33x65", "residual"])
def test_some_networks(name: str) -> None:
    network = RESIDUAL if name == "residual" else ODD[name]
    assert error(network, "avx512fp16", 1) < 0.004


def test_means_of_many_pixels_are_exact() -> None:
    """40 x 40 pixels, of which the last add less than a half's last digit to the sum: sums are floats."""
    network = Network(1.0, 80, 80, stem=8, blocks=(Block(1, 16),), classes=4)
    assert error(network, "avx512fp16", 1) < 0.004


@pytest.mark.any_processor
@pytest.mark.parametrize("command", FOUND, ids=lambda command: command[0])
def test_no_compiler_warns(command: list[str], tmp_path: Path) -> None:
    target = FP16_TARGETS["avx512fp16"]
    made, _ = sources_of(make_random_model(RESIDUAL), target, "net", False, "fp16")
    files = {"net.c": made.c, "mobilenets_net.h": made.h}
    assert (
        compiled(tmp_path, files, *command, *STRICT, "-std=c99", *target.flags, "-ffp-contract=fast", "-c", "net.c")
        == ""
    )
    shown = subprocess.run(["objdump", "-d", "net.o"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "vfmadd231ph" in shown and "vfmadd231ps" not in shown


@pytest.mark.any_processor
def test_half_the_memory_and_the_library_says_so(tmp_path: Path) -> None:
    model, target = make_random_model(ODD["head"]), FP16_TARGETS["avx512fp16"]
    (halves, of_halves), (floats, of_floats) = (
        sources_of(model, chosen, "net", precision=precision)
        for chosen, precision in ((target, "fp16"), (TARGETS["avx512"], "fp32"))
    )
    assert of_halves.weights.size < 0.6 * of_floats.weights.size and halves.arena.one < 0.6 * floats.arena.one
    written = write_c(model, tmp_path, "avx512fp16", "net", False, "fp16", library=False)
    assert written.precision == "fp16" and " in fp16.\n" in (tmp_path / "mobilenets_net.h").read_text()


@pytest.mark.any_processor
def test_weights_beyond_halves_are_refused() -> None:
    model = make_random_model(ODD["head"])
    weights = {**model.weights, "fc.weight": model.weights["fc.weight"] + 7e4}
    with pytest.raises(CompileError, match=r"^fc.weight: a weight of 7[\d.]+ must be at most 65504 for fp16$"):
        sources_of(replace(model, weights=weights), FP16_TARGETS["avx512fp16"], "net", precision="fp16")


def test_a_processor_without_halves_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILENETS_PROCESSOR", next(iter(LEVELS)))
    with pytest.raises(UsageError, match=r"target 'auto': none of .*avx512fp16 runs on this processor, .* in fp16"):
        compile_model(make_random_model(ODD["head"]), precision="fp16")

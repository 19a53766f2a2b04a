"""Compiled networks in bf16, and in floats made of bf16, against torch in float64.

Targets that this processor does not run are emulated (tests/native.py), AMX with its instructions put into C (tiles.c).
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import Array, float64_logits, images_of, needs_compiler, relative_rms, running
from test_emitted import FOUND, STRICT, compiled
from test_parity import ODD, PAPER, RESIDUAL, networks

import mobilenets.compiler.processor
from mobilenets.arch.network import Block, Network
from mobilenets.benchmarks.torch_module import inference
from mobilenets.compiler.compile import compile_model, sources_of, write_c
from mobilenets.compiler.formats import FORMATS
from mobilenets.compiler.lower import lower
from mobilenets.compiler.processor import missing
from mobilenets.compiler.targets import BF16_TARGETS
from mobilenets.errors import CompileError, UsageError
from mobilenets.image import Pixels
from mobilenets.model import Model
from mobilenets.runtime.library import OpenLibrary

pytestmark = needs_compiler

SPLITS = {"bf16x6": 1e-5, "bf16x3": 3e-4}  # relative RMS of the logits


def logits_of(model: Model, images: Pixels, target: str, precision: str) -> Array:
    """Of a library made for it; parts of a step in any number and order give the same bits."""
    run = running(model, BF16_TARGETS[target], precision)
    whole = np.stack([run(image) for image in images])
    assert np.isfinite(whole).all()
    for parts, backwards in ((2, True), (7, False)):
        assert (run(images[0], parts, backwards) == whole[0]).all()
    return whole[:, 0]


def check(network: Network, target: str, precision: str, seeds: int = 4, slack: float = 1.0) -> None:
    """bf16 is held against torch's bf16, over as many networks as make the error of a few logits a measure.

    The two errors may differ by chance where there are few `seeds`, and in gated networks, whose errors vary from seed
    to seed by a factor of four: `slack` times torch's is the bound.
    """
    found: dict[str, list[Array]] = {"ours": [], "torch": [], "exact": []}
    for seed in range(1, 1 + seeds if precision == "bf16" and network.classes < 100 else 2):
        model = make_random_model(network, seed=seed)
        images = images_of(model, 6)
        found["ours"].append(logits_of(model, images, target, precision))
        found["exact"].append(float64_logits(model, images))
        if precision == "bf16":
            found["torch"].append(inference(model, "bf16", 1)(images))
    ours, exact = np.stack(found["ours"]), np.stack(found["exact"])
    bound = SPLITS[precision] if precision in SPLITS else slack * relative_rms(np.stack(found["torch"]), exact)
    assert relative_rms(ours, exact) <= bound


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", *SPLITS])
@pytest.mark.parametrize("target", BF16_TARGETS)
@pytest.mark.parametrize("network", PAPER, ids=lambda network: network.name)
def test_the_papers_networks(network: Network, target: str, precision: str) -> None:
    if target == "amx" and network.height > 160:
        pytest.skip("its instructions put into C take a minute")
    check(network, target, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", *SPLITS])
@pytest.mark.parametrize("target", BF16_TARGETS)
@pytest.mark.parametrize("network", ODD.values(), ids=ODD)
def test_odd_networks(network: Network, target: str, precision: str) -> None:
    gated = any(block.gate for block in network.blocks)
    check(network, target, precision, *((8, 1.25) if gated else ()))


@pytest.mark.parametrize(
    ("name", "target", "precision"),
    [("stem of 5", "amx", "bf16"), ("stem of 5", "portable", "bf16"), ("one class", "avx512bf16", "bf16x6")],
)
def test_some_odd_networks(name: str, target: str, precision: str) -> None:
    check(ODD[name], target, precision)


@pytest.mark.parametrize(
    ("target", "precision"),
    [
        pytest.param(target, precision, marks=[] if target in quick else [pytest.mark.slow])
        for precision, quick in (("bf16", ("portable",)), ("bf16x3", ("avx2",)))
        for target in BF16_TARGETS
    ],
)
def test_residuals_gates_and_hard_swish(target: str, precision: str) -> None:
    check(RESIDUAL, target, precision, seeds=2, slack=1.25)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(networks, st.sampled_from(list(BF16_TARGETS)), st.sampled_from(list(SPLITS)))
def test_any_network(network: Network, target: str, precision: str) -> None:
    check(network, target, precision)


SMALL = Network(1, 32, 40, blocks=(Block(1, 64), Block(2, 100)), stem=24, classes=5)


@pytest.mark.any_processor
@pytest.mark.parametrize("command", FOUND, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("target", "precision"),
    [
        pytest.param(target, precision, marks=[] if precision == "bf16" else [pytest.mark.slow])
        for target in BF16_TARGETS
        for precision in ("bf16", *SPLITS)
    ],
)
def test_no_compiler_warns(target: str, precision: str, command: list[str], tmp_path: Path) -> None:
    made, _ = sources_of(make_random_model(RESIDUAL), BF16_TARGETS[target], "net", False, precision)
    files = {"net.c": made.c, "mobilenets_net.h": made.h}
    flags = BF16_TARGETS[target].flags
    assert compiled(tmp_path, files, *command, *STRICT, "-std=c99", *flags, "-c", "net.c") == ""
    if shutil.which("objdump"):
        disassembled = subprocess.run(["objdump", "-d", "net.o"], cwd=tmp_path, capture_output=True, text=True).stdout
        for instruction, named in {
            "tdpbf16ps": target == "amx",
            "ldtilecfg": target == "amx",
            "vdpbf16ps": target == "avx512bf16" or (target, precision) == ("amx", "bf16"),
        }.items():
            assert (instruction in disassembled) == named


@pytest.mark.slow
@pytest.mark.of_target("amx")
def test_tiles_and_pairs_agree() -> None:
    """The same rounding everywhere; only sums are in another order."""
    model = make_random_model(SMALL, seed=2)
    images = images_of(model)
    found = {target: logits_of(model, images, target, "bf16") for target in BF16_TARGETS}
    for logits in found.values():
        assert relative_rms(logits, found["amx"]) < 5e-3


@pytest.mark.any_processor
def test_the_precision_is_named_and_part_of_what_is_cached(tmp_path: Path) -> None:
    model = make_random_model(SMALL)
    libraries = {precision: compile_model(model, precision=precision) for precision in ("fp32", "bf16", "bf16x3")}
    assert len({library.path for library in libraries.values()}) == 3
    assert all(library.precision == precision for precision, library in libraries.items())
    assert compile_model(model, precision="bf16") == libraries["bf16"]
    assert libraries["bf16"].weights.stat().st_size < 0.6 * libraries["fp32"].weights.stat().st_size
    assert libraries["bf16"].arena(1) < 0.6 * libraries["fp32"].arena(1)
    written = write_c(model, tmp_path, "auto", "net", False, "bf16x3", library=False)
    assert written.precision == "bf16x3" and " in bf16x3.\n" in (tmp_path / "mobilenets_net.h").read_text()


def test_what_there_is_not_is_refused() -> None:
    model = make_random_model(SMALL)
    with pytest.raises(UsageError, match=r"precision \(='bf8'\) must be one of fp32, fp16, bf16, bf16x3, bf16x6"):
        compile_model(model, precision="bf8")
    with pytest.raises(UsageError, match="target 'amx' must be auto, neon, avx512, avx2, portable in fp32"):
        compile_model(model, "amx")


@pytest.mark.skipif(not missing(("amx_tile",)), reason="this processor has AMX")
def test_a_processor_without_amx_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name of what it lacks; and where only the system refuses, by that. Never by an illegal instruction."""
    library = compile_model(make_random_model(SMALL), "amx", tmp_path, "bf16")
    with pytest.raises(CompileError, match=r"was built for amx: this processor lacks .*amx_tile, amx_bf16$"):
        OpenLibrary(library, 1)
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: frozenset(library.features))
    monkeypatch.setattr(mobilenets.compiler.processor, "tiles_granted", lambda: False)
    with pytest.raises(CompileError, match=r"grants no AMX tiles; use --target avx512bf16$"):
        OpenLibrary(library, 1)


@pytest.mark.any_processor
@pytest.mark.parametrize("precision", ["bf16", "bf16x3"])
def test_each_part_of_a_separable_step_has_its_own_activation(precision: str) -> None:
    """In an inverted residual block the depthwise convolution is activated, the pointwise one is not."""
    network = Network(1.0, 32, 32, stem=16, blocks=(Block(1, 24, expansion=16),), activation="relu6", classes=3)
    program = lower(make_random_model(network), BF16_TARGETS["avx2"], "network", precision).program
    (step,) = (step for step in program.steps if "dw1" in step.name)
    assert step.limits == (6, -1)
    assert any("dw_bias, 6," in line for line in FORMATS[precision].bodies[step.kind].lines(step))

"""The families' networks in C: in fp32 as torch computes them in float64, in int8 every byte of the oracle."""

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from int8_networks import compare, images_for
from running import float64_logits, images_of, needs_compiler, relative_rms, running

from mobilenets.arch import Block, Network, named
from mobilenets.arch.zoo import FAMILIES
from mobilenets.benchmarks.torch_module import inference
from mobilenets.compiler import arena_bytes
from mobilenets.compiler.formats import fp32, int8
from mobilenets.compiler.lower import lower
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import BF16_TARGETS, INT8_TARGETS, TARGETS
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.observe import channel_ranges, whole
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.activations import open_activations

pytestmark = needs_compiler

OTHERS = [family for family in FAMILIES if family not in ("", "fd")]  # which have blocks that V1 has not
TINY = 0.1  # alpha


def cases(targets: Iterable[str], quick: dict[str, str]) -> list[Any]:
    """Every family on every target; those of `make test` are `quick`."""
    return [
        pytest.param(family, target, marks=[] if quick.get(family) == target else [pytest.mark.slow])
        for family in OTHERS
        for target in targets
    ]


@functools.cache
def tiny(family: str) -> Model:
    return make_random_model(named(f"{family}-{TINY}-40x48").replace(classes=7))


@functools.cache
def in_integers(family: str) -> QuantModel:
    """In integers for the ranges of eight images of noise."""
    model = tiny(family)
    return to_integers(model, whole(channel_ranges(open_activations(model), images_of(model, 8))))


@pytest.mark.parametrize(("family", "target"), cases(TARGETS, {"v3-small": "avx2"}))
def test_fp32_is_torchs(family: str, target: str) -> None:
    model = tiny(family)
    images = images_of(model)
    run = running(model, TARGETS[target])
    exact = float64_logits(model, images)
    assert relative_rms(np.stack([run(image)[0] for image in images]), exact) < 1e-5
    assert (run(images[0], 3, True) == run(images[0])).all()


@pytest.mark.parametrize(("family", "target"), cases(INT8_TARGETS, {"v3-small": "avx2"}))
def test_every_byte_of_int8_is_the_oracles(family: str, target: str) -> None:
    model = in_integers(family)
    images = images_for(model)
    compared, differing = compare(model, target, images, parts=3 if target == "portable" else 1)
    assert compared > 10_000 and differing == 0
    assert np.ptp(reference.run(model, images), axis=0).any()  # it tells images apart


BLOCKS = (
    Block(1, 16, expansion=40, residual=True),
    Block(2, 24, expansion=72),
    Block(1, 24, kernel=5, expansion=33, activation="relu"),
)


@pytest.fixture(params=[pytest.param("symmetric", marks=pytest.mark.slow), "same"])
def unwritten(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model:
    """Inverted residual blocks none of whose expanded maps is written as a whole, but some rows at a time."""
    monkeypatch.setattr(fp32, "MAP_CACHE", 0)
    monkeypatch.setattr(fp32, "BLOCK_CACHE", 5000)
    monkeypatch.setattr(int8, "MAP_CACHE", 0)
    monkeypatch.setattr(int8, "ROWS_CACHE", 2000)
    network = Network(1.0, 33, 46, stem=16, blocks=BLOCKS, activation="relu6", padding=request.param, classes=7)
    return make_random_model(network)


def steps_of(model: Model | QuantModel, target: Target) -> list[str]:
    return [step.kind.op for step in lower(model, target, "n", model.precision).program.steps]


@pytest.mark.parametrize("target", [pytest.param(t, marks=[] if t == "avx2" else [pytest.mark.slow]) for t in TARGETS])
def test_blocks_in_fp32(unwritten: Model, target: str) -> None:
    images = images_of(unwritten)
    run = running(unwritten, TARGETS[target])
    exact = float64_logits(unwritten, images)
    assert steps_of(unwritten, TARGETS[target]).count("expanded") == len(BLOCKS)
    assert relative_rms(np.stack([run(image)[0] for image in images]), exact) < 1e-5
    assert (run(images[0], 3, True) == run(images[0])).all()


WITHOUT_TILES = [target for target in INT8_TARGETS if target != "amx"]


@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=[] if t == "avx2" else [pytest.mark.slow]) for t in WITHOUT_TILES]
)
def test_blocks_in_int8(unwritten: Model, target: str) -> None:
    model = to_integers(unwritten, whole(channel_ranges(open_activations(unwritten), images_of(unwritten, 8))))
    assert steps_of(model, INT8_TARGETS[target]).count("expanded") == len(BLOCKS) - 1  # those of 3x3
    for parts in (1, 3):
        compared, differing = compare(model, target, images_for(model), parts)
        assert compared > 10_000 and differing == 0


@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=[] if t in ("amx", "portable") else [pytest.mark.slow]) for t in BF16_TARGETS]
)
def test_blocks_in_bf16(unwritten: Model, target: str) -> None:
    """Beside a depthwise convolution that stands alone, as those before a gate do."""
    gated = Block(1, 24, kernel=5, expansion=40, gate=16, residual=True)
    model = make_random_model(replace(unwritten.network, blocks=(*BLOCKS, gated)))
    kinds = [step.kind.op for step in lower(model, BF16_TARGETS[target], "n", "bf16").program.steps]
    assert (kinds.count("expanded"), kinds.count("depthwise")) == (len(BLOCKS), 1)
    images, exact = images_of(model), float64_logits(model, images_of(model))
    run = running(model, BF16_TARGETS[target], "bf16")
    ours, theirs = np.stack([run(image)[0] for image in images]), inference(model, "bf16", 1)(images)
    assert relative_rms(ours, exact) < 1.25 * relative_rms(theirs, exact)
    assert (run(images[0], 3, True) == run(images[0])).all()


@pytest.mark.slow
@pytest.mark.of_target("avx2")
@pytest.mark.parametrize("family", ["v2", "v3-small"])
def test_bf16_is_as_near_as_torchs(family: str) -> None:
    errors = []
    for seed in range(4):
        model = make_random_model(named(f"{family}-0.25-64"), seed=seed)
        images, exact = images_of(model), float64_logits(model, images_of(model))
        run = running(model, TARGETS["avx2"], "bf16")
        ours, theirs = np.stack([run(image)[0] for image in images]), inference(model, "bf16", 1)(images)
        errors.append([relative_rms(found, exact) for found in (ours, theirs)])
    ours_mean, theirs_mean = np.mean(errors, axis=0)
    assert ours_mean < 1.05 * theirs_mean


@pytest.mark.any_processor
def test_the_arena_has_no_expanded_map() -> None:
    model = make_random_model(named("v2-0.35-224"))
    map_bytes = 4 * 112 * 112 * 48
    assert arena_bytes(model, "avx2") < 1.2 * map_bytes

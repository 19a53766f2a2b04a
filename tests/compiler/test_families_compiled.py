"""The families' networks in C: in fp32 as torch computes them in float64, in int8 every byte of the oracle."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from int8_networks import compare, images_for
from running import float64_logits, images_of, needs_compiler, relative_rms, running

from mobilenets.arch import named
from mobilenets.arch.zoo import FAMILIES
from mobilenets.compiler.targets import INT8_TARGETS, TARGETS
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


@pytest.mark.parametrize(
    ("family", "target"), cases(INT8_TARGETS, {"v3-small": "portable", "v3-small-minimalistic": "avx2"})
)
def test_every_byte_of_int8_is_the_oracles(family: str, target: str) -> None:
    model = in_integers(family)
    images = images_for(model)
    compared, differing = compare(model, target, images, parts=3 if target == "portable" else 1)
    assert compared > 10_000 and differing == 0
    assert np.ptp(reference.run(model, images), axis=0).any()  # it tells images apart

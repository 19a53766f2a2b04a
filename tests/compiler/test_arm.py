"""Targets of 64-bit ARM: their layouts in plain C on this processor, their instructions in an emulator."""

import shutil
from pathlib import Path

import pytest
from conftest import make_random_model
from driver import build, run
from int8_networks import compare, images_for, random_integers
from running import float64_logits, images_of, needs_compiler, relative_rms, running
from test_int8_networks import ODD, inverted

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.targets import ARM_BF16_TARGETS, ARM_INT8_TARGETS
from mobilenets.quant import reference

CROSS = ("aarch64-linux-gnu-gcc", "-O2", "-std=gnu11", "-static")
EMULATOR = shutil.which("qemu-aarch64")
needs_arm = pytest.mark.skipif(
    not EMULATOR or not shutil.which(CROSS[0]), reason="no qemu-aarch64 (Debian: qemu-user) or no aarch64-linux-gnu-gcc"
)
CPUS = {"neon": "cortex-a53"}  # the others have no processor of their own that the emulator knows
NETWORK = Network(0.5, 40, 36, blocks=(Block(1, 64), Block(2, 100)), classes=3)


def emulator(target: str) -> list[str]:
    return [str(EMULATOR), "-cpu", CPUS.get(target, "max")]


@needs_arm
@pytest.mark.any_processor
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
def test_int8_in_an_emulator(target: str, tmp_path: Path) -> None:
    model = random_integers(ODD["stem of 5"], seed=1)
    build(tmp_path, [*CROSS], model, ARM_INT8_TARGETS[target])
    for image in images_for(model):
        exact = model.activations["fc"].real(reference.run(model, image[None]))[0]
        assert (run(tmp_path, image, *emulator(target)) == exact).all()


@needs_arm
@pytest.mark.any_processor
@pytest.mark.parametrize(
    ("precision", "target", "bound"),
    [("fp32", "neon", 1e-5), ("bf16", "neon", 0.02), ("bf16", "bf16", 0.02), ("bf16x3", "bf16", 1e-4)],
)
def test_floats_in_an_emulator(precision: str, target: str, bound: float, tmp_path: Path) -> None:
    model = make_random_model(NETWORK)
    build(tmp_path, [*CROSS], model, ARM_BF16_TARGETS[target], precision)
    (image,) = images_of(model, 1)
    exact = float64_logits(model, image[None])[0]
    assert relative_rms(run(tmp_path, image, *emulator(target)), exact) < bound


@needs_compiler
@pytest.mark.any_processor
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
def test_every_byte_is_the_oracles(target: str) -> None:
    """In plain C: each kernel has a body without intrinsics."""
    model = random_integers(ODD["stem of 5"], seed=1, weight_zero=3)
    compared, differing = compare(model, target, images_for(model, 1), parts=3)
    assert compared > 1000 and differing == 0


@needs_compiler
@pytest.mark.any_processor
@pytest.mark.slow
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
@pytest.mark.parametrize("network", [*ODD, "hard swish", "relu6, same"])
def test_every_byte_of_every_network(network: str, target: str) -> None:
    model = random_integers(ODD[network], seed=2) if network in ODD else inverted(network)
    assert compare(model, target, images_for(model), parts=2)[1] == 0


@needs_compiler
@pytest.mark.any_processor
@pytest.mark.parametrize(("precision", "target"), [("fp32", "neon"), ("bf16", "bf16")])
def test_floats_in_plain_c(precision: str, target: str) -> None:
    model = make_random_model(NETWORK)
    found = running(model, ARM_BF16_TARGETS[target], precision)(images_of(model, 1)[0], parts=3)
    bound = 1e-5 if precision == "fp32" else 0.02
    assert relative_rms(found[0], float64_logits(model, images_of(model, 1))[0]) < bound

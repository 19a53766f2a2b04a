"""Targets of 64-bit ARM: their layouts in plain C on this processor, their instructions in an emulator."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from driver import build, run
from int8_networks import compare, count, images_for, random_integers
from running import float64_logits, images_of, needs_compiler, relative_rms, running
from test_int8_networks import ODD, inverted
from test_processor import needs_x86

from mobilenets.arch.network import Block, Network
from mobilenets.benchmarks import limit
from mobilenets.compiler import build as build_module
from mobilenets.compiler import processor
from mobilenets.compiler.build import library_of
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.processor import load
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import (
    ALL_BF16_TARGETS,
    ALL_FP16_TARGETS,
    ALL_INT8_TARGETS,
    ALL_TARGETS,
    ARM_BF16_TARGETS,
    ARM_FP16_TARGETS,
    ARM_INT8_TARGETS,
    ARM_TARGETS,
    TARGETS,
    best_target,
)
from mobilenets.errors import CompileError, UsageError
from mobilenets.image import Pixels
from mobilenets.quant.scheme import QuantModel

CROSS = ("aarch64-linux-gnu-gcc", "-O2", "-std=gnu11", "-static")
EMULATOR = shutil.which("qemu-aarch64")
needs_arm = pytest.mark.skipif(
    not EMULATOR or not shutil.which(CROSS[0]), reason="no qemu-aarch64 (Debian: qemu-user) or no aarch64-linux-gnu-gcc"
)
FLOAT_TARGETS = {**ARM_BF16_TARGETS, **ARM_FP16_TARGETS}
CPUS = {"neon": "cortex-a53"}  # the others have no processor of their own that the emulator knows
NETWORK = Network(0.5, 40, 36, blocks=(Block(1, 64), Block(2, 100)), classes=3)


def emulator(target: str) -> list[str]:
    return [str(EMULATOR), "-cpu", CPUS.get(target, "max")]


STEPS = """
#include "mobilenets_net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *content(const char *path, size_t size) {
    char *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    FILE *file = fopen(path, "rb");
    if (!file || fread(memory, 1, size, file) != size) exit(4);
    fclose(file);
    return memory;
}

int main(void) {
    void *weights = content("weights", MOBILENETS_NET_WEIGHTS_BYTES);
    uint8_t *pixels = content("pixels", MOBILENETS_NET_HEIGHT * MOBILENETS_NET_WIDTH * MOBILENETS_NET_CHANNELS);
    void *arena = aligned_alloc(64, (MOBILENETS_NET_ARENA_BYTES + 63) / 64 * 64);
    float output[2 * MOBILENETS_NET_CLASSES];
    FILE *file = fopen("arenas", "wb");
    memset(arena, 255, MOBILENETS_NET_ARENA_BYTES);
    for (int step = 0; step < MOBILENETS_NET_STEPS; step++) {
        mobilenets_net_step(step, 0, 1, weights, pixels, output, arena);
        fwrite(arena, 1, MOBILENETS_NET_ARENA_BYTES, file);
    }
    fwrite(output, 1, sizeof output, file);
    return fclose(file);
}
"""


def emulated_bytes(model: QuantModel, target: Target, image: Pixels, folder: Path) -> tuple[int, int]:
    """(bytes compared, bytes that differ) of all that the steps hand on in the emulator."""
    made, lowered = sources_of(model, target, "net")
    for file, text in {"net.c": made.c, "mobilenets_net.h": made.h, "main.c": STEPS}.items():
        (folder / file).write_text(text, "utf-8")
    (folder / "weights").write_bytes(lowered.weights.tobytes())
    image.tofile(folder / "pixels")
    subprocess.run([*CROSS, *target.flags, "-o", "steps", "main.c", "net.c"], cwd=folder, check=True)
    subprocess.run([*emulator(target.name), "./steps"], cwd=folder, check=True)
    found = np.fromfile(folder / "arenas", np.uint8)
    arenas = found[: made.arena.one * made.steps].reshape(made.steps, made.arena.one)
    output = found[arenas.size :].view(np.float32).reshape(2, -1)
    return count(model, lowered, image, arenas, output)


@needs_arm
@pytest.mark.any_processor
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
def test_int8_in_an_emulator(target: str, tmp_path: Path) -> None:
    model = random_integers(ODD["stem of 5"], seed=1)
    compared, differing = emulated_bytes(model, ARM_INT8_TARGETS[target], images_for(model)[0], tmp_path)
    assert compared > 1000 and differing == 0


@needs_arm
@pytest.mark.any_processor
@pytest.mark.slow
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
@pytest.mark.parametrize("network", [*ODD, "hard swish", "relu6, same", "0.25-96", "0.5-160", "zero points", "ties"])
def test_every_byte_in_an_emulator(network: str, target: str, tmp_path: Path) -> None:
    special = {
        "0.25-96": random_integers(Network(0.25, 96, 96, classes=2), 5),
        "0.5-160": random_integers(Network(0.5, 160, 160), 6),
        "zero points": random_integers(ODD["33x65"], 7, weight_zero=-3),
        "ties": random_integers(ODD["head"], 8, harsh=0.0),
    }
    model = random_integers(ODD[network], 2) if network in ODD else special.get(network) or inverted(network)
    assert emulated_bytes(model, ARM_INT8_TARGETS[target], images_for(model)[-1], tmp_path)[1] == 0


@needs_arm
@pytest.mark.any_processor
@pytest.mark.parametrize(
    ("precision", "target", "bound"),
    [
        ("fp32", "neon", 1e-5),
        ("fp16", "fp16", 0.01),
        ("bf16", "bf16", 0.02),
        pytest.param("bf16", "neon", 0.02, marks=pytest.mark.slow),
        pytest.param("bf16x3", "bf16", 1e-4, marks=pytest.mark.slow),
    ],
)
def test_floats_in_an_emulator(precision: str, target: str, bound: float, tmp_path: Path) -> None:
    model = make_random_model(NETWORK)
    build(tmp_path, [*CROSS], model, FLOAT_TARGETS[target], precision)
    (image,) = images_of(model, 1)
    exact = float64_logits(model, image[None])[0]
    assert relative_rms(run(tmp_path, image, *emulator(target)), exact) < bound


@needs_compiler
@pytest.mark.any_processor
@pytest.mark.parametrize(
    ("network", "target"), [*(("stem of 5", target) for target in ARM_INT8_TARGETS), ("hard swish", "dotprod")]
)
def test_every_byte_is_the_oracles(network: str, target: str) -> None:
    """In plain C: each kernel has a body without intrinsics."""
    model = random_integers(ODD[network], seed=1, weight_zero=3) if network in ODD else inverted(network)
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
@pytest.mark.parametrize(("precision", "target"), [("fp32", "neon"), ("fp16", "fp16"), ("bf16", "bf16")])
def test_floats_in_plain_c(precision: str, target: str) -> None:
    model = make_random_model(NETWORK)
    found = running(model, FLOAT_TARGETS[target], precision)(images_of(model, 1)[0], parts=3)
    bound = 1e-5 if precision == "fp32" else 0.02
    assert relative_rms(found[0], float64_logits(model, images_of(model, 1))[0]) < bound


def test_levels_of_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "LEVELS", processor._ARM)
    monkeypatch.setattr(processor, "reported", lambda: frozenset({"fp", "asimd", "asimdhp", "asimddp", "i8mm", "bf16"}))
    tables = (ALL_TARGETS, ALL_BF16_TARGETS, ALL_INT8_TARGETS)
    for level, chosen in {
        "neon": ("neon", "neon", "neon"),
        "dotprod": ("neon", "neon", "dotprod"),
        "i8mm": ("neon", "neon", "i8mm"),
        "bf16": ("neon", "bf16", "i8mm"),
    }.items():
        monkeypatch.setenv(processor.MASK, level)
        assert tuple(best_target("auto", table).name for table in tables) == chosen
    monkeypatch.setenv(processor.MASK, "avx2")
    with pytest.raises(
        UsageError, match=r"MOBILENETS_PROCESSOR \(='avx2'\) must be one of neon, fp16, dotprod, i8mm, bf16"
    ):
        best_target("auto")
    monkeypatch.setenv(processor.MASK, "fp16")
    assert best_target("auto", ALL_FP16_TARGETS).name == "fp16"
    monkeypatch.setenv(processor.MASK, "neon")
    with pytest.raises(
        UsageError, match="none of fp16, avx512fp16 runs on this processor, which lacks asimdhp or avx51"
    ):
        best_target("auto", ALL_FP16_TARGETS)


def system(settings: dict[str, int], auxiliary: dict[int, int]) -> SimpleNamespace:
    """The functions of a C library by which ARM's features are asked for."""

    def sysctlbyname(name: bytes, value: Any, size: Any, new: None, length: int) -> int:
        value._obj.value = settings.get(name.decode(), 0)
        return 0 if name.decode() in settings else -1

    return SimpleNamespace(getauxval=lambda kind: auxiliary.get(kind, 0), sysctlbyname=sysctlbyname)


@pytest.mark.parametrize(
    ("platform", "found"),
    [("linux", {"asimd", "asimdhp", "asimddp", "i8mm"}), ("darwin", {"asimd", "asimddp", "bf16"}), ("win32", set())],
)
def test_features_are_what_the_system_reports(platform: str, found: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits are those of Linux's asm/hwcap.h, the names those of `sysctl hw.optional.arm`."""
    settings = {"AdvSIMD": 1, "FEAT_DotProd": 1, "FEAT_I8MM": 0, "FEAT_BF16": 1}
    fake = system(
        {f"hw.optional.arm.{k}": v for k, v in settings.items()}, {16: 1 << 1 | 1 << 10 | 1 << 20, 26: 1 << 13}
    )
    monkeypatch.setattr(processor.ctypes, "CDLL", lambda name: fake)
    monkeypatch.setattr(sys, "platform", platform)
    assert set(processor._arm_features()) == found


@needs_x86
def test_arm_is_neither_chosen_nor_loaded_here(tmp_path: Path) -> None:
    tables = (ALL_TARGETS, ALL_BF16_TARGETS, ALL_INT8_TARGETS)
    assert {best_target("auto", table).machine for table in tables} == {""}
    for target in (*ARM_FP16_TARGETS.values(), *ARM_BF16_TARGETS.values(), *ARM_INT8_TARGETS.values()):
        with pytest.raises(CompileError, match=f"was built for {target.name}: this processor lacks asimd"):
            load(tmp_path / "library.so", target.name, target.features)


@needs_x86
@needs_compiler
def test_a_compiler_of_another_machine_is_named() -> None:
    with pytest.raises(CompileError, match=r"; neon needs CC, a compiler for aarch64$"):
        library_of({"it.c": "int x;"}, ARM_TARGETS["neon"])


@needs_arm
@pytest.mark.parametrize("target", ARM_INT8_TARGETS)
def test_a_cross_compiler_builds_the_library(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "compiler", lambda: CROSS[:1])
    library = library_of({"it.c": "int x;"}, ARM_INT8_TARGETS[target])
    assert library[:4] == b"\x7fELF" and library[18] == 183  # EM_AARCH64


@needs_arm
@pytest.mark.parametrize(
    ("precision", "target"),
    [
        ("fp32", "neon"),
        ("fp16", "fp16"),
        ("bf16", "bf16"),
        ("bf16", "neon"),
        *(("int8", name) for name in ARM_INT8_TARGETS),
    ],
)
def test_the_limit_of_a_core_runs(precision: str, target: str, tmp_path: Path) -> None:
    """What one step adds to all chains: each product of 3 and 5 that its instruction takes; others are of zeros."""
    chosen = {**FLOAT_TARGETS, **ARM_INT8_TARGETS}[target]
    main = '#include <stdio.h>\nint main(void) { printf("%.9e", chains(8) - chains(7)); return 0; }\n'
    (tmp_path / "limit.c").write_text(limit._source(chosen, *limit._dot(chosen, precision)[:2]) + main)
    subprocess.run([*CROSS, *chosen.flags, "limit.c", "-o", "limit"], cwd=tmp_path, check=True)
    done = subprocess.run([*emulator(target), "./limit"], cwd=tmp_path, capture_output=True, check=True)
    assert float(done.stdout) == limit.CHAINS["aarch64"] * 3 * 5 * (2 if chosen.pairs else 1)


def test_flags_as_zig_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "compiler", lambda: ("python", "-m", "ziglang", "cc"))
    assert build_module._flags(ARM_TARGETS["neon"]) == ["-mcpu=generic"]
    assert build_module._flags(ARM_INT8_TARGETS["i8mm"]) == ["-mcpu=generic+dotprod+i8mm"]
    assert build_module._flags(TARGETS["avx2"]) == [*TARGETS["avx2"].flags]

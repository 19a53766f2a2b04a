"""Networks on emulated Cortex-M boards: their logits, and the instructions, the stack and the flash that they take."""

import shutil
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from micro_running import stopping, written

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.micro import CORES, micro_sources
from mobilenets.image import Pixels
from mobilenets.quant import reference
from mobilenets.quant.scheme import Integers, QuantModel

GCC, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections")

needs_boards = pytest.mark.skipif(
    not (shutil.which(GCC) and shutil.which(QEMU)), reason=f"no {GCC} or no {QEMU}: install them to emulate Cortex-M"
)


@dataclass(frozen=True, slots=True)
class Board:
    """A machine of QEMU: where vectors, code and data go; instructions of a SysTick tick under `-icount shift=0`."""

    machine: str
    vectors: int
    code: int
    ram: int
    tick: float


_AN385 = Board("mps2-an385", 0x0, 0x400, 0x20000000, 40.0)
BOARDS = {
    "cortex-m0plus": _AN385,  # an M3, which runs what is compiled for an M0+
    "cortex-m3": _AN385,
    "cortex-m4": replace(_AN385, machine="mps2-an386"),
    "cortex-m7": replace(_AN385, machine="mps2-an500"),
    "cortex-m33": Board("mps2-an505", 0x10000000, 0x10000400, 0x38000000, 50.0),
    "cortex-m55": Board("mps3-an547", 0x0, 0x01000000, 0x21000000, 31.25),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a network did on a board."""

    logits: Integers  # (images, classes)
    instructions: float  # of an image, the most
    stack: int  # bytes, the most
    flash: int  # bytes of code and constants
    arena: int


def measure(model: QuantModel, core: str, images: Pixels, folder: Path, flags: Sequence[str] = FLAGS) -> Measured:
    """Compile `model` for a core, run it on the board that has it, and return what it did."""
    sources, board = micro_sources(model, CORES[core]), BOARDS[core]
    text = _run(sources.files | {"images.h": _images(images)}, core, folder, flags)
    sizes = subprocess.run(["arm-none-eabi-size", folder / "network.o"], check=True, capture_output=True, text=True)
    assert "overrun" not in text, "it wrote behind its arena"
    assert all(word.lstrip("-").isdigit() for word in text.split()), f"{core}: {text[:200]}"
    found = np.array([line.split() for line in text.splitlines()], np.int64)
    flash = int(sizes.stdout.splitlines()[1].split()[0])
    ticks, stack = found[:, -2].max(), found[:, -1].max()
    return Measured(found[:, :-2].astype(np.int8), float(ticks) * board.tick, int(stack), flash, sources.arena)


def steps_that_differ(model: QuantModel, core: str, image: Pixels, folder: Path) -> list[str]:
    """Return the layers whose codes are not the oracle's, on the board."""
    exact, expected, regions = dict(reference.steps(model, image[None])), [], []
    layers = written(model, CORES[core])
    for name, at, zero in layers:
        codes = (exact[name][0] + np.int16(zero)).astype(np.uint8).reshape(-1)[: at.size]
        last = name == layers[-1][0]
        data = exact[name][0] if last else codes[np.argsort(at, axis=None)]
        expected.append(zlib.crc32(data.tobytes()) >> 1)
        regions.append(f"{{{at.min(initial=1 << 30)}, {data.size}}}")
    table = f"\n#define TRACED {len(regions)}\nstatic const int traced[][2] = {{{', '.join(regions)}}};\n"
    sources = stopping(micro_sources(model, CORES[core])) | {"images.h": _images(image[None]) + table}
    found = [int(word) for word in _run(sources, core, folder, FLAGS).split()]
    assert len(found) == len(expected)
    return [layer[0] for layer, one, other in zip(layers, found, expected, strict=True) if one != other]


def random_network(seed: int) -> Network:
    """Return a network of random width, sides, padding, activation and blocks."""
    rng = np.random.default_rng(seed)
    blocks = tuple(Block(int(rng.integers(1, 3)), int(rng.integers(8, 200))) for _ in range(rng.integers(2, 7)))
    height, width = (int(side) for side in rng.integers(32, 100, 2))
    padding = ("symmetric", "same", "keras")[seed % 3]
    activation = ("relu", "relu6")[seed % 2]
    alpha = float(rng.choice([0.25, 0.35, 0.5, 1.0]))
    return Network(alpha, height, width, classes=10, blocks=blocks, padding=padding, activation=activation)


def _run(files: dict[str, str], core: str, folder: Path, flags: Sequence[str]) -> str:
    """Return what the program prints."""
    board = BOARDS[core]
    for name, text in (files | {"board.ld": _script(board)}).items():
        (folder / name).write_text(text)
    call = [GCC, *CORES[core].flags, *flags, f"-I{folder}"]
    objects = [folder / "network.o", folder / "main.o"]
    for source, to in ((folder / "network.c", objects[0]), (Path(__file__).with_suffix(".c"), objects[1])):
        subprocess.run([*call, "-c", source, "-o", to], check=True)
    image = folder / "board.elf"
    subprocess.run([*call, "-nostartfiles", f"-T{folder / 'board.ld'}", *objects, "-o", image], check=True)
    emulator = [QEMU, "-M", board.machine, "-icount", "shift=0", "-nographic", "-monitor", "none", "-serial", "none"]
    emulator += ["-semihosting-config", "enable=on,target=native", "-kernel", str(image)]
    done = subprocess.run(emulator, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def _images(images: Pixels) -> str:
    count, size = len(images), images[0].size
    rows = "".join(f"{{{', '.join(map(str, image.reshape(-1).tolist()))}}},\n" for image in images)
    return f"#include <stdint.h>\n#define IMAGES {count}\nstatic const uint8_t images[IMAGES][{size}] = {{\n{rows}}};\n"


def _script(board: Board) -> str:
    return f"""ENTRY(reset)
MEMORY {{ vectors (rx): ORIGIN = {board.vectors:#x}, LENGTH = 1K
         code (rx): ORIGIN = {board.code:#x}, LENGTH = 2M - 1K
         ram (rwx): ORIGIN = {board.ram:#x}, LENGTH = 2M }}
SECTIONS {{
    .vectors : {{ KEEP(*(.vectors)) }} > vectors
    .text : {{ *(.text*) *(.rodata*) }} > code
    .ARM.exidx : {{ *(.ARM.exidx*) }} > code
    .data : {{ *(.data*) *(.bss*) *(COMMON) }} > ram
    stack_end = ORIGIN(ram) + LENGTH(ram);
}}
"""

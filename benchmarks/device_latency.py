"""Fit the instructions of each type of layer on microcontrollers, and how far the model is from what is counted.

python benchmarks/device_latency.py                 all families: minutes
python benchmarks/device_latency.py --only cortex-m4

Networks of many alphas and sizes are compiled with `mobilenets compile --device`'s engine and run under QEMU, whose
clock advances by one nanosecond an instruction (`-icount shift=0`). Each step is counted. The fit minimises relative
errors of steps; networks of `LEFT_OUT` are no part of it. Needs arm-none-eabi-gcc, qemu-system-arm, and for RISC-V
riscv64-unknown-elf-gcc and qemu-system-riscv32.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "devices")]
from board import BOARDS, built, built_for_risc_v, ran, ran_risc_v  # noqa: E402

from mobilenets.arch import Network, named  # noqa: E402
from mobilenets.arch.network import SHALLOW_BODY  # noqa: E402
from mobilenets.compiler.micro import CORES, Core, micro_sources  # noqa: E402
from mobilenets.devices.cycles import Instructions, work  # noqa: E402
from mobilenets.image import Pixels  # noqa: E402
from mobilenets.quant.scheme import QuantModel  # noqa: E402
from mobilenets.runtime.activations import min_max_integers  # noqa: E402
from mobilenets.runtime.measure import untrained  # noqa: E402

FITTED = ("0.25-96", "0.1-160", "0.15-128", "0.2-112", "0.25-128", "0.3-64", "0.35-96", "0.5-48", "0.4-80", "0.1-32")
FITTED += ("v2-0.35-96", "v2-0.2-64", "v3-small-0.35-64")
LEFT_OUT = (
    "0.25-112",
    "0.15-176",
    "0.35-64",
    "0.5-64",
    "0.2-144",
    "v2-0.35-128",
    "v3-small-minimalistic-0.35-96",
    "v3-small-0.5-96",
)
NAMES = [field.name for field in fields(Instructions)]
HARD = ("-march=rv32imafc", "-mabi=ilp32f")  # RISC-V with floating point, in the place of the ESP32-S3

MAIN = """
#include <stdio.h>
#include "mobilenets_network.h"
#include "picture.h"
static uint8_t arena[MOBILENETS_NETWORK_ARENA_BYTES] __attribute__((aligned(8)));
static int8_t logits[MOBILENETS_NETWORK_CLASSES];
static unsigned taken[64], from;
void before(void);
void after(int step);
#if defined(__arm__)
#define COUNTED(from, to) ((from) - (to) & 0xffffff)
static void begin(void) { *(volatile unsigned *)0xE000E014 = 0xffffff; *(volatile unsigned *)0xE000E010 = 5; }
static unsigned now(void) { return *(volatile unsigned *)0xE000E018; }
#else
#define COUNTED(from, to) ((to) - (from))
static void begin(void) {}
static unsigned now(void) {
    unsigned count;
    __asm volatile(".insn i 0x73, 2, %0, x0, -1280" : "=r"(count)); /* csrr of mcycle */
    return count;
}
#endif
void before(void) { from = now(); }
void after(int step) { taken[step] += COUNTED(from, now()); }
int main(void) {
    begin();
    mobilenets_network_run(picture, logits, arena);
    for (int i = 0; i < @STEPS@; i++) printf("%u\\n", taken[i]);
    return 0;
}
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of kernels as it is fitted: its name, the core and board that count, instructions in one count."""

    name: str
    core: Core
    count: float


FAMILIES = (
    Family("cortex-m4", CORES["cortex-m4"], 40.0),  # SysTick of mps2-an386: 25 MHz
    Family("cortex-m55", CORES["cortex-m55"], 31.25),  # of mps3-an547: 32 MHz
    Family("riscv32", CORES["riscv32"], 1.0),
    Family("esp32-s3", Core("riscv32", "plain", HARD), 1.0),
)


def instructions(family: Family, model: QuantModel, folder: Path) -> list[float]:
    """Return the instructions of each step of `model`."""
    core = family.core
    sources = micro_sources(model, core).files
    steps = len(counts_of(model.network, core))
    marked = sources["network.c"]
    for hook, call in (("s->gather(s, in", "before();"), ("p->done[i] = (uint16_t)(y", "after(i);")):
        assert marked.count(hook) == 1
        marked = marked.replace(hook, f"{call}\n        {hook}")
    marked = "extern void before(void);\nextern void after(int step);\n" + marked
    picture = ", ".join(map(str, picture_of(model.network).reshape(-1).tolist()))
    texts = {**sources, "network.c": marked, "main.c": MAIN.replace("@STEPS@", str(steps))}
    texts["picture.h"] = f"static const uint8_t picture[] = {{{picture}}};\n"
    for name, text in texts.items():
        (folder / name).write_text(text)
    files = [folder / "network.c", folder / "main.c"]
    if core.name == "riscv32":
        said = ran_risc_v(built_for_risc_v(files, folder, folder, "-O2", *core.flags), "-icount", "shift=0")
    else:
        board = BOARDS[core.name]
        said = ran(board, built(board, files, folder, folder, "-O2", *core.flags), "-icount", "shift=0")
    assert said[0] == 0, said
    return [int(line) * family.count for line in said[1].split()]


def picture_of(network: Network) -> Pixels:
    shape = network.height, network.width, network.channels
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def counts_of(network: Network, core: Core) -> np.ndarray:
    """Return (steps, names): how often each of the fields of `Instructions` counts."""
    return np.array(
        [[sum(layer.counts.get(name, 0) for layer in step) for name in NAMES] for step in work(network, core)]
    )


def table_of(family: Family, networks: tuple[str, ...]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return for each network its counts (steps, names) and the instructions of its steps."""
    found = []
    for number, name in enumerate(networks):
        network = named(name).replace(classes=(2, 10, 100)[number % 3])
        if number % 4 == 3 and name[0] != "v":
            network = network.replace(blocks=SHALLOW_BODY)
        if number % 7 == 5 and name[0] != "v":  # whose depthwise convolutions are computed in plain C
            network = network.replace(activation="hard_swish")
        model = min_max_integers(untrained(network), picture_of(network)[None])
        with tempfile.TemporaryDirectory() as folder:
            counted = np.array(instructions(family, model, Path(folder)))
        print(
            f"{family.name} {network.name} {network.activation}: {counted.sum() / 1e6:.2f} M instructions", flush=True
        )
        found.append((network.name, counts_of(network, family.core), counted))
    return found


def errors(found: list[tuple[str, np.ndarray, np.ndarray]], each: np.ndarray) -> list[str]:
    return [f"{name} {100 * ((rows @ each).sum() / counted.sum() - 1):+.1f} %" for name, rows, counted in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[family.name for family in FAMILIES])
    only = parser.parse_args().only
    for family in FAMILIES:
        if only not in (None, family.name):
            continue
        fitted, left_out = table_of(family, FITTED), table_of(family, LEFT_OUT)
        rows = np.concatenate([rows for _, rows, _ in fitted])
        counted = np.concatenate([counted for *_, counted in fitted])
        weight = 1 / np.sqrt(counted * counted.mean())  # between absolute and relative errors of a step
        each, _ = nnls(rows * weight[:, None], counted * weight)
        values = ", ".join(f"{name}={value:.3g}" for name, value in zip(NAMES, each, strict=True))
        print(f'    "{family.name}": Instructions({values}),')
        print(f"errors of the networks fitted: {', '.join(errors(fitted, each))}")
        print(f"errors of those left out: {', '.join(errors(left_out, each))}\n", flush=True)


if __name__ == "__main__":
    main()

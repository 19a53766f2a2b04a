"""Where the time of a compiled network goes: each of its steps on one thread, beside what one core can do at best.

python benchmarks/layers.py 0.25-128
python benchmarks/layers.py runs/photos-0.25-96/best.safetensors --precision bf16

A step is timed by itself, between the others, as they run in a whole image; all images' medians, in Markdown. `share`:
of the multiply-adds that one core can do from registers alone in that precision (unknown of AMX). Above the table:
seconds to compile, and milliseconds to open the library from the cache.
"""

import argparse
import ctypes
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from mobilenets.arch import named
from mobilenets.benchmarks.limit import mult_adds_a_second
from mobilenets.benchmarks.measure import noise
from mobilenets.compiler import PRECISIONS, Library, compile_model
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.processor import load as load_native
from mobilenets.compiler.program import ALIGNMENT
from mobilenets.compiler.targets import BF16_TARGETS
from mobilenets.costs import cost
from mobilenets.machine import processor
from mobilenets.model import Model, load
from mobilenets.runtime import CompiledSession
from mobilenets.runtime.measure import untrained

IMAGES = 200
LOADS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .safetensors file, or a network's name: that with random weights")
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument("--target", default="auto")
    args = parser.parse_args()
    model = load(args.model) if Path(args.model).exists() else untrained(named(args.model))
    compiled, opened = seconds_to_compile(model, args.target, args.precision), seconds_to_open(model, args)
    session = CompiledSession(model, 1, args.target, precision=args.precision)
    limit = mult_adds_a_second(args.target, args.precision)
    print(
        f"{model.name} {args.precision}, {session.runtime}, on {processor()}: {limit / 1e9:.1f} GMAC/s from registers"
    )
    print(f"compiled in {compiled:.2f} s, opened from the cache in {1e3 * opened:.1f} ms\n")
    print("| step | shape | M mult-adds | ms | of all | GMAC/s | share |\n| --- | --- | --- | --- | --- | --- | --- |")
    rows = profile(model, args)
    whole = sum(ms for *_, ms in rows)
    for name, shape, mult_adds, ms in [*rows, ("all", "", sum(row[2] for row in rows), whole)]:
        rate = mult_adds / ms / 1e6
        cells = [f"{mult_adds / 1e6:.2f}", f"{ms:.4f}", f"{ms / whole:.0%}", f"{rate:.1f}", f"{1e9 * rate / limit:.0%}"]
        print(f"| {' | '.join([name, shape, *cells])} |")


def seconds_to_compile(model: Model, target: str, precision: str) -> float:
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:
        start = time.perf_counter()
        compile_model(model, target, Path(folder), precision)
        return time.perf_counter() - start


def seconds_to_open(model: Model, args: argparse.Namespace) -> float:
    """From the cache."""
    times = []
    for _ in range(LOADS + 1):  # the first may compile
        start = time.perf_counter()
        CompiledSession(model, 1, args.target, precision=args.precision)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def profile(model: Model, args: argparse.Namespace) -> list[tuple[str, str, int, float]]:
    """(name, shape, mult-adds, ms) of each step."""
    library = compile_model(model, args.target, precision=args.precision)
    _, lowered = sources_of(model, BF16_TARGETS[library.target], "network", precision=args.precision)
    steps = lowered.program.steps
    times = time_steps(model, library, len(steps))
    layers = {layer.name: layer.mult_adds for layer in cost(model.network).layers}
    work = [sum(layers.get(op, 0) for op in step.name.split(" + ")) for step in steps]
    return [(step.name, step.shape, macs, ms) for step, macs, ms in zip(steps, work, times, strict=True)]


def time_steps(model: Model, library: Library, steps: int) -> list[float]:
    """Milliseconds, less those of a call that does nothing."""
    step = load_native(library.path, library.target, library.features).mobilenets_network_step
    step.argtypes, step.restype = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 4, None
    arrays = [
        np.memmap(library.weights, np.uint8, "r"),
        noise(model, 1),
        np.empty(2 * library.classes, np.float32),
        np.empty(library.arena(1) + ALIGNMENT, np.uint8),
    ]
    addresses = [array.ctypes.data for array in arrays]
    addresses[-1] += -addresses[-1] % ALIGNMENT
    times: list[list[float]] = [[] for _ in range(steps + 1)]  # the last is none
    for _ in range(IMAGES):
        for number in range(steps + 1):
            start = time.perf_counter()
            step(number, 0, 1, *addresses)
            times[number].append(1e3 * (time.perf_counter() - start))
    *medians, nothing = map(statistics.median, times)
    return [max(median - nothing, 1e-6) for median in medians]


if __name__ == "__main__":
    main()

"""What one core can do at best: multiply-adds a second, from registers alone. No network on it can be faster."""

import ctypes
import tempfile
import time
from pathlib import Path

from ..compiler.build import link
from ..compiler.targets import best_target

__all__ = ["mult_adds_a_second"]

CHAINS = 12  # sums that wait for each other only within themselves: more than latency x units of any processor here
STEPS = 200_000
SECONDS = 0.3

SOURCE = """
typedef float vector __attribute__((vector_size({bytes})));

/* Chains of s = s * a + b, a below 1: every sum stays an ordinary number. Each has a name: all are registers. */
float chains(float a, float b, long steps)
{{
    vector va = (vector){{0}} + a, vb = (vector){{0}} + b;
    vector {begin};
    for (long n = 0; n < steps; n++) {{
        {step}
    }}
    vector sum = {sum};
    return sum[0];
}}
"""


def mult_adds_a_second(target: str = "auto") -> float:
    """fp32, one core, with the vectors of `target`: the best of many short runs. `CompileError` without a compiler."""
    chosen = best_target(target)
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:
        library = Path(folder) / "limit.so"
        link({"limit.c": _source(chosen.vector)}, chosen, library)
        chains = ctypes.CDLL(str(library)).chains
    chains.restype = ctypes.c_float
    arguments = ctypes.c_float(0.999), ctypes.c_float(1e-3), ctypes.c_long(STEPS)
    shortest, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        chains(*arguments)
        shortest = min(shortest, time.perf_counter() - start)
    return chosen.vector * CHAINS * STEPS / shortest


def _source(vector: int) -> str:
    names = [f"s{i}" for i in range(CHAINS)]
    return SOURCE.format(
        bytes=4 * vector,
        begin=", ".join(f"{name} = vb * {i}.0f" for i, name in enumerate(names)),
        step=" ".join(f"{name} = {name} * va + vb;" for name in names),
        sum=" + ".join(names),
    )

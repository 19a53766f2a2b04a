"""The peak of one core: multiply-adds per second, from registers alone. No network on it can be faster."""

import ctypes
import platform
import tempfile
import time
from pathlib import Path

from ..compiler.build import link
from ..compiler.emit import kernel_text
from ..compiler.formats import FORMATS
from ..compiler.processor import load
from ..compiler.program import Target
from ..compiler.targets import best_target

__all__ = ["mult_adds_a_second"]

CHAINS = {"": 12, "aarch64": 24}  # independent chains of sums: more than latency x units of any processor here
# int8 on ARM: kernel of dot products -> the C of s + a * b, and the products that this adds to each element
ARM_DOTS = {
    "neon": ("vmlal_s16((int32x4_t)s, vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b))", 1),
    "sdot": ("vdotq_s32((int32x4_t)s, (int8x16_t)a, (int8x16_t)b)", 4),
}
STEPS = 200_000
SECONDS = 0.3
SPLIT = {"bf16x6": 6, "bf16x3": 3}  # bf16 products per float product

SOURCE = """
#if defined(__x86_64__)
#include <immintrin.h>
#define CHANGED(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define CHANGED(v) __asm__("" : "+w"(v))
#else
#define CHANGED(v) __asm__("" : "+m"(v))
#endif
typedef {element} vector __attribute__((vector_size({bytes})));
#define DOT(s) ({dot})

/* Chains of s += a * b. Each has a name: all are registers. For all the compiler knows, a changes before each. */
double chains(long steps)
{{
    vector a = (vector){{0}} + 3, b = (vector){{0}} + 5;
    vector {begin};
    for (long n = 0; n < steps; n++) {{
        {step}
    }}
    vector sum = {sum};
    return (double)sum[0];
}}
"""


INTEGERS = "#include <stddef.h>\n#include <stdint.h>\n"
# AMX: four tiles of sums, enough for the latency of a product of tiles; after the kernel tiles.c
TILES = """
double chains(long steps)
{{
    tiles t = {{.palette = 1}};
    for (int tile = 0; tile < 8; tile++)
        t.bytes[tile] = 64, t.rows[tile] = 16;
    static char numbers[1024];
    TILES_BEGIN(t);
    {begin}
    for (long n = 0; n < steps; n++) {{
        {step}
    }}
    TILES_END(t);
    return 0;
}}
"""
# feature -> the product of two tiles in tiles.c, and its mult-adds
TILE_DOTS = {"amx_bf16": ("TILE_DOT_BF16", 16 * 16 * 32), "amx_int8": ("TILE_DOT_INT8", 16 * 16 * 64)}


def mult_adds_a_second(target: str = "auto", precision: str = "fp32") -> float:
    """Return the peak mult-adds per second of one core with the instructions of `target`: the best of many short runs.

    Raises `CompileError` without a compiler.
    """
    chosen = best_target(target, FORMATS[precision].targets)
    source, products = _loop(chosen, precision)
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:
        library = Path(folder) / "limit.so"
        link({"limit.c": source}, chosen, library)
        chains = load(library, chosen.name, chosen.features).chains
    chains.restype, steps = ctypes.c_double, ctypes.c_long(STEPS)
    shortest, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        chains(steps)
        shortest = min(shortest, time.perf_counter() - start)
    return products * STEPS / shortest / SPLIT.get(precision, 1)


def _loop(target: Target, precision: str) -> tuple[str, int]:
    """Return the C of the loop, and the products of one step of it."""
    for feature, (dot, products) in TILE_DOTS.items():
        if feature in target.features:
            begin = " ".join(f"TILE_LOAD(t, {n}, numbers, 64);" for n in range(8))
            step = " ".join(f"{dot}(t, {c}, {4 + c // 2}, {6 + c % 2});" for c in range(4))
            return INTEGERS + kernel_text("tiles", target.vector) + TILES.format(begin=begin, step=step), 4 * products
    element, dot, products = _dot(target, precision)
    return _source(target, element, dot), products * target.vector * CHAINS[target.machine]


def _dot(target: Target, precision: str) -> tuple[str, str, int]:
    """Return the element type of a sum s, the C of s + a * b, and the products that this adds to each element."""
    if target.machine == "aarch64" and precision == "int8":
        dot, products = ARM_DOTS[target.dot]
        if target.pairs:
            dot, products = "vmmlaq_s32((int32x4_t)s, (int8x16_t)a, (int8x16_t)b)", 8
        return "int", f"(vector){dot}", products
    if "bf16" in target.features:
        return "float", "(vector)vbfdotq_f32((float32x4_t)s, (bfloat16x8_t)a, (bfloat16x8_t)b)", 2
    if precision == "fp16":
        return "_Float16", "s + a * b", 1
    name = {4: "_mm", 8: "_mm256", 16: "_mm512"}[target.vector]
    wide = f"__m{32 * target.vector}"
    if precision == "int8" and target.dot == "vnni":
        suffix = "avx_epi32" if "avx_vnni" in target.features else "epi32"
        return "int", f"(vector){name}_dpbusd_{suffix}(({wide}i)s, ({wide}i)a, ({wide}i)b)", 4
    if precision == "int8" and platform.machine() in ("x86_64", "AMD64"):
        return "int", f"s + (vector){name}_madd_epi16(({wide}i)a, ({wide}i)b)", 2
    if precision == "int8":
        return "int", "s + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16)", 2
    if "avx512_bf16" in target.features:
        return "float", f"(vector){name}_dpbf16_ps(({wide})s, ({wide}bh)a, ({wide}bh)b)", 2
    return "float", "s + a * b", 1


def _source(target: Target, element: str, dot: str) -> str:
    names = [f"s{i}" for i in range(CHAINS[target.machine])]
    return SOURCE.format(
        element=element,
        bytes=(2 if element == "_Float16" else 4) * target.vector,
        begin=", ".join(f"{name} = b * {i}" for i, name in enumerate(names)),
        dot=dot,
        step=" ".join(f"CHANGED(a); {name} = DOT({name});" for name in names),
        sum=" + ".join(names),
    )

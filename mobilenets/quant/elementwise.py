"""int8 arithmetic without weights: sums, products by a gate, pools, tables, each byte for byte as in LiteRT.

Sums and products follow XNNPACK (src/microparams-init.c: `qs8_add`, `qs8_mul`), hard swish follows TensorFlow Lite's
reference kernel (kernels/internal/reference/hard_swish.h), which its runtime for microcontrollers computes too.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..arch.layers import Layer
from ..errors import ModelFileError
from .scheme import HIGH, LOW, Integers, QuantModel, QuantParams

__all__ = ["add", "add_terms", "hard_swish_table", "lifted", "multiply", "pool_zero", "product_factor", "table_of"]

HALVES_UP = 1 - 2**-20  # the scale of a pool, in its input's, that lifts exact halves, and nothing else
_BITS = 20  # of the larger multiplier of a sum
_ONE = 1 << 15  # of a 16-bit fixed-point number


def add_terms(sources: tuple[QuantParams, QuantParams], target: QuantParams) -> tuple[tuple[int, int], int, int]:
    """Return the two multipliers, the bias and the shift of a sum: (m0 a + m1 b + bias) >> shift, plus the zero point.

    Raises `ModelFileError` where an input's scale is not within 2^-10 to 2^8 of the output's, which XNNPACK refuses.
    """
    ratios = [float(np.float32(source.scale) / np.float32(target.scale)) for source in sources]
    if not all(2**-10 <= ratio < 2**8 for ratio in ratios):
        raise ModelFileError(f"scales {sources[0].scale:g} and {sources[1].scale:g} are too far from {target.scale:g}")
    shift = _BITS - (math.frexp(max(ratios))[1] - 1)
    first, second = (int(np.rint(np.ldexp(ratio, shift))) for ratio in ratios)
    bias = (1 << (shift - 1)) - first * sources[0].zero_point - second * sources[1].zero_point
    return (first, second), bias, shift


def add(
    a: Integers, b: Integers, sources: tuple[QuantParams, QuantParams], target: QuantParams, low: int, high: int
) -> Integers:
    """Return the sum of two arrays, halves rounded up."""
    (first, second), bias, shift = add_terms(sources, target)
    sums = first * a.astype(np.int64) + second * b.astype(np.int64) + bias
    found: Integers = np.clip((sums >> shift) + target.zero_point, low, high).astype(np.int8)
    return found


def product_factor(sources: tuple[QuantParams, QuantParams], target: QuantParams) -> np.float32:
    """Return the multiplier of a product of two integers, each operation rounded to float32."""
    return np.float32(np.float32(sources[0].scale) * np.float32(sources[1].scale)) / np.float32(target.scale)


def multiply(x: Integers, gate: Integers, sources: tuple[QuantParams, QuantParams], target: QuantParams) -> Integers:
    """Return (N, H, W, C) times (N, 1, 1, C), halves rounded to even."""
    products = (x.astype(np.int32) - sources[0].zero_point) * (gate.astype(np.int32) - sources[1].zero_point)
    rounded = np.rint(products.astype(np.float32) * product_factor(sources, target))
    found: Integers = np.clip(rounded + np.float32(target.zero_point), LOW, HIGH).astype(np.int8)
    return found


def lifted(source: QuantParams) -> QuantParams:
    """Return the parameters of a pool that rounds halves up, not to even: its sums count from -128, so that none is
    negative.
    """
    return QuantParams(source.scale * HALVES_UP, LOW)


def pool_zero(source: QuantParams, target: QuantParams) -> int:
    """Return what a pool subtracts from each q: the zero point of its input, or -128 where it rounds halves up."""
    return LOW if target == lifted(source) else source.zero_point


def table_of(model: QuantModel, layer: Layer) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return (256,): what an activation that is a layer of its own gives for each integer from -128 on, plus 128.

    Raises `ModelFileError` as `hard_swish_table` does.
    """
    table = model.tables.get(layer.name)
    if table is None:
        table = hard_swish_table(model.sources()[layer.name][0], model.activations[layer.name])
    return (table.astype(np.int16) - LOW).astype(np.uint8)


@cache
def hard_swish_table(source: QuantParams, target: QuantParams) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return (256,): the output for each integer from -128 on, in 16-bit fixed-point arithmetic.

    Raises `ModelFileError` where the output's scale is too small for the input's.
    """
    fine = np.float32(1 / 128) * np.float32(source.scale)
    to_output, down = _multiplier(float(fine / np.float32(target.scale)))
    to_gate, up = _multiplier(float(fine / np.float32(3 / 32768)))
    if down > 0:
        raise ModelFileError(f"hard swish: scale {target.scale:g} is too small for an input of scale {source.scale:g}")
    table = []
    for q in range(LOW, HIGH + 1):
        x = (q - source.zero_point) << 7
        gate = _high_product(_saturated(x << (up - 1)) if up > 0 else x, to_gate)
        gate = _saturated(gate << 1) if up > 0 else _rounded_shift(gate, -up)
        gate = (gate + _ONE) >> 1  # relu6(x + 3) / 6 in 15 bits, since saturation clips both ends
        product = _saturated(int(gate * _high_product(x, to_output) / _ONE))
        table.append(_rounded_shift(product, -down) + target.zero_point)
    return np.clip(table, LOW, HIGH).astype(np.int8)


def _multiplier(real: float) -> tuple[int, int]:
    """Return a positive number as (m, e): m / 2^15 * 2^e with 2^14 <= m < 2^15, through 31 bits as the kernel does."""
    fraction, exponent = math.frexp(real)
    wide = math.floor(fraction * (1 << 31) + 0.5)
    if wide == 1 << 31:
        wide, exponent = wide // 2, exponent + 1
    return min((wide + _ONE) >> 16, _ONE - 1), exponent


def _high_product(a: int, b: int) -> int:
    """Return a * b / 2^15, rounded to the nearest, halves away from 0 as the kernel's nudge has it."""
    nudged = a * b + (1 << 14 if a * b >= 0 else 1 - (1 << 14))
    return _saturated(int(nudged / _ONE))


def _rounded_shift(x: int, bits: int) -> int:
    """Return x / 2^bits, rounded to the nearest, halves away from 0."""
    remainder, mask = x & ((1 << bits) - 1), (1 << bits) - 1
    return (x >> bits) + (remainder > (mask >> 1) + (x < 0))


def _saturated(x: int) -> int:
    return max(-_ONE, min(_ONE - 1, x))

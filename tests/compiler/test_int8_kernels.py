"""Every int8 kernel against plain numpy under the rule of quant/scheme.py, over random shapes: not one byte may differ.

As in test_kernels.py the shapes are arguments here, and canaries lie around what is written.
"""

from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import needs, runnable
from running import needs_compiler
from test_kernels import Kernels

from mobilenets.arch.graph import same_padding
from mobilenets.compiler.build import link
from mobilenets.compiler.formats.int8_packing import byte, pack_bias, pack_factor, pack_product, pack_taps
from mobilenets.compiler.targets import INT8_TARGETS
from mobilenets.quant.scheme import HIGH, LOW, IntegerLayer, QuantParams, requantise

pytestmark = needs_compiler

Array = np.ndarray[Any, np.dtype[Any]]

KERNELS = files("mobilenets.compiler") / "kernels"
# bytes, or 16-bit numbers, that one dot product takes for each sum
FLAVOURS = {
    "vnni 16": (INT8_TARGETS["avx512vnni"], 4),
    "vnni 8": (INT8_TARGETS["avxvnni"], 4),
    "madd 16": (INT8_TARGETS["avx512"], 2),
    "madd 8": (INT8_TARGETS["avx2"], 2),
    "madd 4": (INT8_TARGETS["portable"], 2),
    "plain C": (replace(INT8_TARGETS["portable"], flags=("-U__SSE2__",)), 2),
}
NAMES = ("int8_rows", "int8_logits", "int8_depthwise@", "int8_depthwise_any@", "int8_product@", "int8_pool@")

HEAD = """
#include <stddef.h>
#include <stdint.h>
#define INLINE __attribute__((unused)) static
#define UNROLL
#define MR_MAX 12
#define NR_MAX 4
"""
RULE = """
void rule(const int32_t *sum, const float *factor, int count, int zero, int low, int high, uint8_t *to) {
    for (int i = 0; i + @ <= count; i += @)
        write@((const ints@ *)(sum + i), 1, 1, factor + i, zero, low, high, to + i, @);
}
"""
CANARY = 64  # bytes


@dataclass(frozen=True)
class Flavour:
    """A built library of kernels."""

    kernels: Kernels
    lanes: int
    group: int

    @property
    def code(self) -> type:
        """Of what convolutions read."""
        return np.uint8 if self.group == 4 else np.int16


def built(name: str, folder: Path) -> Flavour:
    target, group = FLAVOURS[name]
    target = runnable(target)
    parts = ("vectors", f"dot_{target.dot}", "rows", "depthwise", "depthwise_any", "tile", "product", "pool", "logits")
    files_ = ("intrinsics", *(f"int8_{part}" for part in parts))
    texts = [(KERNELS / f"{file}.c").read_text("utf-8") for file in files_]
    text = HEAD + "".join(texts) + RULE
    for function in NAMES:  # to be called from outside
        text = text.replace(f"INLINE void {function}(", f"void {function.removesuffix('@')}_(")
    path = folder / f"{name.replace(' ', '')}.so"
    link({"kernels.c": text.replace("@", str(target.vector))}, target, path)
    return Flavour(Kernels(path, target), target.vector, group)


class Flavours(dict[str, Flavour]):
    """Each is built when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __missing__(self, name: str) -> Flavour:
        self[name] = built(name, self._folder)
        return self[name]


@pytest.fixture(scope="module")
def flavours(tmp_path_factory: pytest.TempPathFactory) -> Flavours:
    return Flavours(tmp_path_factory.mktemp("kernels"))


@dataclass(frozen=True)
class Layer:
    """A convolution to try."""

    flavour: str
    mr: int
    nr: int
    image: tuple[int, int]
    depth: int  # channels of the input
    channels: int
    stride: int
    padding: str
    zeros: tuple[int, int, int]  # zero points of input, output and weights
    scales: tuple[float, float]  # of the sums, and how far those of the channels lie apart
    limits: tuple[int, int]
    extreme: bool  # all numbers at the ends of their range
    cuts: tuple[float, ...]  # where the rows are parted
    seed: int

    @property
    def before(self) -> tuple[int, int]:
        """Padding above and on the left."""
        return tuple(self._pads(size)[0] for size in self.image)  # type: ignore[return-value]

    @property
    def out(self) -> tuple[int, int]:
        return tuple((size + sum(self._pads(size)) - 3) // self.stride + 1 for size in self.image)  # type: ignore[return-value]

    def _pads(self, size: int) -> tuple[int, int]:
        if self.padding == "symmetric":
            return 1, 1
        if self.padding == "keras" and self.stride == 2:
            return 0, 1
        return same_padding(size, 3, self.stride)

    @property
    def source(self) -> QuantParams:
        return QuantParams(1.0, self.zeros[0])

    @property
    def target(self) -> QuantParams:
        return QuantParams(1.0, self.zeros[1])

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Zero point, low and high, as bytes."""
        low, high = sorted(self.limits)
        return byte(self.zeros[1]), byte(min(low, self.zeros[1])), byte(max(high, self.zeros[1]))

    def parts(self, units: int) -> list[tuple[int, int]]:
        edges = [0, *sorted(int(cut * units) for cut in self.cuts), units]
        return list(pairwise(edges))

    def draw(self, *shape: int) -> tuple[Array, IntegerLayer]:
        """An image (h, w, depth) of int8, and weights of `shape` whose sums the scale spreads over a few hundred."""
        rng = np.random.default_rng(self.seed)
        size = (*self.image, self.depth)
        if self.extreme:
            image = rng.choice([LOW, HIGH], size).astype(np.int8)
            weight = rng.choice([-HIGH, HIGH], shape).astype(np.int8)
        else:
            image = rng.integers(LOW, HIGH + 1, size).astype(np.int8)
            weight = rng.integers(LOW, HIGH + 1, shape).astype(np.int8)
        typical = 100 / (6000 * np.prod(shape[1:]) ** 0.5)
        spread, apart = self.scales
        scale = np.exp2(rng.uniform(-apart, apart, shape[0])) * spread * typical
        if self.seed % 3 == 0:
            scale = np.exp2(np.round(np.log2(scale)))  # powers of two: sums that lie just between two whole numbers
        bias = rng.integers(-20000, 20001, shape[0]).astype(np.int32)
        return image, IntegerLayer(weight, np.minimum(scale, 200).astype(np.float32), bias, self.zeros[2])

    def exact(self, sums: Array, factor: Array) -> Array:
        """What the rule makes of exact sums, as bytes."""
        _, low, high = self.bounds
        found = requantise(sums.astype(np.int32), factor, self.target, low + LOW, high + LOW)
        return (found.astype(np.int16) - LOW).astype(np.uint8)


int8 = st.integers(LOW, HIGH)
layers = st.builds(
    Layer,
    flavour=st.sampled_from(list(FLAVOURS)),
    mr=st.integers(1, 12),
    nr=st.integers(1, 4),
    image=st.tuples(st.integers(1, 12), st.integers(1, 20)),
    depth=st.integers(1, 40),
    channels=st.integers(1, 140),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    zeros=st.tuples(st.sampled_from([LOW, -3, 0, HIGH]) | int8, st.sampled_from([LOW, HIGH]) | int8, st.just(0) | int8),
    scales=st.tuples(st.sampled_from([0.1, 1.0, 1.0, 30.0, 1e6]), st.sampled_from([0.0, 1.0, 12.0])),
    limits=st.just((LOW, HIGH)) | st.tuples(int8, int8),
    extreme=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=3).map(tuple),
    seed=st.integers(0, 1000),
).filter(lambda layer: min(layer.out) > 0 and layer.mr * layer.nr <= 24)


def eights(channels: int) -> int:
    """As they are stored."""
    return -(-channels // 8) * 8


def stored(image: Array, channels: int, spare: int) -> Array:
    """Bytes [h][w][channels]; in channels that do not count, `spare`."""
    pads = ((0, 0), (0, 0), (0, channels - image.shape[2]))
    return np.ascontiguousarray(np.pad(image.astype(np.int16) - LOW, pads, constant_values=spare).astype(np.uint8))


class Written:
    """An array to be written, and what lies around it."""

    def __init__(self, dtype: type, *shape: int) -> None:
        bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.memory = np.full(bytes_ + 2 * CANARY, 77, np.uint8)
        self.array = self.memory[CANARY:-CANARY].view(dtype).reshape(shape)

    def unharmed(self) -> bool:
        return bool((self.memory[:CANARY] == 77).all() and (self.memory[-CANARY:] == 77).all())


def convolved(layer: Layer, image: Array, weights: IntegerLayer, *, depthwise: bool) -> Array:
    """Exact sums (h, w, n) in int64."""
    (h, w), (oh, ow), stride = layer.image, layer.out, layer.stride
    size = weights.weight.shape[-1]
    top, left = (pad + size // 2 - 1 for pad in layer.before)
    padded = np.zeros((h + size + 1, w + size + 1, image.shape[2]), np.int64)
    padded[top : top + h, left : left + w] = image.astype(np.int64) - layer.zeros[0]
    kernel = weights.weight.astype(np.int64) - weights.zero_point
    sums = np.zeros((oh, ow, len(kernel)), np.int64) + weights.bias
    for i in range(size):
        for j in range(size):
            seen = padded[i : i + oh * stride : stride, j : j + ow * stride : stride][:oh, :ow]
            sums += seen * kernel[:, 0, i, j] if depthwise else seen @ kernel[:, :, i, j].T
    return sums


@settings(max_examples=200)
@given(layers)
def test_depthwise(flavours: Flavours, layer: Layer) -> None:
    f = flavours[layer.flavour]
    (h, w), (oh, ow), c = layer.image, layer.out, layer.channels
    padded = -(-eights(c) // f.lanes) * f.lanes
    image, weights = Layer(**{**layer.__dict__, "depth": c}).draw(c, 1, 3, 3)
    factor = pack_factor(weights, layer.source, layer.target, padded)
    exact = layer.exact(convolved(layer, image, weights, depthwise=True), factor[:c])

    both = 2 if layer.stride == 1 else 1
    taps = np.ascontiguousarray(pack_taps(weights, padded, f.lanes, both, f.group))
    bias = pack_bias(weights, byte(layer.source.zero_point), padded)
    columns = Written(f.code, ((ow - 1) * layer.stride + 3) * f.lanes * 4)
    inputs = stored(image, padded, 99)
    for first, last in layer.parts(oh):
        rows = Written(f.code, last - first, ow, padded)
        before, zeros = layer.before, (byte(layer.zeros[0]), *layer.bounds)
        f.kernels("int8_depthwise_", inputs, h, w, padded, layer.stride, *before, taps, layer.zeros[2], bias, factor,
                  *zeros, columns.array, rows.array, ow, first, last)  # fmt: skip
        assert (rows.array[:, :, :c] == exact[first:last]).all()
        assert (rows.array[:, :, c:] == min(max(zeros[1], zeros[2]), zeros[3])).all()
        assert rows.unharmed() and columns.unharmed()


@settings(max_examples=200)
@given(layers, st.sampled_from([3, 5, 7]))
def test_depthwise_of_any_size(flavours: Flavours, layer: Layer, size: int) -> None:
    """The same outputs as of a 3x3 window, each of which sees more of what lies around it."""
    f = flavours[layer.flavour]
    (h, w), (oh, ow), c = layer.image, layer.out, layer.channels
    padded = -(-eights(c) // f.lanes) * f.lanes
    image, weights = Layer(**{**layer.__dict__, "depth": c}).draw(c, 1, size, size)
    factor = pack_factor(weights, layer.source, layer.target, padded)
    exact = layer.exact(convolved(layer, image, weights, depthwise=True), factor[:c])

    both = 2 if layer.stride == 1 else 1
    taps = np.ascontiguousarray(pack_taps(weights, padded, f.lanes, both, f.group))
    bias = pack_bias(weights, byte(layer.source.zero_point), padded)
    seen = ((ow - 1) * layer.stride + size) * -(-(size + both - 1) // f.group) * f.group
    columns, out = Written(f.code, seen * f.lanes), Written(np.uint8, oh, ow, padded)
    before, zeros = [pad + size // 2 - 1 for pad in layer.before], (byte(layer.zeros[0]), *layer.bounds)
    for first, last in layer.parts(oh):
        f.kernels("int8_depthwise_any_", size, stored(image, padded, 99), h, w, padded, layer.stride, *before, taps,
                  layer.zeros[2], bias, factor, *zeros, columns.array, out.array, ow, first, last)  # fmt: skip
    assert (out.array[:, :, :c] == exact).all() and out.unharmed() and columns.unharmed()


@settings(max_examples=300)
@given(layers)
def test_pointwise(flavours: Flavours, layer: Layer) -> None:
    f = flavours[layer.flavour]
    (h, w), c, n = layer.image, layer.depth, layer.channels
    panel = layer.nr * f.lanes
    image, weights = layer.draw(n, c, 1, 1)
    factor = pack_factor(weights, layer.source, layer.target, -(-n // panel) * panel)
    real = image.astype(np.int64) - layer.zeros[0]
    kernel = weights.weight[:, :, 0, 0].astype(np.int64) - weights.zero_point
    exact = layer.exact(real @ kernel.T + weights.bias, factor[:n])

    packed = np.ascontiguousarray(pack_product(weights, eights(c), len(factor), panel, f.group))
    bias = pack_bias(weights, byte(layer.source.zero_point), len(factor))
    codes = stored(image, eights(c), 99).astype(f.code)
    output = Written(np.uint8, h, w, eights(n))
    for first, last in layer.parts(h):
        f.kernels("int8_product_", layer.mr, layer.nr, codes[first:last], 1, 0, eights(c), eights(c) // f.group, packed,
                  layer.zeros[2], bias, factor, *layer.bounds, output.array[first:last], eights(n),
                  (last - first) * w)  # fmt: skip
    assert (output.array[:, :, :n] == exact).all() and output.unharmed()


@settings(max_examples=300)
@given(layers)
def test_conv(flavours: Flavours, layer: Layer) -> None:
    f = flavours[layer.flavour]
    (h, w), (oh, ow), c, n = layer.image, layer.out, layer.depth, layer.channels
    panel = layer.nr * f.lanes
    image, weights = layer.draw(n, c, 3, 3)
    factor = pack_factor(weights, layer.source, layer.target, -(-n // panel) * panel)
    exact = layer.exact(convolved(layer, image, weights, depthwise=False), factor[:n])

    packed = np.ascontiguousarray(pack_product(weights, c, len(factor), panel, f.group))
    bias = pack_bias(weights, byte(layer.source.zero_point), len(factor))
    groups = packed.shape[2]
    pitch = (ow - 1) * layer.stride * c + groups * f.group
    inputs, rows = stored(image, c, 0), Written(f.code, 3, pitch)
    output = Written(np.uint8, oh, ow, eights(n))
    top, left = layer.before
    for y in range(oh):
        zero = byte(layer.zeros[0])
        f.kernels("int8_rows_", inputs, h, w, c, y * layer.stride - top, 3, left, zero, rows.array, pitch)
        f.kernels("int8_product_", layer.mr, layer.nr, rows.array, 3, pitch, layer.stride * c, groups, packed,
                  layer.zeros[2], bias, factor, *layer.bounds, output.array[y], eights(n), ow)  # fmt: skip
    assert (output.array[:, :, :n] == exact).all() and output.unharmed() and rows.unharmed()


@settings(max_examples=100)
@given(layers, st.floats(0.01, 100))
def test_pool(flavours: Flavours, layer: Layer, scale: float) -> None:
    f = flavours[layer.flavour]
    h, w = layer.image
    c = -(-layer.depth // f.lanes) * f.lanes
    image = np.random.default_rng(layer.seed).integers(LOW, HIGH + 1, (h, w, c)).astype(np.int8)
    factor = np.float32(scale / h / w)
    exact = layer.exact((image.astype(np.int64) - layer.zeros[0]).sum(axis=(0, 1)), factor)
    output = Written(f.code, c)
    zeros = layer.bounds
    f.kernels("int8_pool_", stored(image, c, 0), h * w, c, byte(layer.zeros[0]), float(factor), *zeros, output.array)
    assert (output.array == exact).all() and output.unharmed()


# an emulated target rounds in the body of "plain C"
@pytest.mark.parametrize("name", [pytest.param(n, marks=needs(target)) for n, (target, _) in FLAVOURS.items()])
def test_the_rule_for_all_kinds_of_sums(flavours: Flavours, name: str) -> None:
    """Every sum within 2^18 of 0, the neighbours of powers of two, and random ones, times factors of every size."""
    near = np.arange(-(2**18), 2**18, dtype=np.int64)
    powers = np.concatenate([sign * 2**e + np.arange(-3, 4) for e in range(19, 31) for sign in (1, -1)])
    ends = np.asarray([-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 2])
    drawn = np.random.default_rng(0).integers(-(2**31), 2**31, 2**18)
    sums = np.concatenate([near, powers, ends, drawn])
    sums = np.pad(sums, (0, -len(sums) % 16)).astype(np.int32)
    for factor in (*(2.0**e for e in range(-40, 8, 3)), 1 / 3, 0.1, 1e-7, 255.99, 0.5 + 2**-24, 1.5, 1e-45, 0.0):
        for zero, low, high in ((-128, -128, 127), (127, -128, 127), (5, 5, 127), (-128, -128, -9), (0, -1, 1)):
            factors = np.full(len(sums), factor, np.float32)
            exact = requantise(sums, factors, QuantParams(1, zero), low, high)
            found = np.empty(len(sums), np.uint8)
            limits = (byte(zero), byte(low), byte(high))
            flavours[name].kernels("rule", sums, factors, len(sums), *limits, found)
            assert (found == (exact.astype(np.int16) - LOW)).all(), (factor, zero, low, high)


@pytest.mark.parametrize("name", FLAVOURS)
def test_logits(flavours: Flavours, name: str) -> None:
    integers = np.arange(256, dtype=np.uint8)
    real = QuantParams(0.1, -7).real((integers.astype(np.int16) + LOW).astype(np.int8))
    found = np.empty(256, np.float32)
    flavours[name].kernels("int8_logits_", integers, 256, float(np.float32(0.1)), byte(-7), found)
    assert (found.view(np.uint32) == real.view(np.uint32)).all()

"""Every kernel against its naive oracle in C, over random shapes; the oracles once against torch and numpy.

The kernels are called with their shapes as arguments, so that one library a vector width serves all shapes; in what is
emitted the shapes are literals, which test_parity.py covers. Around every array lie canaries: numbers that are none
around what is read, so that a read outside shows in the sums, and known ones around what is written.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native import runnable
from running import needs_compiler
from torch.nn import functional

from mobilenets.arch.graph import same_padding
from mobilenets.compiler.build import link
from mobilenets.compiler.formats.fp32 import pack_bias, pack_conv, pack_depthwise, pack_pointwise
from mobilenets.compiler.processor import load
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import TARGETS

pytestmark = needs_compiler

Floats = np.ndarray[Any, np.dtype[np.float32]]

KERNELS = files("mobilenets.compiler") / "kernels"
WIDTHS = {16: "avx512", 8: "avx2", 4: "portable"}
OUTPUTS = ("softmax", "sigmoid", "l2_normalise")
PLAIN = ("border", "image", "pool", "exponential", *OUTPUTS)
OF_VECTORS = (
    *("vectors", "activate_all", "tile", "depthwise", "pointwise", "conv", "fully_connected"),
    *("depthwise_any", "rows", "elements", "expansion", "expand", "dense", "elementwise"),
)
NAMES = (
    *("border", "image", "pool", *OUTPUTS, "conv@", "depthwise@", "pointwise@", "fully_connected@"),
    *("depthwise_any@", "expanded@", "dense@", "add@", "scale@"),
)

HEAD = """
#include <stddef.h>
#include <stdint.h>
#define INLINE __attribute__((unused)) static
#define UNROLL
#define MR_MAX 14
#define NR_MAX 3
#define DW_MAX 42
"""
EXPONENTIALS = """
void exponentials(const float *in, int count, float *out) {
    for (int i = 0; i < count; i++) out[i] = exponential(in[i]);
}
"""
CANARY = 64  # floats before and behind
WRITTEN = 12345.0


class Kernels:
    """A library: `kernels("conv", ...)` calls a function of it with whole numbers, floats and arrays."""

    def __init__(self, path: Path, target: Target, width: int = 0) -> None:
        self.code, self.width = load(path, target.name, target.features), width

    def __call__(self, name: str, *arguments: object) -> None:
        function: Callable[..., None] = getattr(self.code, name)
        function(*(self._passed(argument) for argument in arguments))

    @staticmethod
    def _passed(argument: object) -> object:
        if isinstance(argument, np.ndarray):
            return ctypes.c_void_p(argument.ctypes.data)
        return ctypes.c_float(argument) if isinstance(argument, float) else argument


def built(width: int, folder: Path) -> Kernels:
    """All kernels with vectors of `width` floats."""
    target = runnable(TARGETS[WIDTHS[width]])
    text = HEAD + "".join((KERNELS / f"{name}.c").read_text("utf-8") for name in (*PLAIN, *OF_VECTORS)) + EXPONENTIALS
    for name in NAMES:  # to be called from outside
        text = text.replace(f"INLINE void {name}(", f"void {name.removesuffix('@')}_(")
    text = text.replace("@", str(width))
    link({"kernels.c": text}, target, folder / f"kernels{width}.so")
    return Kernels(folder / f"kernels{width}.so", target, width)


@pytest.fixture(scope="session")
def fast(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Kernels]:
    folder = tmp_path_factory.mktemp("kernels")
    return {width: built(width, folder) for width in WIDTHS}


@pytest.fixture(scope="session")
def naive(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    path = tmp_path_factory.mktemp("naive") / "naive.so"
    link({"naive.c": (KERNELS / "naive.c").read_text("utf-8")}, TARGETS["portable"], path)
    return Kernels(path, TARGETS["portable"])


def read_only(array: Floats) -> Floats:
    """A copy among numbers that are none."""
    memory = np.full(array.size + 2 * CANARY, np.nan, np.float32)
    memory[CANARY:-CANARY] = np.ravel(array)
    return memory[CANARY:-CANARY].reshape(array.shape)


class Written:
    """An array to be written; what is not written of it, and what lies around it, is known."""

    def __init__(self, *shape: int) -> None:
        self.memory = np.full(int(np.prod(shape)) + 2 * CANARY, WRITTEN, np.float32)
        self.array = self.memory[CANARY:-CANARY].reshape(shape)

    def unharmed(self) -> bool:
        return bool((self.memory[:CANARY] == WRITTEN).all() and (self.memory[-CANARY:] == WRITTEN).all())


@dataclass(frozen=True)
class Layer:
    """A convolution to try."""

    width: int  # floats in a vector
    mr: int
    nr: int
    image: tuple[int, int]
    depth: int
    channels: int
    spare: int  # channels that the input has besides
    stride: int
    padding: str
    limit: float
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
    def panel(self) -> int:
        return self.nr * self.width

    @property
    def stored(self) -> int:
        """Output channels: whole panels."""
        return -(-self.channels // self.panel) * self.panel

    def parts(self, units: int) -> list[tuple[int, int]]:
        edges = [0, *sorted(int(cut * units) for cut in self.cuts), units]
        return list(pairwise(edges))

    def draw(self, *shapes: tuple[int, ...]) -> list[Floats]:
        rng = np.random.default_rng(self.seed)
        return [rng.standard_normal(shape, np.float32) for shape in shapes]


layers = st.builds(
    Layer,
    width=st.sampled_from(list(WIDTHS)),
    mr=st.integers(1, 14),
    nr=st.integers(1, 3),
    image=st.tuples(st.integers(1, 12), st.integers(1, 20)),
    depth=st.integers(1, 40),
    channels=st.integers(1, 70),
    spare=st.integers(0, 3),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    limit=st.sampled_from([-1.0, 0.0, 6.0]),
    cuts=st.lists(st.floats(0, 1), max_size=3).map(tuple),
    seed=st.integers(0, 1000),
).filter(lambda layer: min(layer.out) > 0)


def bordered(image: Floats, channels: int, spare: float) -> Floats:
    """[h][w][c] -> [h + 2][w + 2][channels], zeros all round; in channels that do not count, `spare`."""
    h, w, c = image.shape
    result = np.zeros((h + 2, w + 2, channels), np.float32)
    result[:, :, c:] = spare
    result[1:-1, 1:-1, :c] = image
    return read_only(result)


def assert_close(found: Floats, exact: Floats, terms: int) -> None:
    """Sums of `terms` products of numbers near 1."""
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() <= 1e-6 * terms**0.5 * max(1, np.abs(exact).max())


def assert_image(output: Written, exact: Floats, terms: int) -> None:
    """A bordered image whose border and surroundings are untouched, and whose spare channels are 0."""
    inner = output.array[1:-1, 1:-1]
    channels = exact.shape[2]
    assert_close(inner[:, :, :channels], exact, terms)
    assert not inner[:, :, channels:].any()
    edge = output.array.copy()
    edge[1:-1, 1:-1] = WRITTEN
    assert (edge == WRITTEN).all() and output.unharmed()


@settings(max_examples=300)
@given(layers)
def test_conv(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    (h, w), (oh, ow), c, n = layer.image, layer.out, layer.depth, layer.channels
    image, kernel, bias = layer.draw((h, w, c), (n, c, 3, 3), (n,))
    exact = np.empty((oh, ow, n), np.float32)
    naive("naive_conv", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow, n)

    output = Written(oh + 2, ow + 2, layer.stored)
    inputs = bordered(image, c + layer.spare, np.nan)
    packed = read_only(pack_conv(kernel, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    down, right = (1 - pad for pad in layer.before)
    for rows in layer.parts(oh):
        shape = (w, c + layer.spare, c, layer.stride, down, right)
        tile = (min(layer.mr, ow), layer.nr)
        fast[layer.width]("conv_", *tile, inputs, *shape, *packed, layer.limit, output.array, ow, layer.stored, *rows)
    assert_image(output, exact, 9 * c)


@settings(max_examples=300)
@given(layers)
def test_depthwise(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    (h, w), (oh, ow), c = layer.image, layer.out, layer.channels
    image, kernel, bias = layer.draw((h, w, c), (c, 1, 3, 3), (c,))
    exact = np.empty((oh, ow, c), np.float32)
    naive("naive_depthwise", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow)

    inputs = bordered(image, layer.stored, 0)
    packed = read_only(pack_depthwise(kernel, layer.stored)), read_only(pack_bias(bias, layer.stored))
    down, right = (1 - pad for pad in layer.before)
    found = []
    for first, last in layer.parts(oh):
        rows = Written(last - first, ow, layer.stored)
        shape = (w, layer.stored, layer.stride, down, right)
        tile = min(layer.mr, ow), 2 if layer.nr == 2 else 1
        fast[layer.width]("depthwise_", *tile, inputs, *shape, *packed, layer.limit, rows.array, ow, first, last)
        assert rows.unharmed()
        found.append(rows.array)
    whole = np.concatenate(found)
    assert_close(whole[:, :, :c], exact, 9)
    assert not whole[:, :, c:].any()


@settings(max_examples=150)
@given(layers)
def test_depthwise_of_any_size(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    """Of 3x3 as the naive one; of 5x5 as 3x3 where the outer taps are 0. Rows go to a bordered image."""
    (h, w), (oh, ow), c = layer.image, layer.out, layer.channels
    image, kernel, bias = layer.draw((h, w, c), (c, 1, 3, 3), (c,))
    exact = np.empty((oh, ow, c), np.float32)
    naive("naive_depthwise", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow)
    inputs, biases = bordered(image, layer.stored, np.nan), read_only(pack_bias(bias, layer.stored))
    inputs[1:-1, 1:-1, c:] = 0
    for size in (3, 5):
        taps = np.pad(kernel, ((0, 0), (0, 0), *[(size // 2 - 1,) * 2] * 2))
        weights, before = read_only(pack_depthwise(taps, layer.stored)), [pad + size // 2 - 1 for pad in layer.before]
        rows = Written(oh, ow, layer.stored)
        for first, last in layer.parts(oh):
            shape = (h, w, layer.stored, size, layer.stride, *before)
            to = (rows.array[first:], ow * layer.stored, ow, first, last)
            fast[layer.width]("depthwise_any_", inputs, *shape, weights, biases, layer.limit, *to)
        assert rows.unharmed()
        assert_close(rows.array[:, :, :c], exact, 25)
        assert not rows.array[:, :, c:].any()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_outer_taps_of_five_by_five(fast: dict[int, Kernels], width: int) -> None:
    rng = np.random.default_rng(width)
    image, kernel = (
        rng.normal(size=(6, 7, width)).astype(np.float32),
        rng.normal(size=(width, 1, 5, 5)).astype(np.float32),
    )
    padded = np.pad(image.astype(np.float64), ((2, 2), (2, 2), (0, 0)))
    exact = sum(padded[i : i + 6, j : j + 7] * kernel[:, 0, i, j] for i in range(5) for j in range(5))
    rows, zeros = Written(6, 7, width), read_only(np.zeros(width, np.float32))
    weights = read_only(pack_depthwise(kernel, width))
    shape = (6, 7, width, 5, 1, 2, 2)
    to = (rows.array, 7 * width, 7, 0, 6)
    fast[width]("depthwise_any_", bordered(image, width, np.nan), *shape, weights, zeros, -1.0, *to)
    assert rows.unharmed()
    assert_close(rows.array, np.asarray(exact), 25)


@settings(max_examples=150)
@given(layers, st.sampled_from([3, 5]), st.booleans(), st.integers(1, 12))
def test_a_depthwise_convolution_block_by_block(
    fast: dict[int, Kernels], layer: Layer, size: int, expands: bool, rows: int
) -> None:
    """Of a map that a pointwise convolution computes, or of the image itself; some rows at a time."""
    (h, w), (oh, ow), c, stride = layer.image, layer.out, layer.channels, layer.stride
    depth = layer.depth if expands else c
    image, expansion, taps = layer.draw((h, w, depth), (c, depth, 1, 1), (c, 1, size, size))
    ex_bias, bias = layer.draw((2, c))[0]
    seen = image.astype(np.float64)
    if expands:
        seen = ACTIVATIONS[layer.limit](seen @ expansion[:, :, 0, 0].T.astype(np.float64) + ex_bias)
    top, left = (pad + size // 2 - 1 for pad in layer.before)
    padded = np.pad(seen, ((top, size), (left, size), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (0, 1))[::stride, ::stride][:oh, :ow]
    exact = ACTIVATIONS[layer.limit](np.einsum("hwcij,cij->hwc", windows, taps[:, 0].astype(np.float64)) + bias)

    pixel = depth + layer.spare if expands else layer.stored
    ex = read_only(pack_pointwise(expansion if expands else taps[:, :, :1, :1], layer.stored, layer.panel))
    packed = read_only(pack_depthwise(taps, layer.stored)), read_only(pack_bias(bias, layer.stored))
    high, across = (rows - 1) * stride + size, max((ow - 1) * stride + size, left + w)
    block = high * across * layer.panel
    flat, blocks = Written(high * w * pixel), Written(block * layer.stored // layer.panel)
    out, inputs = Written(oh, ow, layer.stored), bordered(image, pixel, np.nan if expands else 0)
    for first, last in layer.parts(oh):
        for y in range(first, last, rows):
            tile = size, layer.mr, layer.nr, min(layer.mr, ow), 0
            read = inputs, h, w, pixel, depth * expands, stride, top, left
            fast[layer.width]("expanded_", *tile, *read, ex, read_only(pack_bias(ex_bias, layer.stored)), layer.limit,
                              *packed, layer.limit, layer.stored, flat.array, blocks.array, high, block, int(y > first),
                              out.array[y:], ow * layer.stored, layer.stored, ow, y, min(y + rows, last))  # fmt: skip
    assert out.unharmed() and flat.unharmed() and blocks.unharmed()
    assert_close(out.array[:, :, :c], exact, 25 * depth if expands else 25)
    assert expands or not out.array[:, :, c:].any()


ACTIVATIONS: dict[float, Callable[[np.ndarray], np.ndarray]] = {
    -1.0: lambda x: x,
    0.0: lambda x: np.maximum(x, 0),
    6.0: lambda x: np.clip(x, 0, 6),
    -2.0: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    -3.0: lambda x: np.clip(x + 3, 0, 6) / 6,
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("limit", ACTIVATIONS)
def test_elementwise(fast: dict[int, Kernels], width: int, limit: float) -> None:
    """A sum is activated, a product by a gate is not; both in place, row by row, beside the border."""
    rng = np.random.default_rng(0)
    shape = (5, 4, 2 * width)
    x, y, gate = (4 * rng.normal(size=size).astype(np.float32) for size in (shape, shape, shape[2:]))
    for kernel, other, exact in (
        ("add_", bordered(y, shape[2], np.nan), ACTIVATIONS[limit](x.astype(np.float64) + y)),
        ("scale_", read_only(gate), x.astype(np.float64) * gate),
    ):
        output = Written(7, 6, shape[2])
        output.array[1:-1, 1:-1] = x
        given = (4, shape[2], limit) if kernel == "add_" else (4, shape[2])
        for rows in ((0, 2), (2, 5)):
            fast[width](kernel, other, *given, output.array, *rows)
        assert_image(output, exact, 2)


@settings(max_examples=50)
@given(layers)
def test_dense(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    c, n = layer.depth, layer.channels
    vector, kernel, bias = layer.draw((c,), (n, c), (n,))
    exact = np.empty(n, np.float32)
    naive("naive_pointwise", vector, 1, c, kernel, bias, layer.limit, exact, n)
    output = Written(layer.stored)
    packed = read_only(pack_pointwise(kernel, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    fast[layer.width]("dense_", layer.nr, read_only(vector), c, *packed, layer.limit, output.array, 0, layer.stored)
    assert output.unharmed()
    assert_close(output.array[:n], exact, c)


@settings(max_examples=300)
@given(layers)
def test_pointwise(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    (h, w), c, n = layer.image, layer.depth, layer.channels
    image, kernel, bias = layer.draw((h, w, c), (n, c, 1, 1), (n,))
    exact = np.empty((h, w, n), np.float32)
    naive("naive_pointwise", image, h * w, c, kernel, bias, layer.limit, exact, n)

    output = Written(h + 2, w + 2, layer.stored)
    packed = read_only(pack_pointwise(kernel, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    pixels = np.pad(image, ((0, 0), (0, 0), (0, layer.spare)), constant_values=np.nan)
    for first, last in layer.parts(h):
        rows = read_only(pixels[first:last])
        tile, places = (layer.mr, layer.nr), (w, layer.stored, first * w, last * w)
        fast[layer.width]("pointwise_", *tile, rows, c + layer.spare, c, *packed, layer.limit, output.array, *places)
    assert_image(output, exact, c)


@settings(max_examples=200)
@given(layers)
def test_fully_connected(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    c, n = layer.depth, layer.channels
    vector, kernel, bias = layer.draw((c,), (n, c), (n,))
    exact = np.empty(n, np.float32)
    naive("naive_pointwise", vector, 1, c, kernel, bias, -1.0, exact, n)

    output = Written(layer.stored)
    packed = read_only(pack_pointwise(kernel, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    for first, last in layer.parts(layer.stored // layer.panel):
        panels = (first * layer.panel, last * layer.panel)
        fast[layer.width]("fully_connected_", layer.nr, read_only(vector), c, *packed, output.array, *panels)
    assert_close(output.array[:n], exact, c)
    assert not output.array[n:].any() and output.unharmed()


@given(layers, st.sampled_from([1, 3]))
def test_image_and_border(fast: dict[int, Kernels], naive: Kernels, layer: Layer, channels: int) -> None:
    h, w = layer.image
    pixels = np.random.default_rng(layer.seed).integers(0, 256, (h, w, channels), np.uint8)
    value = np.asarray([123.675, 116.28, 103.53][:channels], np.float32)
    exact = np.empty((h + 2, w + 2, channels), np.float32)
    naive("naive_image", pixels, h, w, channels, value, exact)

    output = Written(*exact.shape)
    for rows in layer.parts(h):
        if rows[0] < rows[1]:
            fast[layer.width]("border_", output.array, h, w, 4 * channels, value, *rows)
        fast[layer.width]("image_", pixels, w, channels, output.array, *rows)
    assert (output.array == exact).all() and output.unharmed()


@given(layers)
def test_a_border_of_zeros(fast: dict[int, Kernels], layer: Layer) -> None:
    h, w = layer.image
    output = Written(h + 2, w + 2, layer.stored)
    for rows in layer.parts(h):
        fast[layer.width]("border_", output.array, h, w, 4 * layer.stored, None, *rows)
    exact = np.pad(np.full((h, w, layer.stored), WRITTEN, np.float32), ((1, 1), (1, 1), (0, 0)))
    assert (output.array == exact).all() and output.unharmed()


@given(layers)
def test_pool(fast: dict[int, Kernels], naive: Kernels, layer: Layer) -> None:
    (h, w), c = layer.image, layer.channels
    (image,) = layer.draw((h, w, c))
    exact = np.empty(c, np.float32)
    naive("naive_pool", image, h * w, c, exact)
    output, inputs = Written(c), bordered(image, c, 0)
    inputs[[0, -1]] = inputs[:, [0, -1]] = np.nan  # the border does not count
    fast[layer.width]("pool_", inputs, h, w, c, output.array)
    assert_close(output.array, exact, 1)
    assert output.unharmed()


@given(st.integers(1, 300), st.floats(0, 1000), st.integers(0, 1000))
def test_softmax(fast: dict[int, Kernels], naive: Kernels, classes: int, scale: float, seed: int) -> None:
    logits = (np.random.default_rng(seed).standard_normal(classes) * scale).astype(np.float32)
    exact, output = np.empty((2, classes), np.float32), Written(2, classes)
    naive("naive_softmax", logits, classes, exact)
    fast[16]("softmax_", read_only(logits), classes, output.array)
    assert (output.array[0] == logits).all() and output.unharmed()
    bound = 1e-6 + 1.2e-7 * (logits.max() - logits)  # what a float of the difference keeps
    bound += 6e-8 * classes  # and their sum, one after the other
    assert (np.abs(output.array[1] - exact[1]) <= bound * exact[1] + 1e-37).all()
    assert abs(output.array[1].sum(dtype=np.float64) - 1) < 1e-6 + 6e-8 * classes


@pytest.mark.parametrize("kind", ["sigmoid", "l2_normalise"])
@given(st.integers(1, 300), st.floats(0, 1000), st.integers(0, 1000))
def test_the_other_outputs(
    kind: str, fast: dict[int, Kernels], naive: Kernels, classes: int, scale: float, seed: int
) -> None:
    sums = (np.random.default_rng(seed).standard_normal(classes) * scale).astype(np.float32)
    exact, output = np.empty((2, classes), np.float32), Written(2, classes)
    naive(f"naive_{kind}", sums, classes, exact)
    fast[16](f"{kind}_", read_only(sums), classes, output.array)
    assert (output.array[0] == sums).all() and output.unharmed()
    assert np.allclose(output.array[1], exact[1], rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_exponential_over_its_whole_range(fast: dict[int, Kernels], width: int) -> None:
    x = np.concatenate([np.linspace(-110, 0, 2_000_001), -np.logspace(-40, 2, 100_001)]).astype(np.float32)
    output, exact = Written(len(x)), np.exp(x.astype(np.float64))
    fast[width]("exponentials", x, len(x), output.array)
    normal = exact > 1.2e-38
    assert np.abs(output.array / exact - 1)[normal].max() < 1e-6
    assert np.abs(output.array - exact)[~normal].max() < 1.2e-38
    odd, result = np.asarray([0, -np.inf, np.nan, -3e38], np.float32), np.empty(4, np.float32)
    fast[width]("exponentials", odd, 4, result)
    assert np.array_equal(result, [1, 0, np.nan, 0], equal_nan=True)


def test_a_number_that_is_none_stays_seen(fast: dict[int, Kernels]) -> None:
    """Of weights that overflow: no probabilities that look like some."""
    for kind in OUTPUTS:
        output = np.empty((2, 3), np.float32)
        fast[16](f"{kind}_", np.asarray([1, np.nan, 2], np.float32), 3, output)
        assert np.isnan(output[1]).any()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("limit", [-1.0, 0.0, 6.0])
def test_the_naive_convolutions_are_torchs(naive: Kernels, stride: int, limit: float) -> None:
    rng = np.random.default_rng(0)
    h, w, c, n = 7, 10, 5, 6
    image, full, depthwise = (rng.standard_normal(s, np.float32) * 2 for s in ((h, w, c), (n, c, 3, 3), (c, 1, 3, 3)))
    bias = rng.standard_normal(n, np.float32)
    x = functional.pad(torch.from_numpy(image).permute(2, 0, 1).double(), (1, 1, 0, 1))  # left, right, top, bottom

    def expected(kernel: Floats, groups: int) -> Floats:
        bias64 = torch.from_numpy(bias[: len(kernel)]).double()
        y = functional.conv2d(x[None], torch.from_numpy(kernel).double(), bias64, stride, groups=groups)[0]
        y = y if limit < 0 else y.clamp(0, limit or torch.inf)
        return y.permute(1, 2, 0).float().numpy()

    exact = expected(full, 1)
    found = np.empty(exact.shape, np.float32)
    naive("naive_conv", image, h, w, c, full, bias, stride, 0, 1, limit, found, *exact.shape)
    assert np.allclose(found, exact, rtol=1e-6, atol=1e-6) and exact.std() > 0.1
    exact = expected(depthwise, c)
    found = np.empty(exact.shape, np.float32)
    naive("naive_depthwise", image, h, w, c, depthwise, bias, stride, 0, 1, limit, found, *exact.shape[:2])
    assert np.allclose(found, exact, rtol=1e-6, atol=1e-6) and exact.std() > 0.1


def test_the_other_naive_kernels_are_numpys(naive: Kernels) -> None:
    rng = np.random.default_rng(0)
    a, w, bias = (rng.standard_normal(shape, np.float32) for shape in ((6, 9), (4, 9), (4,)))
    found = np.empty((6, 4), np.float32)
    naive("naive_pointwise", a, 6, 9, w, bias, 6.0, found, 4)
    assert np.allclose(found, np.clip(a.astype(np.float64) @ w.T + bias, 0, 6), atol=1e-6)
    mean = np.empty(9, np.float32)
    naive("naive_pool", a, 6, 9, mean)
    assert np.allclose(mean, a.mean(0, dtype=np.float64), atol=1e-6)
    both = np.empty((2, 9), np.float32)
    naive("naive_softmax", a[0], 9, both)
    assert (both[0] == a[0]).all()
    assert np.allclose(both[1], torch.softmax(torch.from_numpy(a[0]).double(), 0).numpy(), atol=1e-7)
    naive("naive_sigmoid", a[0], 9, both)
    assert np.allclose(both, [a[0], 1 / (1 + np.exp(-a[0].astype(np.float64)))], atol=1e-7)
    naive("naive_l2_normalise", a[0], 9, both)
    assert np.allclose(both, [a[0], a[0] / np.linalg.norm(a[0])], atol=1e-7)
    naive("naive_l2_normalise", np.zeros(9, np.float32), 9, both)
    assert not both.any()
    pixels = rng.integers(0, 256, (2, 3, 1), np.uint8)
    image = np.empty((4, 5, 1), np.float32)
    naive("naive_image", pixels, 2, 3, 1, np.asarray([7.5], np.float32), image)
    assert (image == np.pad(pixels.astype(np.float32), ((1, 1), (1, 1), (0, 0)), constant_values=7.5)).all()

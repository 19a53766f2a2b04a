"""Every kernel of bf16 against its naive oracle of floats, over random shapes, as test_kernels.py does it.

In each body: the processor's own products of pairs where it has them, pairs widened to floats, and the tiles of AMX,
which tiles.c puts into C.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import runnable
from running import needs_compiler
from test_kernels import ACTIVATIONS, HEAD, KERNELS, WIDTHS, Kernels, Layer, assert_close, bordered, layers, read_only

from mobilenets.compiler.build import link
from mobilenets.compiler.formats.bf16 import deinterleaved, pack_pairs, rounded, split, widened
from mobilenets.compiler.formats.fp32 import pack_bias, pack_depthwise
from mobilenets.compiler.targets import BF16_TARGETS

pytestmark = needs_compiler

NAMES = (
    *("conv", "depthwise", "pointwise", "pointwise_tiles", "split", "pool", "fully_connected"),
    *("depthwise_any", "dense", "add", "scale", "expanded", "expanded_tiles"),
)
FILES = (
    *("intrinsics", "border", "vectors", "activate_all", "bf16_dot", "bf16_vectors", "tile", "bf16_tile", "tiles"),
    *("bf16_image", "bf16_conv", "bf16_depthwise", "bf16_pointwise", "bf16_pointwise_tiles", "bf16_split", "bf16_pool"),
    *(
        "bf16_fully_connected",
        "bf16_depthwise_any",
        "bf16_dense",
        "bf16_elementwise",
        "bf16_patches",
        "rows",
        "bf16_elements",
    ),
)
EXPANSIONS = ("bf16_expansion", "bf16_expansion_tiles")
ROUNDING = 2.0**-8  # of a bf16, relative
CANARY = 64
WRITTEN = 0x4640  # 12288 as bf16
PAIRS = BF16_TARGETS["avx512bf16"]
BODIES = ["widened", "pairs"]


def built(width: int, body: str, folder: Path) -> Kernels:
    target = runnable(PAIRS if body == "pairs" else BF16_TARGETS[WIDTHS[width]])
    text = HEAD + "".join((KERNELS / f"{name}.c").read_text("utf-8") for name in FILES)
    for expansion in EXPANSIONS:  # each with a copy of what calls it
        both = "".join((KERNELS / f"{name}.c").read_text("utf-8") for name in (expansion, "expand"))
        of_its_own = expansion.removeprefix("bf16_expansion") + "@("
        for name in ("expansion", "expanded", "depthwise_block_tile"):
            both = both.replace(f" {name}@(", f" bf16_{name}{of_its_own}")
        text += both
    for name in NAMES:  # to be called from outside
        text = text.replace(f"INLINE void bf16_{name}@(", f"void {name}_(").replace(f"bf16_{name}@(", f"{name}_(")
    for name in ("image", "patches"):
        text = text.replace(f"INLINE void bf16_{name}(", f"void {name}_(")
    text = text.replace("@", str(width))
    link({"kernels.c": text}, target, folder / f"{body}{width}.so")
    return Kernels(folder / f"{body}{width}.so", target, width)


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Kernels]:
    folder = tmp_path_factory.mktemp("bf16")
    return {(width, body): built(width, body, folder) for width in WIDTHS for body in BODIES}


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    path = tmp_path_factory.mktemp("oracle") / "naive.so"
    link({"naive.c": (KERNELS / "naive.c").read_text("utf-8")}, BF16_TARGETS["portable"], path)
    return Kernels(path, BF16_TARGETS["portable"])


def halves(array: np.ndarray, behind: int = 0) -> np.ndarray:
    """bf16 among numbers that are none; `behind`: that many elements of 0 behind it."""
    memory = np.full(array.size + behind + 2 * CANARY, 0x7FFF, np.uint16)
    memory[CANARY : CANARY + array.size] = np.ravel(array)
    memory[CANARY + array.size : CANARY + array.size + behind] = 0
    return memory[CANARY : CANARY + array.size].reshape(array.shape)


class Output:
    """Elements to be written: bf16 or floats."""

    def __init__(self, *shape: int, floats: bool = False) -> None:
        kind, value = (np.float32, 12345) if floats else (np.uint16, WRITTEN)
        self.memory = np.full(int(np.prod(shape)) + 2 * CANARY, value, kind)
        self.array, self.value = self.memory[CANARY:-CANARY].reshape(shape), value

    def numbers(self) -> np.ndarray:
        """What was written; all around it is as it was."""
        assert (self.memory[:CANARY] == self.value).all() and (self.memory[-CANARY:] == self.value).all()
        return self.array if self.array.dtype == np.float32 else widened(self.array)

    def inner(self) -> np.ndarray:
        """Of a bordered image, whose border is as it was."""
        edge = self.array.copy()
        edge[1:-1, 1:-1] = self.value
        assert (edge == self.value).all()
        return self.numbers()[1:-1, 1:-1]


def assert_near(found: np.ndarray, exact: np.ndarray, relative: float) -> None:
    """Within `relative` of each number, and floats' own error of the sums."""
    assert found.shape == exact.shape
    assert (np.abs(found - exact) <= relative * np.abs(exact) + 3e-6 * max(1, np.abs(exact).max())).all()


def exactly(layer: Layer, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Floats that bf16 hold exactly."""
    return [widened(rounded(array)) for array in layer.draw(*shapes)]


bodies = st.sampled_from(BODIES)


@settings(max_examples=200)
@given(layers, bodies)
def test_conv(kernels, oracle, layer: Layer, body: str) -> None:
    (h, w), (oh, ow), c, n = layer.image, layer.out, layer.depth, layer.channels
    image, kernel = exactly(layer, (h, w, c), (n, c, 3, 3))
    (bias,) = layer.draw((n,))
    exact = np.empty((oh, ow, n), np.float32)
    oracle("naive_conv", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow, n)
    output = Output(oh + 2, ow + 2, layer.stored)
    inputs = halves(rounded(bordered(image, c, 0)), behind=1)
    packed = halves(pack_pairs(kernel, c, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    down, right = (1 - pad for pad in layer.before)
    for rows in layer.parts(oh):
        shape = (w, c, layer.stride, down, right)
        tile = (layer.mr, layer.nr)
        kernels[layer.width, body](
            "conv_", *tile, inputs, *shape, *packed, layer.limit, output.array, ow, layer.stored, *rows
        )
    assert_near(output.inner()[:, :, :n], exact, ROUNDING)
    assert not output.inner()[:, :, n:].any()


@settings(max_examples=200)
@given(layers, bodies)
def test_depthwise(kernels, oracle, layer: Layer, body: str) -> None:
    (h, w), (oh, ow), c, both = layer.image, layer.out, layer.channels, 2 * layer.width
    stored = 8 if c <= 8 else 16 if c <= 16 else -(-c // both) * both
    if stored < both and (layer.stride == 2 or ow < both // stored):
        stored = both
    stored = -(-stored // both) * both if stored > both else stored
    image, kernel = exactly(layer, (h, w, c), (c, 1, 3, 3))
    (bias,) = layer.draw((c,))
    exact = np.empty((oh, ow, c), np.float32)
    oracle("naive_depthwise", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow)
    packed = [deinterleaved(a, layer.width) for a in (pack_depthwise(kernel, stored), pack_bias(bias, stored))]
    down, right = (1 - pad for pad in layer.before)
    inputs, found = halves(rounded(bordered(image, stored, 0))), []
    pixel = stored if stored < both else stored + 32 * (layer.seed % 2)
    for first, last in layer.parts(oh):
        rows = Output(last - first, ow, pixel)
        shape, weights = (w, stored, layer.stride, down, right), map(read_only, packed)
        kernels[layer.width, body](
            "depthwise_", inputs, *shape, *weights, layer.limit, rows.array, pixel, ow, first, last
        )
        found.append(rows.numbers())
        assert (rows.array[:, :, stored:] == WRITTEN).all()
    whole = np.concatenate(found)
    assert_near(whole[:, :, :c], exact, ROUNDING)
    assert not whole[:, :, c:stored].any()


@settings(max_examples=100)
@given(layers, bodies)
def test_depthwise_of_any_size(kernels, oracle, layer: Layer, body: str) -> None:
    """Of 3x3 as the naive one; of 5x5 as 3x3 where the outer taps are 0."""
    (h, w), (oh, ow), c = layer.image, layer.out, layer.channels
    stored = -(-c // 16) * 16
    pixel = stored + 32 * (layer.seed % 2)
    image, kernel = exactly(layer, (h, w, c), (c, 1, 3, 3))
    (bias,) = layer.draw((c,))
    exact = np.empty((oh, ow, c), np.float32)
    oracle("naive_depthwise", image, h, w, c, kernel, bias, layer.stride, *layer.before, layer.limit, exact, oh, ow)
    inputs, biases = halves(rounded(bordered(image, stored, 0))), read_only(pack_bias(bias, stored))
    for size in (3, 5):
        taps = np.pad(kernel, ((0, 0), (0, 0), *[(size // 2 - 1,) * 2] * 2))
        weights, before = read_only(pack_depthwise(taps, stored)), [pad + size // 2 - 1 for pad in layer.before]
        output = Output(oh, ow, pixel)
        for first, last in layer.parts(oh):
            shape = (h, w, stored, size, layer.stride, *before)
            to = (output.array[first:], ow * pixel, pixel, ow, first, last)
            kernels[layer.width, body]("depthwise_any_", inputs, *shape, weights, biases, layer.limit, *to)
        assert_near(output.numbers()[:, :, :c], exact, ROUNDING)
        assert not output.numbers()[:, :, c:stored].any() and (output.array[:, :, stored:] == WRITTEN).all()


@settings(max_examples=100)
@given(layers, bodies, st.sampled_from([3, 5]), st.booleans(), st.booleans(), st.integers(1, 12))
def test_block_by_block(kernels, layer: Layer, body: str, size: int, expands: bool, tiles: bool, rows: int) -> None:
    """Of a map that a pointwise convolution computes, whose numbers are not rounded, or of the image itself."""
    (h, w), (oh, ow), c, stride = layer.image, layer.out, layer.channels, layer.stride
    nr = min(layer.nr, 2) if tiles else layer.nr
    panel = nr * layer.width
    stored = -(-c // panel) * panel
    depth = layer.depth + layer.depth % 2
    image, expansion = exactly(layer, (h, w, depth if expands else c), (c, depth, 1, 1))
    taps, biases = layer.draw((c, 1, size, size), (2, c))
    seen = image.astype(np.float64)
    if expands:
        seen = ACTIVATIONS[layer.limit](seen @ expansion[:, :, 0, 0].T.astype(np.float64) + biases[0])
    top, left = (pad + size // 2 - 1 for pad in layer.before)
    padded = np.pad(seen, ((top, size), (left, size), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (0, 1))[::stride, ::stride][:oh, :ow]
    exact = ACTIVATIONS[layer.limit](np.einsum("hwcij,cij->hwc", windows, taps[:, 0].astype(np.float64)) + biases[1])

    pixel = depth if expands else stored
    inputs = halves(rounded(bordered(image, pixel, 0)))
    ex, ex_bias = halves(pack_pairs(expansion, depth, stored, panel)), read_only(pack_bias(biases[0], stored))
    packed = read_only(pack_depthwise(taps, stored)), read_only(pack_bias(biases[1], stored))
    high, across = (rows - 1) * stride + size, max((ow - 1) * stride + size, left + w)
    block = high * across * panel
    flat, blocks = halves(np.zeros((high * w + 16) * pixel)), Output(block * stored // panel, floats=True)
    out, deep = Output(oh, ow, stored), max(deep for deep in range(2, 33, 2) if pixel % deep == 0)
    for first, last in layer.parts(oh):
        for y in range(first, last, rows):
            tile = size, layer.mr, nr, min(layer.mr, ow), deep
            read = inputs, h, w, pixel, depth * expands, stride, top, left
            to = out.array[y:], ow * stored, stored, ow, y, min(y + rows, last)
            kernels[layer.width, body](
                "expanded_tiles_" if tiles else "expanded_", *tile, *read, ex, ex_bias, layer.limit, *packed,
                layer.limit, stored, flat, blocks.array, high, block, int(y > first), *to
            )  # fmt: skip
    blocks.numbers()
    assert_near(out.numbers()[:, :, :c], exact, ROUNDING + 1e-6 * depth * expands)
    assert expands or not out.numbers()[:, :, c:].any()


@settings(max_examples=50)
@given(layers)
def test_windows_one_behind_the_other(kernels, layer: Layer) -> None:
    (h, w), (oh, ow), depth = layer.image, layer.out, layer.depth
    image = np.arange(1, (h + 2) * (w + 2) * depth + 1).reshape(h + 2, w + 2, depth).astype(np.uint16)
    down, right = (1 - pad for pad in layer.before)
    run = 3 * depth + depth % 2
    seen = np.append(image.ravel(), 0)
    for first, last in layer.parts(oh):
        out = Output(last - first, ow, 3, run)
        read = halves(image, behind=1), w, depth, layer.stride, down, right
        kernels[layer.width, "widened"]("patches_", *read, out.array, ow, first, last)
        out.numbers()
        for y, x, i in np.ndindex(last - first, ow, 3):
            at = (((y + first) * layer.stride + down + i) * (w + 2) + x * layer.stride + right) * depth
            assert (out.array[y, x, i] == seen[at : at + run]).all()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_outer_taps_of_five_by_five(kernels, width: int, body: str) -> None:
    rng = np.random.default_rng(width)
    image = widened(rounded(rng.normal(size=(6, 7, width)).astype(np.float32)))
    kernel = rng.normal(size=(width, 1, 5, 5)).astype(np.float32)
    padded = np.pad(image.astype(np.float64), ((2, 2), (2, 2), (0, 0)))
    exact = sum(padded[i : i + 6, j : j + 7] * kernel[:, 0, i, j] for i in range(5) for j in range(5))
    output, zeros, weights = Output(6, 7, width), np.zeros(width, np.float32), read_only(pack_depthwise(kernel, width))
    shape, to = (6, 7, width, 5, 1, 2, 2), (output.array, 7 * width, width, 7, 0, 6)
    inputs = halves(rounded(bordered(image, width, 0)))
    kernels[width, body]("depthwise_any_", inputs, *shape, weights, read_only(zeros), -1.0, *to)
    assert_near(output.numbers(), np.asarray(exact), ROUNDING)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("limit", ACTIVATIONS)
def test_elementwise(kernels, width: int, limit: float, body: str) -> None:
    """A sum is activated, a product by a gate is not; both are computed in floats and rounded once."""
    rng = np.random.default_rng(0)
    shape = (5, 4, 2 * width)
    x, y, gate = (rounded(4 * rng.normal(size=size).astype(np.float32)) for size in (shape, shape, shape[2:]))
    a, b, factor = (widened(array).astype(np.float64) for array in (x, y, gate))
    other = halves(np.pad(y, ((1, 1), (1, 1), (0, 0)), constant_values=0x7FFF))
    for kernel, inputs, sizes, exact in (
        ("add_", other, (4, shape[2], limit), ACTIVATIONS[limit](a + b)),
        ("scale_", halves(gate), (4, shape[2]), a * factor),
    ):
        output = Output(7, 6, shape[2])
        output.array[1:-1, 1:-1] = x
        for rows in ((0, 2), (2, 5)):
            kernels[width, body](kernel, inputs, *sizes, output.array, *rows)
        assert_near(output.inner(), exact, ROUNDING)


@settings(max_examples=300)
@given(layers, bodies, st.booleans(), st.integers(1, 3), st.booleans())
def test_pointwise(kernels, oracle, layer: Layer, body: str, tiles: bool, parts: int, floats: bool) -> None:
    """Numbers that are the sum of one, two or three bf16; in tiles, and not."""
    (h, w), c, n, nr = layer.image, layer.depth, layer.channels, min(layer.nr, 2) if tiles else layer.nr
    depth = c + c % 2
    deep = max(deep for deep in range(2, 33, 2) if depth % deep == 0)
    panel = nr * layer.width
    stored = -(-n // panel) * panel
    image, kernel, bias = layer.draw((h * w, c), (n, c, 1, 1), (n,))
    if parts == 1:
        image, kernel = widened(rounded(image)), widened(rounded(kernel))
    exact = np.empty((h, w, n), np.float32)
    oracle("naive_pointwise", image, h * w, c, kernel, bias, layer.limit, exact, n)
    output = Output(h + 2, w + 2, stored, floats=floats)
    packed = halves(pack_pairs(kernel, depth, stored, panel, parts))
    pixel = depth + 2 * layer.spare
    for first, last in layer.parts(h):
        count = (last - first) * w
        rows = np.full((parts, count + 16, pixel), 0x7FFF, np.uint16)  # tiles read 16 pixels at a time
        rows[:, :count, :depth] = split(np.pad(image[first * w : last * w], ((0, 0), (0, depth - c))), parts)
        rows = halves(rows)
        name, tile = ("pointwise_tiles_", (nr,)) if tiles else ("pointwise_", (layer.mr, nr))
        shape = (pixel, (count + 16) * pixel, depth, *([deep] if tiles else []))
        weights = (packed, depth * stored, parts, read_only(pack_bias(bias, stored)), layer.limit)
        place = (output.array[1:, 1:], 4 if floats else 2, w, (w + 2) * stored, stored, first * w, last * w)
        kernels[layer.width, body](name, *tile, rows, *shape, *weights, *place)
    found = output.inner()
    error = {1: 0, 2: 3e-5 * c**0.5, 3: 1e-6 * c**0.5}[parts] * max(1, np.abs(exact).max())
    assert (np.abs(found[:, :, :n] - exact) <= error + 3e-6 + (1e-6 if floats else ROUNDING) * np.abs(exact)).all()
    assert not found[:, :, n:].any()


@settings(max_examples=100)
@given(layers, bodies)
def test_fully_connected(kernels, oracle, layer: Layer, body: str) -> None:
    c, n = layer.depth, layer.channels
    depth = c + c % 2
    vector, kernel = exactly(layer, (c,), (n, c))
    (bias,) = layer.draw((n,))
    exact = np.empty(n, np.float32)
    oracle("naive_pointwise", vector, 1, c, kernel, bias, -1.0, exact, n)
    output = Output(layer.stored, floats=True)
    packed = halves(pack_pairs(kernel, depth, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    inputs = halves(rounded(np.pad(vector, (0, depth - c))))
    for first, last in layer.parts(layer.stored // layer.panel):
        panels = (first * layer.panel, last * layer.panel)
        kernels[layer.width, body]("fully_connected_", layer.nr, inputs, depth, *packed, output.array, *panels)
    assert_close(output.numbers()[:n], exact, c)
    assert not output.array[n:].any()


@settings(max_examples=50)
@given(layers, bodies)
def test_dense(kernels, oracle, layer: Layer, body: str) -> None:
    c, n = layer.depth, layer.channels
    depth = c + c % 2
    vector, kernel = exactly(layer, (c,), (n, c))
    (bias,) = layer.draw((n,))
    exact = np.empty(n, np.float32)
    oracle("naive_pointwise", vector, 1, c, kernel, bias, layer.limit, exact, n)
    output = Output(layer.stored)
    packed = halves(pack_pairs(kernel, depth, layer.stored, layer.panel)), read_only(pack_bias(bias, layer.stored))
    inputs = halves(rounded(np.pad(vector, (0, depth - c))))
    for first, last in layer.parts(layer.stored // layer.panel):
        panels = (first * layer.panel, last * layer.panel)
        kernels[layer.width, body]("dense_", layer.nr, inputs, depth, *packed, layer.limit, output.array, *panels)
    assert_near(output.numbers()[:n], exact, ROUNDING)
    assert not output.numbers()[n:].any()


@settings(max_examples=50)
@given(layers, bodies)
def test_pool(kernels, oracle, layer: Layer, body: str) -> None:
    (h, w), c = layer.image, -(-layer.channels // layer.width) * layer.width
    (image,) = exactly(layer, (h, w, c))
    exact, output = np.empty(c, np.float32), Output(c)
    oracle("naive_pool", image, h * w, c, exact)
    inputs = halves(np.pad(rounded(image), ((1, 1), (1, 1), (0, 0)), constant_values=0x7FFF))
    kernels[layer.width, body]("pool_", inputs, h, w, c, output.array)
    assert_near(output.numbers(), exact, ROUNDING)


@settings(max_examples=50)
@given(layers, bodies, st.integers(1, 3))
def test_split(kernels, layer: Layer, body: str, parts: int) -> None:
    """The same parts as packing makes of weights, and their sum is the number."""
    c, pixels = -(-layer.channels // layer.width) * layer.width, layer.image[0]
    (numbers,) = layer.draw((pixels, c))
    pixel = c + 16 * layer.spare
    output = Output(parts, pixels, pixel)
    kernels[layer.width, body]("split_", read_only(numbers), c, pixels, parts, output.array, pixel, pixels * pixel)
    found = output.numbers()[:, :, :c]
    assert (rounded(found) == split(numbers, parts)).all()
    assert np.abs(found.astype(np.float64).sum(0) - numbers).max() <= 2.0 ** (-8 * parts) * np.abs(numbers).max()
    assert (output.array[:, :, c:] == WRITTEN).all()


@given(layers, st.sampled_from([1, 3]))
def test_image(kernels, layer: Layer, channels: int) -> None:
    h, w = layer.image
    pixels = np.random.default_rng(layer.seed).integers(0, 256, (h, w, channels), np.uint8)
    output = Output((h + 2) * (w + 2) * channels + 1)
    for rows in layer.parts(h):
        kernels[layer.width, BODIES[0]]("image_", pixels, h, w, channels, output.array, *rows)
    found = output.numbers()
    image = found[:-1].reshape(h + 2, w + 2, channels)
    assert (image[1:-1, 1:-1] == pixels).all() and found[-1] == 0  # bytes are bf16 exactly
    assert (rounded(image[[0, -1]]) == WRITTEN).all() and (rounded(image[:, [0, -1]]) == WRITTEN).all()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("width", WIDTHS)
def test_rounding_is_to_nearest_even_and_keeps_what_is_no_number(kernels, width: int, body: str) -> None:
    numbers = np.float32([1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -0.0, np.inf, -3.4e38, np.nan] * 2)
    output = Output(1, 1, 16)
    kernels[width, body]("split_", read_only(numbers), 16, 1, 1, output.array, 16, 16)
    expected = np.float32([1, 1, 1 + 2**-6, 1 + 2**-7, -0.0, np.inf, -np.inf, np.nan] * 2)
    assert np.array_equal(output.numbers().ravel(), expected, equal_nan=True)
    assert np.array_equal(widened(rounded(numbers[:7])), expected[:7])


def test_a_tile_product_is_the_instructions(tmp_path: Path) -> None:
    """Bit for bit what the manual of TDPBF16PS says, in numpy's floats: even and odd products apart, no subnormals."""
    use = """
void product(const uint16_t *a, const uint16_t *b, float *c) {
    tiles t = {0};
    t.shapes.bytes[0] = 28, t.shapes.rows[0] = 7;
    t.shapes.bytes[1] = 40, t.shapes.rows[1] = 7;
    t.shapes.bytes[2] = 28, t.shapes.rows[2] = 10;
    TILES_BEGIN(t);
    TILE_LOAD(t, 0, c, 28);
    TILE_LOAD(t, 1, a, 40);
    TILE_LOAD(t, 2, b, 28);
    TILE_DOT_BF16(t, 0, 1, 2);
    TILE_STORE(t, 0, c, 28);
}"""
    link({"it.c": HEAD + (KERNELS / "tiles.c").read_text("utf-8") + use}, BF16_TARGETS["portable"], tmp_path / "it.so")
    rng = np.random.default_rng(0)
    a = rounded((rng.standard_normal((7, 20)) * 2.0 ** rng.integers(-70, 3, (7, 20))).astype(np.float32))
    b = rounded((rng.standard_normal((10, 7, 2)) * 2.0 ** rng.integers(-70, 3, (10, 7, 2))).astype(np.float32))
    c = (rng.standard_normal((7, 7)) * 2.0 ** rng.integers(-128, 3, (7, 7))).astype(np.float32)

    def flushed(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < np.float32(2.0**-126), np.float32(0), x)

    sums = np.zeros((2, 7, 7), np.float32)
    for k in range(10):
        for odd in (0, 1):
            product = widened(a[:, 2 * k + odd])[:, None] * widened(b[k, :, odd])
            sums[odd] = flushed(sums[odd] + product)
    expected = flushed(flushed(c) + flushed(sums[0] + sums[1]))
    Kernels(tmp_path / "it.so", BF16_TARGETS["portable"])("product", a, b, c)
    assert (c == expected).all() and np.abs(c).max() > 0

"""The product of int8 in tiles of AMX: the instruction as its manual has it, and what is built on it; see tiles.c.

Whole networks in tiles are among the targets of test_int8_networks.py.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_networks import images_for, random_integers
from native import needs, runnable
from running import needs_compiler
from test_int8_kernels import HEAD, KERNELS, Layer, Written, eights, layers, stored
from test_kernels import Kernels

import mobilenets.compiler.processor
import mobilenets.compiler.targets
from mobilenets.arch.network import Block, Network
from mobilenets.compiler import compile_model
from mobilenets.compiler.build import link
from mobilenets.compiler.formats.int8_packing import byte, pack_bias, pack_factor, pack_product
from mobilenets.compiler.lower import lower
from mobilenets.compiler.processor import MASK, missing
from mobilenets.compiler.targets import INT8_TARGETS, best_target
from mobilenets.errors import CompileError
from mobilenets.quant import reference
from mobilenets.runtime.library import OpenLibrary

pytestmark = needs_compiler

PARTS = ("intrinsics", "int8_vectors", "int8_dot_vnni", "int8_tile", "int8_product", "tiles", "int8_pointwise_tiles")
PRODUCT = """
void product(int rows, int deep, int columns, const uint8_t *a, const int8_t *b, int32_t *c) {
    tiles t = {0};
    t.shapes.rows[0] = t.shapes.rows[1] = (uint8_t)rows;
    t.shapes.rows[2] = (uint8_t)(deep / 4);
    t.shapes.bytes[0] = t.shapes.bytes[2] = (uint16_t)(4 * columns);
    t.shapes.bytes[1] = (uint16_t)deep;
    TILES_BEGIN(t);
    TILE_LOAD(t, 0, c, 4 * columns);
    TILE_LOAD(t, 1, a, deep);
    TILE_LOAD(t, 2, b, 4 * columns);
    TILE_DOT_INT8(t, 0, 1, 2);
    TILE_STORE(t, 0, c, 4 * columns);
}"""
SMALL = Network(1.0, 33, 40, stem=20, blocks=(Block(1, 72), Block(2, 130)), classes=6)


@pytest.fixture(scope="module")
def instruction(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    path = tmp_path_factory.mktemp("tile") / "it.so"
    target = INT8_TARGETS["portable"]
    link({"it.c": HEAD + (KERNELS / "tiles.c").read_text("utf-8") + PRODUCT}, target, path)
    return Kernels(path, target)


@settings(max_examples=200)
@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 16), st.integers(0, 999), st.booleans())
def test_a_tile_product_is_the_instructions(
    instruction: Kernels, rows: int, fours: int, columns: int, seed: int, extreme: bool
) -> None:
    """TDPBUSD: bytes of a without a sign times bytes of b with one, onto sums of 32 bits that go round."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (rows, fours, 4)).astype(np.uint8)
    b = rng.integers(-128, 128, (fours, columns, 4)).astype(np.int8)
    c = rng.integers(-(2**31), 2**31, (rows, columns)).astype(np.int32)
    if extreme:
        a[:], b[:] = 255, rng.choice([-128, 127])
        c[:] = rng.choice([-(2**31), 2**31 - 1], c.shape)
    exact = c + np.einsum("mki,kni->mn", a.astype(np.int64), b.astype(np.int64))
    instruction("product", rows, 4 * fours, columns, a, b, c)
    assert (c == exact.astype(np.uint32).view(np.int32)).all()


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    text = HEAD + "".join((KERNELS / f"{part}.c").read_text("utf-8") for part in PARTS)
    text = text.replace("INLINE void int8_pointwise_tiles@(", "void tiles_(").replace("@", "16")
    path = tmp_path_factory.mktemp("kernels") / "tiles.so"
    target = runnable(INT8_TARGETS["avx512vnni"])  # without the flags of AMX: its instructions are put into C
    link({"kernels.c": text}, target, path)
    return Kernels(path, target)


@pytest.mark.of_target("amx")
@settings(max_examples=300)
@given(layers)
def test_pointwise(kernels: Kernels, layer: Layer) -> None:
    """Any number of pixels, channels and zero points; every depth that tiles divide."""
    (h, w), c, n = layer.image, layer.depth, layer.channels
    panel, depth = layer.nr * 16, eights(c)
    image, weights = layer.draw(n, c, 1, 1)
    factor = pack_factor(weights, layer.source, layer.target, -(-n // panel) * panel)
    real = image.astype(np.int64) - layer.zeros[0]
    kernel = weights.weight[:, :, 0, 0].astype(np.int64) - weights.zero_point
    exact = layer.exact(real @ kernel.T + weights.bias, factor[:n])
    packed = np.ascontiguousarray(pack_product(weights, depth, len(factor), panel, 4))
    bias, codes = pack_bias(weights, byte(layer.source.zero_point), len(factor)), stored(image, depth, 99)
    deep = [deep for deep in range(4, 65, 4) if depth % deep == 0][layer.seed % 2 - 1]
    output = Written(np.uint8, h, w, eights(n))
    for first, last in layer.parts(h):
        kernels("tiles_", layer.mr, layer.nr, codes[first:last], depth, deep, packed, layer.zeros[2], bias, factor,
                *layer.bounds, output.array[first:last], eights(n), (last - first) * w)  # fmt: skip
    assert (output.array[:, :, :n] == exact).all() and output.unharmed()


def test_which_steps_are_tiles() -> None:
    """Pointwise products of at least 16 bytes of depth and more than 8 channels; all else is VNNI's, as without AMX."""
    model = random_integers(Network(0.5, 64, 64, head=1024))
    steps = lower(model, INT8_TARGETS["amx"], "n", "int8").program.steps
    kinds = ["int8_conv", *["int8_separable_tiles"] * 13, "int8_pointwise_tiles", "int8_pool", "int8_fully_connected"]
    assert [str(step.kind) for step in steps[:-1]] == kinds and [step.own.deep for step in steps[1:5]] == [
        16,
        32,
        64,
        64,
    ]
    assert not any(step.own.deep for step in lower(model, INT8_TARGETS["avx512vnni"], "n", "int8").program.steps)
    thin = lower(random_integers(Network(0.25, 64, 64)), INT8_TARGETS["amx"], "n", "int8").program.steps
    assert [step.own.deep for step in thin[:4]] == [0, 0, 16, 32]


def test_auto_takes_amx_where_there_is_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    features = frozenset(INT8_TARGETS["amx"].features)
    monkeypatch.setattr(mobilenets.compiler.targets, "tiles_granted", lambda: True)
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: features)
    assert best_target("auto", INT8_TARGETS).name == "amx"
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: features - {"amx_int8"})
    assert best_target("auto", INT8_TARGETS).name == "avx512vnni"


def test_auto_takes_the_instructions_of_laptops(monkeypatch: pytest.MonkeyPatch) -> None:
    features = frozenset(INT8_TARGETS["avxvnni"].features)
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: features)
    assert best_target("auto", INT8_TARGETS).name == "avxvnni"
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: features - {"avx_vnni"})
    assert best_target("auto", INT8_TARGETS).name == "avx2"


@pytest.mark.parametrize("granted", [True, False])
def test_auto_asks_the_system_for_tiles(monkeypatch: pytest.MonkeyPatch, granted: bool) -> None:
    flags = "flags : " + " ".join(INT8_TARGETS["amx"].features)
    monkeypatch.setattr(Path, "read_text", lambda self: flags)
    monkeypatch.setattr(mobilenets.compiler.targets, "tiles_granted", lambda: granted)
    monkeypatch.setattr(mobilenets.compiler.processor, "reported", mobilenets.compiler.processor.reported.__wrapped__)
    monkeypatch.delenv(MASK, raising=False)
    assert best_target("auto", INT8_TARGETS).name == ("amx" if granted else "avx512vnni")


@pytest.mark.skipif(not missing(("amx_tile",)), reason="this processor has AMX")
def test_a_processor_without_amx_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = compile_model(random_integers(SMALL), "amx", tmp_path)
    with pytest.raises(CompileError, match=r"was built for amx: this processor lacks .*amx_tile, amx_int8$"):
        OpenLibrary(library, 1)
    monkeypatch.setattr(mobilenets.compiler.processor, "features", lambda: frozenset(library.features))
    monkeypatch.setattr(mobilenets.compiler.processor, "tiles_granted", lambda: False)
    with pytest.raises(CompileError, match=r"grants no AMX tiles; use --target avx512vnni$"):
        OpenLibrary(library, 1)


@needs(INT8_TARGETS["amx"])
@pytest.mark.parametrize("weight_zero", [0, -3])
def test_the_real_instructions(weight_zero: int, tmp_path: Path) -> None:
    """On a processor that has them."""
    model = random_integers(SMALL, 5, 1.0, weight_zero)
    images = images_for(model, 5)
    exact = model.activations["fc"].real(reference.run(model, images))
    assert (OpenLibrary(compile_model(model, "amx", tmp_path), 2).outputs(images)[:, 0] == exact).all()

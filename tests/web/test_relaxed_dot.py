"""int8 in Chromium, plain and by relaxed dot products: no byte differs from quant/reference.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from test_page import chromium
from test_web_export import MIXED, in_integers

from mobilenets.arch.network import Block, Network
from mobilenets.image import Pixels
from mobilenets.quant import reference
from mobilenets.quant.scheme import LOW, IntegerLayer, QuantModel
from mobilenets.web import has_wasm_compiler, web_files
from mobilenets.web.build import RELAXED, RELAXED_DOT, UNSIGNED_DOT, WASM
from mobilenets.web.contents import _targets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.any_processor,
    pytest.mark.skipif(not chromium.COMMAND, reason="no Chromium"),
    pytest.mark.skipif(not has_wasm_compiler(), reason="no compiler for WebAssembly"),
    pytest.mark.timeout(300),
]
BLOCKS = (Block(1, 64), Block(2, 96), Block(1, 96), Block(2, 130))
NETWORKS = (
    *(Network(alpha, 49, 34, classes=5, blocks=BLOCKS) for alpha in (0.13, 0.25, 0.5, 1.0)),
    *(Network(0.3, size, size, classes=7, blocks=BLOCKS, activation="relu6") for size in (32, 45, 64)),
    Network(0.25, 33, 40, 1, 2, padding="same", blocks=BLOCKS),
    Network(0.25, 40, 33, classes=3, padding="keras", blocks=BLOCKS),
    Network(0.75, 33, 65, stem=16, blocks=MIXED, activation="hard_swish", classes=7),
)
# each module: without relaxed SIMD, as if its dot product were SDOT, and that of VNNI where this processor has it
LOGITS = """(async (folder, count, size, width, height) => {
    const { load } = await import(`./${folder}/index.js`), { validate } = WebAssembly, found = [];
    const pixels = new Uint8Array(await (await fetch(`${folder}/pixels`)).arrayBuffer());
    const { Instance } = WebAssembly, fetched = globalThis.fetch, read = [];
    let dot = 0, said = -508;
    WebAssembly.Instance = class {
        constructor(module) { dot = new Instance(module).exports.dot(); }
        exports = { dot: () => said ?? dot };
    };
    globalThis.fetch = (url) => { read.push(String(url).split("/").pop()); return fetched(url); };
    for (const module of ["simd", "relaxed", "vnni"]) {
        WebAssembly.validate = (bytes) => module !== "simd" && validate(bytes);
        if (module === "vnni") {
            if (dot !== 129540) continue;
            said = undefined;
        }
        const model = await load();
        if (model.relaxed !== (module !== "simd") || !read.includes(`${module}.wasm`)) throw new Error(`not ${module}`);
        for (let i = 0; i < count; i++) {
            const data = pixels.subarray(i * size, (i + 1) * size);
            found.push(Array.from(await model.logits({ data, width, height })));
        }
    }
    return found;
})"""


def extreme(model: QuantModel, seed: int) -> QuantModel:
    """The same network with a third of its weights at both ends of their range."""

    def moved(layer: IntegerLayer) -> IntegerLayer:
        ends = np.random.default_rng(seed).choice([LOW + 1, -LOW - 1, 0, 1, 2, 3], layer.weight.shape)
        return replace(layer, weight=np.where(np.abs(ends) > 3, ends, layer.weight).astype(np.int8))

    return replace(model, layers={name: moved(layer) for name, layer in model.layers.items()})


def drawn(model: QuantModel, count: int) -> Pixels:
    p = model.preprocess
    images = np.random.default_rng(3).integers(0, 256, (count, p.height, p.width, p.channels), np.uint8)
    images[-1] = np.where(images[-1] > 127, 255, 0)
    return images


def test_no_byte_differs(tmp_path: Path) -> None:
    models = [in_integers(make_random_model(network, seed)) for seed, network in enumerate(NETWORKS)]
    models += [extreme(model, seed) for seed, model in enumerate(models[:3])]
    models = [replace(m, preprocess=replace(m.preprocess, crop=1.0)) for m in models]
    compared = differing = 0
    for number, model in enumerate(models):
        (tmp_path / str(number)).mkdir()
        for name, content in web_files(model).items():
            (tmp_path / str(number) / name).write_bytes(content)
        (tmp_path / str(number) / "pixels").write_bytes(drawn(model, 8).tobytes())
    (tmp_path / "index.html").write_text("<!doctype html>")
    with chromium.serving(tmp_path) as url, chromium.browser() as page:
        page.open(url)
        for number, model in enumerate(models):
            p, images = model.preprocess, drawn(model, 8)
            size = images[0].size
            found = page.run(f"{LOGITS}('{number}', {len(images)}, {size}, {p.width}, {p.height})")
            expected = np.tile(
                model.activations["fc"].real(reference.run(model, images)), (len(found) // len(images), 1)
            )
            compared += expected.size
            differing += int((np.asarray(found, np.float32) != expected).sum())
    assert compared and not differing


def test_weights_that_do_not_split_have_no_signed_products() -> None:
    model = in_integers(make_random_model(NETWORKS[1]))
    assert _targets(model) == {"simd": WASM, "vnni": UNSIGNED_DOT, "relaxed": RELAXED_DOT}
    assert _targets(make_random_model(NETWORKS[1])) == {"simd": WASM, "relaxed": RELAXED}
    fc = model.layers["fc"]
    least = fc.weight.copy()
    least[0, 0] = LOW
    for changed in (replace(fc, weight=least), replace(fc, zero_point=1)):
        assert "relaxed" not in _targets(replace(model, layers={**model.layers, "fc": changed}))

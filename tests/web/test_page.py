"""The page in a headless Chromium: a dropped photo, the camera, no error, no request to elsewhere."""

import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from PIL import Image

from mobilenets.arch.network import Block, Network
from mobilenets.image import Preprocess, prepare
from mobilenets.model import Model
from mobilenets.runtime import open_session
from mobilenets.web import has_wasm_compiler, web_files


def loaded() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "chromium.py"
    spec = importlib.util.spec_from_file_location("chromium", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["chromium"] = module
    spec.loader.exec_module(module)
    return module


chromium = loaded()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.any_processor,
    pytest.mark.skipif(not chromium.COMMAND, reason="no Chromium"),
    pytest.mark.skipif(not has_wasm_compiler(), reason="no compiler for WebAssembly"),
    pytest.mark.timeout(120),
]
WORKER = """import { load } from "./index.js";
onmessage = async ({ data }) => postMessage(Array.from(await (await load()).logits(data)));
"""
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


@pytest.fixture(scope="module")
def model() -> Model:
    network = Network(0.25, 64, 64, classes=4, blocks=(Block(1, 64), Block(2, 96)))
    made = make_random_model(network)
    return replace(made, labels=("tulip", "rose", "daisy", "a <b>bold</b> name"), preprocess=Preprocess(64, 64))


@pytest.fixture(scope="module")
def folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, content in web_files(model).items():
        (folder / name).write_bytes(content)
    x, y = np.meshgrid(np.arange(301), np.arange(200))
    photo = np.stack([x * 255 // 300, y * 255 // 199, (x + y) % 256], -1).astype(np.uint8)
    Image.fromarray(photo).save(folder / "photo.png")
    (folder / "text.png").write_text("no image")
    (folder / "empty.html").write_text("<!doctype html>")
    (folder / "worker.js").write_text(WORKER)
    return folder


def wait(page: Any, condition: str) -> None:
    """Wait until the JavaScript `condition` is true."""
    for _ in range(300):
        if page.run(condition):
            return
        time.sleep(0.1)
    pytest.fail(f"{condition}: never, on the page {page.run('document.body.innerText')!r}")


def test_the_page(model: Model, folder: Path, tmp_path: Path) -> None:
    with chromium.serving(folder) as url, chromium.browser() as page:
        page.open(f"{url}index.html")
        wait(page, "document.getElementById('status').textContent === 'Ready'")
        drop = """(async (name) => {
            const blob = await (await fetch(name)).blob(), files = new DataTransfer();
            files.items.add(new File([blob], name, { type: 'image/png' }));
            const event = new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true });
            document.getElementById('drop').dispatchEvent(event);
        })"""
        page.run(f"{drop}('photo.png')")
        wait(page, "document.querySelectorAll('#answers li').length === 4")
        lines = page.run("[...document.querySelectorAll('#answers li')].map((line) => line.innerText.split('\\n'))")
        pixels = prepare(folder / "photo.png", model.preprocess)
        expected = open_session(model, 1).run(pixels[None])[0]
        order = np.argsort(-expected)
        assert [line[0] for line in lines] == [model.labels[i] for i in order]
        assert [line[1] for line in lines] == [f"{100 * expected[i]:.1f}%" for i in order]
        assert lines[0][0] in page.run("document.getElementById('status').textContent")
        page.run(f"{drop}('text.png')")
        wait(page, "document.getElementById('error').textContent.startsWith('text.png: not an image')")
        page.run("document.getElementById('camera').click()")
        wait(page, "document.querySelectorAll('video + figcaption li').length === 4")
        assert page.run("document.querySelector('video').videoWidth > 0")
        page.run("document.getElementById('camera').click()")
        wait(page, "!document.querySelector('video')")
        requested = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
        assert requested and all(address.startswith((url, "blob:", "data:")) for address in requested)
        assert not [event for event in page.events if event["method"] in TROUBLE]


SOURCES = {
    "ImageData": "new ImageData(new Uint8ClampedArray(rgba), width, height)",
    "raw RGBA": "{ data: rgba, width, height }",
    "raw RGB": "{ data: rgba.filter((_, i) => i % 4 < 3), width, height }",
    "Blob": "blob",
    "address": "'photo.png'",
    "URL": "new URL('photo.png', location.href)",
    "ImageBitmap": "await createImageBitmap(blob)",
    "<img>": "await new Promise((done) => { const i = new Image(); i.onload = () => done(i); i.src = 'photo.png'; })",
    "<canvas>": "canvas",
    "OffscreenCanvas": "offscreen",
}


@pytest.mark.parametrize("file", ["relaxed.wasm", "simd.wasm"])
def test_every_kind_of_image_has_the_same_logits(model: Model, folder: Path, file: str) -> None:
    """Those of Node and of the network here; in the module with plain SIMD too, which takes the other's place."""
    expected = open_session(model, 1).logits(prepare(folder / "photo.png", model.preprocess)[None])[0]
    script = f"""(async () => {{
        if ("{file}" === "simd.wasm") WebAssembly.validate = () => false;
        const {{ load }} = await import("./index.js"), model = await load();
        const blob = await (await fetch("photo.png")).blob(), bitmap = await createImageBitmap(blob);
        const {{ width, height }} = bitmap;
        const canvas = Object.assign(document.createElement("canvas"), {{ width, height }});
        canvas.getContext("2d").drawImage(bitmap, 0, 0);
        const offscreen = new OffscreenCanvas(width, height);
        offscreen.getContext("2d").drawImage(bitmap, 0, 0);
        const rgba = new Uint8Array(canvas.getContext("2d").getImageData(0, 0, width, height).data);
        const found = [];
        for (const image of [{", ".join(SOURCES.values())}]) found.push(Array.from(await model.logits(image)));
        const given = await load('./');
        found.push(Array.from(await given.logits(canvas)));
        const relaxed = model.relaxed;
        model.dispose();
        const failed = await model.predict(canvas).catch((exc) => exc.message);
        const worker = new Worker("worker.js", {{ type: "module" }});
        found.push(await new Promise((done, fail) => {{
            worker.onerror = (event) => fail(new Error(`worker: ${{event.message}}`));
            worker.onmessage = ({{ data }}) => done(data);
            worker.postMessage(bitmap, [bitmap]);
        }}));
        return [relaxed, failed, found];
    }})()"""
    with chromium.serving(folder) as url, chromium.browser() as page:
        page.open(f"{url}empty.html")
        relaxed, failed, found = page.run(script)
    assert relaxed == (file == "relaxed.wasm") and failed == "the model was disposed of"
    assert len(found) == len(SOURCES) + 2
    for logits in found:
        np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())

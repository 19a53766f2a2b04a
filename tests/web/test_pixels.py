"""pixels.js against Pillow, byte for byte, and what index.js makes of the network's outputs, both in Node."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from conftest import make_random_model
from PIL import Image

from mobilenets.arch.network import Block, Network
from mobilenets.image import Pixels, Preprocess, prepare
from mobilenets.runtime import open_session
from mobilenets.tasks import task_type
from mobilenets.web import TASKS, has_node, has_wasm_compiler, web_files

pytestmark = [
    pytest.mark.any_processor,
    pytest.mark.skipif(not has_node(), reason="no Node 18 or later"),
]
in_pillows_order = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 resizes in another order"
)
PREPARE = """
import { readFileSync, writeSync } from "node:fs";
const [module, jobs] = process.argv.slice(1), { prepare } = await import(module), data = readFileSync(0);
let at = 0;
for (const [[height, width, channels], wanted] of JSON.parse(jobs)) {
  const size = height * width * channels;
  writeSync(1, prepare({ data: data.subarray(at, at + size), width, height }, wanted));
  at += size;
}
"""


def by_node(jobs: Sequence[tuple[Pixels, Preprocess]]) -> list[Pixels]:
    """What pixels.js makes of each image."""
    described = json.dumps([[image.shape, asdict(preprocess)] for image, preprocess in jobs])
    module = str(files("mobilenets.web") / "folder" / "pixels.js")
    command = ["node", "--input-type=module", "--eval", PREPARE, module, described]
    given = b"".join(image.tobytes() for image, _ in jobs)
    found = np.frombuffer(subprocess.run(command, input=given, capture_output=True, check=True).stdout, np.uint8)
    shapes = [(p.height, p.width, p.channels) for _, p in jobs]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(found, ends[:-1]), shapes, strict=True)]


PREPARED = (
    *(Preprocess(49, 34, resize=kernel) for kernel in ("bilinear", "bicubic", "lanczos", "box", "nearest")),
    Preprocess(34, 49, crop=1.0),
    Preprocess(48, 48, crop=0.3),
    Preprocess(49, 34, fit="stretch", resize="bicubic"),
    Preprocess(49, 34, fit="letterbox"),
    Preprocess(50, 35, 1, fit="letterbox"),
    Preprocess(33, 33, 1, resize="lanczos"),
)
SHAPES = ((80, 42, 3), (200, 301, 3), (77, 301, 4), (40, 30, 1), (49, 34, 3), (301, 77, 4), (1, 1, 3), (2, 500, 3))


@in_pillows_order
def test_pixels_are_pillows() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, np.uint8) for shape in SHAPES]
    images[0] = np.where(images[0] > 127, 255, 0).astype(np.uint8)  # clipped by kernels with negative lobes
    jobs = [(image, preprocess) for preprocess in PREPARED for image in images]
    for (image, preprocess), found in zip(jobs, by_node(jobs), strict=True):
        np.testing.assert_array_equal(found, prepare(image, preprocess), f"{image.shape} {preprocess}")


@in_pillows_order
def test_photographs(shared_data: Path) -> None:
    """Decoded by Pillow, as a browser would hand them on."""
    paths = sorted((shared_data / "flowers" / "val").rglob("*.jpg"))[::50]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    jobs = [(image, Preprocess(size, size)) for size in (96, 224) for image in images]
    for (image, preprocess), found in zip(jobs, by_node(jobs), strict=True):
        np.testing.assert_array_equal(found, prepare(image, preprocess))


NETWORK = Network(0.25, 32, 32, classes=4, blocks=(Block(1, 32),))
CELLS = {"cells": [["1", 48.5, 11.25, 9], ["3", 1.0, 2.0, 9], ["5", -3.0, 4.0, 9], ["7", 5.5, -6.0, 9]]}
OUTPUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classify": ("softmax", {}),
    "attributes": ("sigmoid", {}),
    "embed": ("l2_normalise", {}),
    "geolocate": ("softmax", CELLS),
}
PREDICT = """
import { readFileSync } from "node:fs";
const [folder, top] = process.argv.slice(1), { load } = await import(`${folder}/index.js`), model = await load();
const answer = await model.predict({ data: readFileSync(0), width: 32, height: 32 }, { top: Number(top) });
const refused = [];
for (const image of ["photo.jpg", { data: new Uint8Array(5), width: 2, height: 2 }, undefined])
  refused.push(await model.predict(image).catch((exc) => exc.message));
console.log(JSON.stringify([answer, model.labels, refused]));
"""


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.skipif(not has_wasm_compiler(), reason="no compiler for WebAssembly")
def test_answers_are_those_of_predict(task: str, tmp_path: Path) -> None:
    output, config = OUTPUTS[task]
    model = make_random_model(replace(NETWORK, output=output))
    preprocess = Preprocess(32, 32, crop=1.0)
    model = replace(model, task=task, head_config=config, labels=("a", "b", "c", "d"), preprocess=preprocess)
    for name, content in web_files(model).items():
        (tmp_path / name).write_bytes(content)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    command = ["node", "--input-type=module", "--eval", PREDICT, str(tmp_path), "3"]
    done = subprocess.run(command, input=image.tobytes(), capture_output=True, check=True)
    answer, labels, refused = json.loads(done.stdout)
    row = open_session(model, 1).run(image[None])[0]
    expected = task_type(task)().prediction(row, model.labels, model.head_config, 3).to_dict()
    assert rounded(answer) == rounded(expected) and labels == list(model.labels)
    assert refused[1] == "pixels of 2 x 2 must be 1, 3 or 4 bytes each, are 5 bytes"
    assert refused[0] == refused[2] == "without a browser an image must be pixels: {data, width, height}"


def rounded(value: Any) -> Any:
    """Numbers to 5 digits, in the order in which they came."""
    if isinstance(value, dict):
        return [(key, rounded(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value

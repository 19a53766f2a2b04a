"""The folder for browsers and Node: its answers in Node, its package, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model

import mobilenets as mn
from mobilenets.arch.network import Block, Network
from mobilenets.errors import CompileError, UsageError, WorkError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Pixels, prepare
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime import Session
from mobilenets.runtime.activations import open_activations
from mobilenets.web import NAMES, build, has_node, has_wasm_compiler, node_logits, web_files

needs_compiler = pytest.mark.skipif(not has_wasm_compiler(), reason="no compiler for WebAssembly")
needs_node = pytest.mark.skipif(not has_node(), reason="no Node 18 or later")
pytestmark = pytest.mark.any_processor

RELAXED = ("--experimental-wasm-relaxed-simd",)  # a flag of Node 20; later ones have it without
SEPARABLE = Network(0.25, 49, 34, classes=5, blocks=(Block(1, 64), Block(2, 96), Block(1, 96)))
MIXED = (
    Block(1, 16, expansion=16, residual=True, activation="relu"),
    Block(2, 24, kernel=5, expansion=48, gate=24),
    Block(1, 24, expansion=72, residual=True, activation="relu"),
)
NETWORKS = {
    "grey, relu6, same": replace(SEPARABLE, channels=1, activation="relu6", padding="same", classes=2),
    "gates, hard swish": Network(0.75, 33, 65, stem=16, blocks=MIXED, activation="hard_swish", classes=7),
}


def drawn(model: Model | QuantModel, count: int) -> Pixels:
    """Larger than the network's input, so that they are resized; the last is black and white."""
    p = model.preprocess
    images = np.random.default_rng(0).integers(0, 256, (count, p.height + 31, p.width + 8, p.channels), np.uint8)
    images[-1] = np.where(images[-1] > 127, 255, 0)
    return images


def prepared(model: Model | QuantModel, images: Pixels) -> Pixels:
    return np.stack([prepare(image, model.preprocess) for image in images])


def in_integers(model: Model) -> QuantModel:
    return quantize(model, prepared(model, drawn(model, 10)), open_activations, Choices("minmax")).model


@needs_compiler
@needs_node
@pytest.mark.parametrize("flags", [(), RELAXED], ids=["simd", "relaxed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_floats_in_node(name: str, flags: tuple[str, ...], folders: dict[str, dict[str, bytes]]) -> None:
    model = make_random_model(NETWORKS[name])
    images = drawn(model, 3)
    exact = Session.from_onnx(to_onnx(model), 1).logits(prepared(model, images))
    found = node_logits(folders[name], images, flags)
    assert np.abs(found - exact).max() <= 1e-5 * np.abs(exact).max()


@needs_compiler
@needs_node
@pytest.mark.parametrize("flags", [(), RELAXED], ids=["simd", "relaxed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_integers_in_node(name: str, flags: tuple[str, ...], folders: dict[str, dict[str, bytes]]) -> None:
    """No byte differs from `quant/reference.py`."""
    model = in_integers(make_random_model(NETWORKS[name]))
    images = drawn(model, 6)
    expected = reference.run(model, prepared(model, images))
    assert len(np.unique(expected, axis=0)) > 1
    found = node_logits(folders[f"{name}, int8"], images, flags)
    np.testing.assert_array_equal(found, model.activations["fc"].real(expected))


@pytest.fixture(scope="module")
def folders() -> dict[str, dict[str, bytes]]:
    """The files of each network, compiled once."""
    floats = {name: make_random_model(network) for name, network in NETWORKS.items()}
    integers = {f"{name}, int8": in_integers(model) for name, model in floats.items()}
    return {name: web_files(model) for name, model in {**floats, **integers}.items()}


@needs_compiler
def test_the_modules_import_nothing_and_are_small(folders: dict[str, dict[str, bytes]]) -> None:
    for contents in folders.values():
        for file in ("simd.wasm", "relaxed.wasm"):
            assert contents[file][:8] == b"\0asm\1\0\0\0"
            assert 2 not in sections(contents[file])  # the section of imports
        assert b"\xfd\x85\x02" not in contents["simd.wasm"]  # f32x4.relaxed_madd
        code = sum(len(contents[file]) for file in ("simd.wasm", "index.js", "pixels.js", "model.js"))
        assert code < 60_000
    assert b"\xfd\x85\x02" in folders["grey, relu6, same"]["relaxed.wasm"]


def sections(module: bytes) -> list[int]:
    """The numbers of a module's sections."""
    found, at = [], 8
    while at < len(module):
        found.append(module[at])
        size = shift = 0
        at += 1
        while True:
            size |= (module[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if module[at - 1] < 128:
                break
        at += size
    return found


@needs_compiler
def test_the_package_is_whole(tmp_path: Path) -> None:
    model = make_random_model(replace(SEPARABLE, classes=2))
    model = replace(model, labels=("<b>&amp;", 'quo"te\u2028;\n'), data={"imported": {"licence": "Apache-2.0"}})
    path = model.save(tmp_path / "m.safetensors")
    done = mn.export(path, tmp_path / "package", "web")
    assert done.path == tmp_path / "package" and done.format == "web"
    assert done.bytes == sum(file.stat().st_size for file in done.path.iterdir())
    assert (done.difference is None) == (not has_node())
    package = json.loads((done.path / "package.json").read_text())
    assert package["type"] == "module" and package["license"] == "Apache-2.0"
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", package["name"])
    for file in ("index.js", "index.d.ts", "pixels.js", "model.js", "simd.wasm", "relaxed.wasm", "simd.bin"):
        assert (done.path / file).is_file()
    for file in ("index.html", "README.md", "index.d.ts"):
        assert not re.search(r"@[A-Z]+@", (done.path / file).read_text())
    facts = (done.path / "model.js").read_text().removeprefix("export const MODEL = ").partition(";\nexport")[0]
    assert tuple(json.loads(facts)["labels"]) == model.labels
    with pytest.raises(UsageError, match=r"index\.js exists"):
        mn.export(path, tmp_path / "package", "web")
    assert {file.name for file in done.path.iterdir()} == {*NAMES} - {"relaxed.bin", "vnni.wasm", "vnni.bin"}


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert not has_wasm_compiler()
    with pytest.raises(
        CompileError, match=r"^no compiler for WebAssembly: pip install 'mobilenets\[web\]', or install"
    ):
        web_files(make_random_model(SEPARABLE))


def test_a_detector_is_refused_by_name() -> None:
    model = replace(make_random_model(replace(SEPARABLE, classes=2)), task="detect")
    with pytest.raises(UsageError, match=r"^format web holds networks for classify, .* for the task detect: use onnx$"):
        web_files(model)


def test_a_file_in_the_way_is_left(tmp_path: Path) -> None:
    path = make_random_model(SEPARABLE).save(tmp_path / "m.safetensors")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(WorkError, match=r"mine: is a file, and --format web writes a folder$"):
        mn.export(path, tmp_path / "mine", "web")
    assert (tmp_path / "mine").read_text() == "mine"

"""Opening a model or an exported graph, and running it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from mobilenets.arch import Network
from mobilenets.arch.network import Block
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.machine import cores
from mobilenets.model import Model
from mobilenets.runtime import Session, open_session

pytestmark = pytest.mark.any_processor

NETWORK = Network(alpha=0.25, height=40, width=32, classes=3, blocks=(Block(2, 64), Block(1, 96)))
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 32, 3), np.uint8)


@pytest.fixture
def model(random_model) -> Model:
    return replace(random_model(NETWORK), labels=("Ελιά", "a, b", "line\nbreak"))


def test_a_model_an_onnx_file_and_a_run_folder_are_the_same(model: Model, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    saved = model.save(tmp_path / "run" / "best.safetensors")
    exported = tmp_path / "model.onnx"
    exported.write_bytes(to_onnx(model))
    sessions = [open_session(path) for path in (saved, exported, str(exported), tmp_path / "run")]
    for session in sessions:
        assert session.labels == model.labels
        assert session.preprocess == model.preprocess
        assert session.name == "0.25-40x32"
        np.testing.assert_allclose(session.run(IMAGES), sessions[0].run(IMAGES), rtol=1e-4, atol=1e-6)


def test_probabilities_are_the_softmax_of_the_logits(model: Model) -> None:
    session = Session.from_onnx(to_onnx(model))
    logits, probabilities = session.logits(IMAGES), session.run(IMAGES)
    assert logits.shape == probabilities.shape == (5, 3)
    assert logits.dtype == probabilities.dtype == np.float32
    e = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(probabilities, e / e.sum(1, keepdims=True), rtol=1e-5)


def test_an_empty_batch(model: Model) -> None:
    assert Session.from_onnx(to_onnx(model)).run(IMAGES[:0]).shape == (0, 3)


@pytest.mark.parametrize("threads", [0, 1, cores()])
def test_any_number_of_threads(threads: int, model: Model) -> None:
    session = Session.from_onnx(to_onnx(model), threads)
    assert session.threads == threads
    np.testing.assert_allclose(session.run(IMAGES), Session.from_onnx(to_onnx(model), 1).run(IMAGES), rtol=1e-5)


@pytest.mark.parametrize("threads", [-1, cores() + 1])
def test_more_threads_than_cores_are_refused(threads: int, model: Model) -> None:
    with pytest.raises(UsageError, match=f"threads \\(={threads}\\) must be from 1 to this machine's {cores()} cores"):
        Session.from_onnx(to_onnx(model), threads)


def test_calls_from_several_threads(model: Model) -> None:
    session = Session.from_onnx(to_onnx(model), 1)
    expected = session.run(IMAGES)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(session.run, [IMAGES] * 40))
    assert all(np.array_equal(result, expected) for result in results)


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        open_session(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_what_is_no_model_is_refused(model: Model, tmp_path: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "none.onnx")
    assert "not a run folder" in refusal(tmp_path)
    other = tmp_path / "model.pt"
    other.write_bytes(b"PK")
    assert ".safetensors or .onnx" in refusal(other)
    for name in ("model.onnx", "model.safetensors"):
        for content in (b"", b"hello", bytes(1000), to_onnx(model)[:-100]):
            (tmp_path / name).write_bytes(content)
            refusal(tmp_path / name)


def with_metadata(content: bytes, change: Callable[[dict[str, str]], object]) -> bytes:
    proto = onnx.load_model_from_string(content)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    change(metadata)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, metadata)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.clear(), "its labels and preprocessing are unknown"),
        (lambda m: m.update(format="other"), "its labels and preprocessing are unknown"),
        (lambda m: m.pop("labels"), "labels"),
        (lambda m: m.update(labels="[" * 100_000), ""),
        (lambda m: m.update(labels='["a", "b"]'), "2 labels"),
        (lambda m: m.update(labels='["a", "b", "c", "d"]'), "4 labels"),
        (lambda m: m.pop("preprocess"), "preprocess"),
        (lambda m: m.update(preprocess="[]"), ""),
        (lambda m: m.update(preprocess='{"height": 32, "width": 32}'), "32"),
        (lambda m: m.update(preprocess='{"height": 40, "width": 32, "channels": 1}'), "40"),
    ],
)
def test_an_onnx_file_with_other_metadata_is_refused(
    change: Callable[[dict[str, str]], object], reason: str, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(with_metadata(to_onnx(model), change))
    assert reason in refusal(path)


def test_metadata_that_others_added_does_no_harm(model: Model) -> None:
    content = with_metadata(to_onnx(model), lambda metadata: metadata.update(author="me"))
    assert Session.from_onnx(content).labels == tuple(json.loads(json.dumps(model.labels)))

"""The model file: what is saved comes back, a failing write harms nothing, what is no model is refused."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from mobilenets.arch import Network
from mobilenets.arch.network import Block
from mobilenets.errors import ModelFileError, WorkError
from mobilenets.image import Preprocess
from mobilenets.model import Model, load, model_file

NETWORK = Network(alpha=0.25, height=40, width=32, classes=3, blocks=(Block(2, 64), Block(1, 96)))


@pytest.fixture
def model(random_model) -> Model:
    return replace(
        random_model(NETWORK),
        labels=("Ελιά", "a, b", "line\nbreak"),
        preprocess=Preprocess(40, 32, crop=0.9, resize="bicubic", mean=120.0),
        metrics={"top1": 81.25, "per_class": [1, 2, 3]},
        data={"fingerprint": "abc", "train": 12},
    )


@pytest.fixture
def path(model: Model, tmp_path: Path) -> Path:
    return model.save(tmp_path / "model.safetensors")


def test_saved_is_loaded(model: Model, path: Path) -> None:
    again = load(path)
    for name in ("network", "preprocess", "labels", "task", "metrics", "data", "name"):
        assert getattr(again, name) == getattr(model, name)
    assert again.weights.keys() == model.weights.keys()
    assert all(again.weights[name].tobytes() == model.weights[name].tobytes() for name in model.weights)
    assert again.digest() == model.digest()


def test_saving_again_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    assert load(path).save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_weights_in_any_memory_order_are_saved_alike(model: Model, path: Path, tmp_path: Path) -> None:
    turned = replace(model, weights={name: np.asfortranarray(array) for name, array in model.weights.items()})
    assert turned.digest() == model.digest()
    assert turned.save(tmp_path / "turned.safetensors").read_bytes() == path.read_bytes()


def test_the_digest_tells_weights_apart(model: Model) -> None:
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["fc.bias"][0] = np.nextafter(weights["fc.bias"][0], np.float32(9))
    assert replace(model, weights=weights).digest() != model.digest()
    assert replace(model, labels=("a", "b", "c")).digest() == model.digest()


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not a run folder, it holds no best"):
        model_file(tmp_path)
    for name in ("second", "first"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.safetensors").touch()
    with pytest.raises(ModelFileError, match=r"it holds no best.safetensors; run folders in it: first, second$"):
        model_file(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelFileError, match=r"notes.txt: a model is a run folder, a .safetensors or .onnx file"):
        model_file(tmp_path / "notes.txt")
    with pytest.raises(ModelFileError, match="no such model file"):
        model_file(tmp_path / "none.onnx")


def test_saving_makes_no_folder(model: Model, tmp_path: Path) -> None:
    """A mistyped path is an error, not a new tree of folders."""
    with pytest.raises(WorkError, match="cannot be written: No such file or directory"):
        model.save(str(tmp_path / "a" / "b" / "m.safetensors"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
def test_a_failing_write_leaves_the_old_file(
    function: str, model: Model, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(WorkError, match="cannot be written: No space left"):
        replace(model, task="other").save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def contents(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


Change = Callable[[dict[str, np.ndarray]], Any]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("dw1.weight"), "lacks dw1.weight (8, 1, 3, 3)"),
        (lambda w: w.update(extra=np.zeros(3, np.float32)), "has extra, which the network does not"),
        (lambda w: w.update({"fc.bias": np.zeros(4, np.float32)}), "fc.bias is (4,), the network needs (3,)"),
        (
            lambda w: w.update({"fc.bias": np.zeros((3, 1), np.float32)}),
            "fc.bias is (3, 1), the network needs (3,)",
        ),
        (lambda w: w.update({"fc.bias": np.zeros(3, np.float64)}), "fc.bias is float64, must be float32"),
        (lambda w: w.update({"fc.bias": np.zeros(3, np.int32)}), "fc.bias is int32, must be float32"),
        (
            lambda w: w.update({"fc.bias": np.float32([0, np.nan, 0])}),
            "fc.bias holds values that are not finite",
        ),
        (
            lambda w: w.update({"fc.bias": np.float32([0, 0, -np.inf])}),
            "fc.bias holds values that are not finite",
        ),
        (lambda w: w.clear(), "lacks conv0.weight (8, 3, 3, 3)"),
        (lambda w: w.clear(), "more)"),
    ],
)
def test_refused_weights(change: Change, reason: str, path: Path) -> None:
    weights, metadata = contents(path)
    change(weights)
    path.write_bytes(save(weights, metadata))
    assert reason in refusal(path)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "I16", "U16"])
def test_arrays_of_16_bits_are_refused(dtype: str, path: Path) -> None:
    weights, metadata = contents(path)
    content = save(weights | {"fc.bias": np.zeros(3, np.uint16)}, metadata)
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].replace(b"U16", dtype.encode())
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    assert "float" in refusal(path) or "uint16" in refusal(path) or "int16" in refusal(path)


@pytest.mark.parametrize("key", ["network", "preprocess", "labels", "task", "metrics", "data"])
def test_missing_metadata_is_named(key: str, path: Path) -> None:
    weights, metadata = contents(path)
    del metadata[key]
    path.write_bytes(save(weights, metadata))
    assert f"lacks '{key}'" in refusal(path)


DEEP = "[" * 100_000
WRONG = [
    ("format", ["", "pt", "mobilenets.onnx"], "says nothing of a mobilenets model"),
    ("version", ["2", "", "1.0", "one"], "this release reads 1"),
    ("network", ["", "{}", "null", DEEP, Network(alpha=0.25, classes=3).to_json()], "network"),
    ("network", [NETWORK.replace(width=64).to_json()], "the preprocessing gives (40, 32, 3)"),
    ("network", [NETWORK.replace(classes=4).to_json()], "3 labels for a network of 4 classes"),
    ("labels", ['["a", "b"]', "[]", '["a", "b", "c", "d"]'], "labels for a network of 3 classes"),
    ("labels", ['"abc"', "3", "null", '{"a": 1, "b": 2, "c": 3}'], "must be a list"),
    ("labels", ["[1, 2, 3]", '["a", "b", null]'], "must be text without lone surrogates"),
    ("labels", [DEEP, ""], ""),
    ("preprocess", ["", "null", "[]", "{}", '{"height": 40}', DEEP], ""),
    ("preprocess", ['{"height": 40, "width": 32, "gamma": 2}', '{"height": 40, "width": 32, "crop": 0}'], ""),
    ("preprocess", ['{"height": 40, "width": 32, "channels": 1}', '{"height": "40", "width": 32}'], ""),
    (
        "preprocess",
        ['{"height": 40, "width": 32, "std": null}', '{"height": 40, "width": 32, "resize": []}'],
        "",
    ),
    ("metrics", ["[]", "null", "3"], "must be a JSON object"),
    ("metrics", ["", DEEP], ""),
    ("data", ["[]", "null", '"x"'], "must be a JSON object"),
    ("data", ["", DEEP], ""),
]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [(key, value, reason) for key, values, reason in WRONG for value in values],
    ids=lambda text: text[:40],
)
def test_refused_metadata(key: str, value: str, reason: str, path: Path) -> None:
    weights, metadata = contents(path)
    path.write_bytes(save(weights, metadata | {key: value}))
    assert reason in refusal(path)


def test_a_file_of_another_tool_is_refused(path: Path) -> None:
    weights, _ = contents(path)
    path.write_bytes(save(weights))
    assert "says nothing of a mobilenets model" in refusal(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for length in {*range(0, header + 9, 7), header, *range(header, len(whole), 997), len(whole) - 1}:
        path.write_bytes(whole[:length])
        refusal(path)


@pytest.mark.parametrize("length", [0, 1, 7, 1 << 20, 100_000_001, 1 << 40, 1 << 63, (1 << 64) - 1])
def test_a_wrong_header_length_is_refused(length: int, path: Path) -> None:
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    refusal(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_byte_of_the_header_is_refused_or_harmless(
    data: st.DataObject, tmp_path_factory, random_model
) -> None:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    whole = bytearray(random_model(NETWORK).save(path).read_bytes())
    header = 8 + int.from_bytes(whole[:8], "little")
    whole[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        load(path)
    except ModelFileError:
        pass


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\x80\x04}q\x00.", b"PK\x03\x04" + bytes(100), b"\x89HDF\r\n\x1a\n", b"hello " * 50],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    refusal(path)


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "none.safetensors")
    assert "it holds no best.safetensors" in refusal(tmp_path)


def test_labels_and_preprocessing_must_fit_in_memory_too(model: Model) -> None:
    with pytest.raises(ModelFileError, match="2 labels for a network of 3 classes"):
        replace(model, labels=("a", "b"))
    with pytest.raises(ModelFileError, match=r"gives \(40, 40, 3\) but the network takes \(40, 32, 3\)"):
        replace(model, preprocess=Preprocess(40, 40))


def test_metadata_is_plain_json(path: Path) -> None:
    _, metadata = contents(path)
    assert metadata["format"] == "mobilenets.model"
    kinds = {"labels": list, "metrics": dict, "data": dict, "preprocess": dict, "network": dict}
    assert {key: type(json.loads(metadata[key])) for key in kinds} == kinds

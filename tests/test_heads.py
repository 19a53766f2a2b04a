"""What a model file says of its task's head is checked when it is loaded: one line names field, value and rule."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from safetensors import safe_open
from safetensors.numpy import save

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError, TrainingError
from mobilenets.exporters import write
from mobilenets.heads import TASKS as HEADS
from mobilenets.heads import read_head
from mobilenets.model import Model, load
from mobilenets.quant import file as quantised
from mobilenets.runtime import Session, open_session
from mobilenets.tasks import TASKS
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.layout import faster_rcnn_config, ssd_config
from mobilenets.training.module import MobileNet, weights_of
from mobilenets.training.recipe import Recipe
from mobilenets.training.run import Run, Settings

NETWORK = Network(1.0, 64, 64, classes=3, stem=8, blocks=(Block(1, 12), Block(2, 20), Block(2, 16), Block(1, 24)))
CELLS = [["47a1", 48.9, 2.35, 30], ["89c3", 40.7, -74.0, 20], ["60188d", 35.7, 139.7, 12]]


def places() -> Model:
    return replace(make_random_model(NETWORK), task="geolocate", head_config={"cells": CELLS})


def detector(kind: str = "ssd", network: Network = NETWORK) -> Model:
    network = network.replace(output="features")
    head_config = (
        faster_rcnn_config(network, 0.2) if kind == "faster-rcnn" else ssd_config(network, 0.2, kind == "lite")
    )
    head = weights_of(Detect().module(MobileNet(expand(network)), network, head_config).state_dict())
    plain = make_random_model(network)
    own = {name: array for name, array in head.items() if name.startswith("task.")}
    return replace(
        plain, task="detect", head_config=json.loads(json.dumps(head_config)), weights={**plain.weights, **own}
    )


def changed(model: Model, folder: Path, metadata: dict[str, str | None], **arrays: Any) -> Path:
    """The file of `model` with other metadata (None: without) and other arrays."""
    path = model.save(folder / "m.safetensors")
    with safe_open(path, "numpy") as file:
        held, said = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    said = {name: text for name, text in {**said, **metadata}.items() if text is not None}
    held = {name: array for name, array in {**held, **arrays}.items() if array is not None}
    path.write_bytes(save(held, said))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        quantised.load(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 500 and str(path) in message
    return message.removeprefix(f"{path}: ")


def test_each_task_has_its_head() -> None:
    assert set(HEADS) == set(TASKS)


SIDES = [(64, 64), (32, 64), (160, 96)]


@pytest.mark.parametrize("side", SIDES, ids=str)
@pytest.mark.parametrize("kind", ["ssd", "lite", "faster-rcnn"])
def test_the_arrays_of_detectors_are_those_of_torch(kind: str, side: tuple[int, int], tmp_path: Path) -> None:
    model = detector(kind, NETWORK.replace(height=side[0], width=side[1]))
    head = {name: array.shape for name, array in model.weights.items() if name.startswith("task.")}
    assert read_head("detect", model.network, model.head_config).arrays(model.network) == head
    again = load(model.save(tmp_path / "m.safetensors"))
    assert again.digest() == model.digest() and again.head_config == model.head_config


def test_places_are_loaded(tmp_path: Path) -> None:
    assert load(places().save(tmp_path / "m.safetensors")).head_config == {"cells": CELLS}


def cells(at: int, value: Any) -> str:
    first = [value if i == at else part for i, part in enumerate(CELLS[0])]
    return json.dumps({"cells": [first, *CELLS[1:]]})


PLACES = {
    "none": ("{}", "decoding lacks 'cells'"),
    "null": ('{"cells": null}', "decoding.cells (=null) must be a list"),
    "text": ('{"cells": "abc"}', 'decoding.cells (="abc") must be a list'),
    "a text among them": (json.dumps({"cells": ["a", *CELLS[1:]]}), 'decoding.cells[0] (="a") must be a list'),
    "short": (json.dumps({"cells": [CELLS[0][:3], *CELLS[1:]]}), "must be a list of 4"),
    "fewer": (json.dumps({"cells": CELLS[:2]}), "decoding.cells has 2 for a network of 3 classes"),
    "no number": (cells(1, float("nan")), "decoding.cells[0][1] (=NaN) must be a finite number"),
    "endless": (cells(2, float("inf")), "decoding.cells[0][2] (=Infinity) must be a finite number"),
    "enormous": (cells(1, 10**400), "must be a finite number"),
    "beyond the pole": (cells(1, 90.5), "decoding.cells[0][1] (=90.5) must be from -90 to 90"),
    "text for a number": (cells(1, "48.9"), 'decoding.cells[0][1] (="48.9") must be a finite number'),
    "a half photo": (cells(3, 1.5), "decoding.cells[0][3] (=1.5) must be a whole number"),
    "fewer than no photos": (cells(3, -1), "decoding.cells[0][3] (=-1) must be from 0 to"),
    "no token": (cells(0, "7fffffffffffffff0"), "must be the token of an S2 cell"),
    "a token of no level": (cells(0, "6b12"), 'decoding.cells[0][0] (="6b12") must be the token of an S2 cell'),
    "another field": (json.dumps({"cells": CELLS, "more": 1}), "decoding has the unknown field 'more'"),
    "a list": ("[]", "decoding (=[]) must be a JSON object"),
    "no JSON": ("{", "decoding is not JSON"),
    "deep": ("[" * 100_000, "decoding is not JSON"),
}


@pytest.mark.parametrize("case", PLACES)
def test_refused_places(case: str, tmp_path: Path) -> None:
    head_config, reason = PLACES[case]
    assert reason in refusal(changed(places(), tmp_path, {"decoding": head_config}))


def head_config(**changes: Any) -> str:
    return json.dumps({**detector().head_config, **changes})


DETECTORS = {
    "nothing": ("{}", "decoding lacks 'detector'"),
    "another kind": (head_config(detector="yolo"), 'decoding.detector (="yolo") must be one of ssd'),
    "other maps": (
        head_config(maps=["pw1_act", "pw4_act"]),
        "must be pw2_act, pw4_act, the feature maps of this network",
    ),
    "a map": (head_config(maps=["pw2_act"]), "must be a list of 2"),
    "ratios of text": (head_config(ratios="2"), 'decoding.ratios (="2") must be a list'),
    "a ratio of nothing": (head_config(ratios=[[0.0], [2.0], [2.0], [2.0]]), "must be from 0.01 to 100"),
    "fewer ratios": (head_config(ratios=[[2.0]]), "1 ratios and"),
    "too sure": (head_config(score=1.5), "decoding.score (=1.5) must be from 0 to 1"),
    "no boxes": (head_config(boxes=0), "decoding.boxes (=0) must be from 1 to 1000"),
    "whole as a float": (head_config(candidates=400.0), "decoding.candidates (=400.0) must be a whole number"),
    "yes": (head_config(lite=1), "decoding.lite (=1) must be true or false"),
    "the other head": (head_config(lite=True), "weights do not fit the network: lacks task."),
}


@pytest.mark.parametrize("case", DETECTORS)
def test_refused_detectors(case: str, tmp_path: Path) -> None:
    text, reason = DETECTORS[case]
    assert reason in refusal(changed(detector(), tmp_path, {"decoding": text}))


def test_a_detector_without_its_head(tmp_path: Path) -> None:
    whole = detector()
    body = {name: array for name, array in whole.weights.items() if not name.startswith("task.")}
    path = replace(whole, weights=body).save(tmp_path / "m.safetensors")
    assert "lacks task.anchor_generator.boxes" in refusal(path)
    with pytest.raises(ModelFileError, match="lacks task"):
        open_session(path)
    alone = replace(whole, weights=body, head_config={}).save(tmp_path / "initial.safetensors")
    assert load(alone, body=True).digest() == replace(whole, weights=body).digest()
    with pytest.raises(ModelFileError, match="decoding lacks 'detector'"):
        load(alone)


SAID: dict[str, tuple[dict[str, str], str]] = {
    "an unknown task": ({"task": "segment"}, 'task (="segment") must be one of attributes, classify'),
    "a detector's task": ({"task": "detect"}, 'network.output (="softmax") must be features for the task detect'),
    "half a surrogate": ({"labels": '["a", "\\ud800", "c"]'}, 'labels[1] (="\\ud800") must be text'),
    "a number": ({"labels": '["a", "b", 3]'}, "labels[2] (=3) must be text"),
    "a size of a half": ({"preprocess": '{"height": 64.0, "width": 64}'}, "preprocess.height (=64.0) must be a whole"),
    "an enormous size": ({"preprocess": f'{{"height": {10**400}, "width": 64}}'}, "preprocess.height (=1000"),
    "an enormous mean": ({"preprocess": f'{{"height": 64, "width": 64, "mean": {10**400}}}'}, "preprocess.mean (=1000"),
    "a mean of texts": ({"preprocess": '{"height": 64, "width": 64, "std": ["a"]}'}, 'preprocess.std[0] (="a") must'),
    "an origin of text": ({"data": '{"imported": "x"}'}, 'data.imported (="x") must be a JSON object'),
    "a long task": ({"task": "x" * 20_000}, "must be one of"),
    "escape codes": ({"task": "\x1b[31mred"}, r"u001b[31mred"),
}


@pytest.mark.parametrize("case", SAID)
def test_refused_metadata_of_a_classifier(case: str, tmp_path: Path) -> None:
    metadata, reason = SAID[case]
    assert reason in refusal(changed(make_random_model(NETWORK), tmp_path, metadata))


@pytest.mark.parametrize("value", ["64.0", str(10**400), "1e400", "null", '"64"', "[64]"])
def test_a_network_of_odd_sizes(value: str, tmp_path: Path) -> None:
    network = json.loads(NETWORK.to_json())
    text = json.dumps({**network, "height": "SIZE"}).replace('"SIZE"', value)
    assert "height (=" in refusal(changed(make_random_model(NETWORK), tmp_path, {"network": text}))


def test_an_array_of_no_head(tmp_path: Path) -> None:
    more = {"task.x": np.zeros(2, np.float32)}
    assert "has task.x, which the network does not" in refusal(
        changed(make_random_model(NETWORK), tmp_path, {}, **more)
    )


# --- exported files


def exported(model: Model, **metadata: str) -> bytes:
    import onnx

    proto = onnx.load_model_from_string(write(model, "onnx"))
    for entry in proto.metadata_props:
        entry.value = metadata.get(entry.key, entry.value)
    content: bytes = proto.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("make", "metadata", "reason"),
    [
        (places, {"decoding": "{}"}, "decoding lacks 'cells'"),
        (places, {"decoding": cells(1, float("nan"))}, r"decoding.cells\[0\]\[1\] \(=NaN\) must be a finite number"),
        (detector, {"decoding": head_config(boxes=7)}, r"its graph answers \(100, 6\), must be \(7, 6\)"),
        (detector, {"labels": '["a"]'}, "1 labels for a network of 3 classes"),
        (places, {"task": "nothing"}, r"task \(=\"nothing\"\) must be one of"),
        (places, {"labels": "[1, 2, 3]"}, r"labels\[0\] \(=1\) must be text"),
    ],
)
def test_refused_exports(make: Any, metadata: dict[str, str], reason: str) -> None:
    Session.from_onnx(exported(make()), 1)
    with pytest.raises(ModelFileError, match=reason):
        Session.from_onnx(exported(make(), **metadata), 1)


# --- a run's settings

SETTINGS = Settings("photos", NETWORK, make_random_model(NETWORK).preprocess, Recipe(epochs=3, lr=0.1))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("data", None, r"settings.data \(=null\) must be text"),
        ("recipe", {"epochs": "3"}, r"settings.recipe.epochs \(=\"3\"\) must be a whole number"),
        ("recipe", {"epochs": 3.5}, r"settings.recipe.epochs \(=3.5\) must be a whole number"),
        ("recipe", {"flip": 1}, r"settings.recipe.flip \(=1\) must be true or false"),
        ("recipe", {"lr": 10**400}, "settings.recipe.lr .* must be a finite number"),
        ("recipe", {"opt": "adam"}, r"settings.recipe.opt \(=\"adam\"\) must be one of"),
        ("recipe", [], "must be a JSON object"),
        ("preprocess", {"height": 64}, "settings.preprocess lacks 'width'"),
        ("task", {"name": "segment"}, "task 'segment' must be one of"),
        ("task", {"name": "detect", "lite": "no"}, r"settings.task.lite \(=\"no\"\) must be true or false"),
        ("task", {"name": "embed", "dimensions": 10**400}, "settings.task.dimensions .* must be a whole number"),
        ("task", 3, r"settings.task \(=3\) must be a JSON object"),
        ("network", {"format": "mobilenets.network", "version": 1, "height": 64.0}, "height"),
        ("version", 2, r"settings.version \(=2\) must be one of 1"),
    ],
)
def test_refused_settings(field: str, value: Any, reason: str, tmp_path: Path) -> None:
    values = json.loads(SETTINGS.to_json())
    (tmp_path / "settings.json").write_text(json.dumps({**values, field: value}))
    with pytest.raises(TrainingError, match=reason) as caught:
        Run.open(tmp_path)
    assert str(tmp_path / "settings.json") in str(caught.value)


def test_settings_come_back(tmp_path: Path) -> None:
    for task in (Detect(lite=True), SETTINGS.task):
        settings = replace(SETTINGS, task=task)
        assert Settings.from_json(settings.to_json()) == settings

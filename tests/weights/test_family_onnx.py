"""V2 to V4 of torchvision and timm as `torch.onnx.export` writes them, and activations however they are spelled."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import make_random_model
from test_family_torch import CASES, randomise
from torch_peer import our_logits

from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.model import Model
from mobilenets.weights import Given, import_files

pytestmark = pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based:DeprecationWarning")
SIZE = 64
SIGNED = Given(pixels=(127.5, 127.5))
GATED = Network(
    *(1.0, 32, 32),
    classes=5,
    stem=8,
    blocks=(Block(1, 8, 5, 24, True, 8), Block(2, 12, 3, 32, activation="relu")),
    head=24,
    hidden=16,
    activation="hard_swish",
)


def exported(module: Any, path: Path, dynamo: bool) -> Path:
    if dynamo:
        pytest.importorskip("onnxscript")
    images = torch.zeros(1, 3, SIZE, SIZE)
    program = torch.onnx.export(module.eval(), (images,), None if dynamo else str(path), dynamo=dynamo)
    if dynamo:
        path.write_bytes(program.model_proto.SerializeToString())
    return path


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
@pytest.mark.parametrize(
    "name",
    [
        "torchvision v2 0.35",
        "torchvision v3 small 0.5",
        pytest.param("mobilenetv3_large_075", marks=pytest.mark.slow),
        "mobilenetv4_conv_small_050",
        pytest.param("mobilenetv4_conv_medium", marks=pytest.mark.slow),
    ],
)
def test_torchs_exports(name: str, dynamo: bool, tmp_path: Path) -> None:
    make, ours = CASES[name]
    module = randomise(make())
    model = import_files([exported(module, tmp_path / "m.onnx", dynamo)], SIGNED).model
    assert model.network.name == ours
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    with torch.no_grad():
        expected = module(torch.from_numpy((pixels.astype(np.float32) - 127.5) / 127.5).permute(0, 3, 1, 2)).numpy()
    assert np.abs(our_logits(model, pixels) - expected).max() <= 1e-4 * np.abs(expected).max()


def spelled(content: bytes, division: bool) -> bytes:
    """Hard swish and hard sigmoid as Add, Clip, Mul and Div or Mul."""
    proto = onnx.load_model_from_string(content)
    nodes, constants = [], {"three": 3.0, "zero": 0.0, "six": 6.0, "sixth": 1 / 6}
    for node in proto.graph.node:
        if node.op_type not in ("HardSwish", "HardSigmoid"):
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        nodes.append(onnx.helper.make_node("Add", [x, "three"], [f"{y} a"]))
        nodes.append(onnx.helper.make_node("Clip", [f"{y} a", "zero", "six"], [f"{y} b"]))
        last = f"{y} b"
        if node.op_type == "HardSwish":
            last = f"{y} c"
            nodes.append(onnx.helper.make_node("Mul", [x, f"{y} b"], [last]))
        scale = ("Div", "six") if division else ("Mul", "sixth")
        nodes.append(onnx.helper.make_node(scale[0], [last, scale[1]], [y]))
    del proto.graph.node[:], proto.metadata_props[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(number, np.float32), name) for name, number in constants.items()
    )
    return proto.SerializeToString()


def read(content: bytes, folder: Path) -> Model:
    (folder / "m.onnx").write_bytes(content)
    return import_files([folder / "m.onnx"]).model


@pytest.mark.parametrize("division", [False, True])
def test_activations_spelled_out(division: bool, tmp_path: Path) -> None:
    model = make_random_model(GATED)
    back = read(spelled(to_onnx(model), division), tmp_path)
    assert back.network.replace(epsilon=GATED.epsilon, padding=GATED.padding) == GATED
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    assert np.allclose(our_logits(back, pixels), our_logits(model, pixels), rtol=1e-4, atol=1e-4)


def test_our_own_exports_come_back(tmp_path: Path) -> None:
    model = make_random_model(GATED)
    assert read(to_onnx(model), tmp_path).network == GATED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.2}, "activation a clip of .*, where the excite of a gate has hard_sigmoid"),
        ({"op_type": "Relu"}, "activation relu, where the excite of a gate has hard_sigmoid"),
    ],
)
def test_another_gate_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    proto = onnx.load(io.BytesIO(to_onnx(make_random_model(GATED))))
    node = next(node for node in proto.graph.node if node.op_type == "HardSigmoid")
    if "alpha" in change:
        next(attribute for attribute in node.attribute if attribute.name == "alpha").f = change["alpha"]
    else:
        node.op_type = change["op_type"]
        del node.attribute[:]
    with pytest.raises(ModelFileError, match=message):
        read(proto.SerializeToString(), tmp_path)

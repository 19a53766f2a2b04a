"""Real TensorFlow Lite files of V2 and V3, quantised: imported as floats, and with their own integers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_floats import float_logits

from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import prepare
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel, integer_layers
from mobilenets.runtime import Session
from mobilenets.weights import import_files

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

FILES = {
    "mobilenet_v2_1.0_224_quant.tflite": "v2-1-224",
    "tf2_mobilenet_v2_1.0_224_ptq.tflite": "v2-1-224",
    "mobilenet_v3_small_1.0_224.uint8.tflite": "v3-small-1-224",
    "mobilenet_v2_0.35_128_flowers_int8.tflite": "v2-0.35-128",
}


def photographs(shared_data: Path, model: Model | QuantModel, count: int = 2) -> np.ndarray:
    paths = sorted((shared_data / "imagenet-1000").glob("*.jpg"))[::300][:count]
    return np.stack([prepare(path, model.preprocess) for path in paths])


def litert_logits(path: Path, images: np.ndarray) -> np.ndarray:
    """What goes into the softmax, as int8."""
    network = interpreter.Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    softmax = next(op for op in network._get_ops_details() if op["op_name"] == "SOFTMAX")
    found = []
    for image in images:
        network.set_tensor(network.get_input_details()[0]["index"], image[None])
        network.invoke()
        found.append(network.get_tensor(softmax["inputs"][0])[0].copy())
    logits = np.stack(found)
    return logits if logits.dtype == np.int8 else (logits ^ 128).view(np.int8)


@pytest.mark.parametrize("name", FILES)
def test_the_floats_are_those_of_the_dequantised_file(name: str, shared_data: Path) -> None:
    path = shared_data / "weights-family" / name
    model = import_files([path]).model
    assert model.network.name == FILES[name]
    images = photographs(shared_data, model)
    ours = Session.from_onnx(to_onnx(model)).logits(images)
    theirs = float_logits(path, images)[:, -ours.shape[1] :]  # without the background
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mobilenet_v2_0.35_128_flowers_int8.tflite", 4),
        pytest.param("mobilenet_v2_1.0_224_quant.tflite", 1, marks=pytest.mark.slow),
        pytest.param("tf2_mobilenet_v2_1.0_224_ptq.tflite", 1, marks=pytest.mark.slow),
    ],
)
def test_the_integers_of_v2_give_the_bytes_of_litert(name: str, count: int, shared_data: Path) -> None:
    path = shared_data / "weights-family" / name
    model = import_files([path], int8=True).integers
    assert model is not None and model.network.name == FILES[name]
    images = photographs(shared_data, model, count)
    ours = reference.run(model, images)
    assert (ours == litert_logits(path, images)[:, -ours.shape[1] :]).all()


OPERATORS = {
    "global_average_pool": "AVERAGE_POOL_2D",
    "depthwise": "DEPTHWISE_CONV_2D",
    "add": "ADD",
    "multiply": "MUL",
    "hard_swish": "HARD_SWISH",
}


@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve")
def test_the_integers_of_v3_differ_in_its_gates_only(shared_data: Path) -> None:
    """Each layer takes LiteRT's own integers. The file rounds a hard sigmoid three times, this package once."""
    path = shared_data / "weights-family" / "mobilenet_v3_small_1.0_224.uint8.tflite"
    model = import_files([path], int8=True).integers
    assert model is not None
    network = interpreter.Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    first = network.get_input_details()[0]["index"]
    network.set_tensor(first, photographs(shared_data, model, 1))
    network.invoke()
    operators = network._get_ops_details()
    rest = iter([op for op in operators if not constant_operand(network, op)])
    tensors, differing, sources = [first], {}, model.sources()
    for layer in integer_layers(model.graph)[:-1]:  # the classifier has lost the background
        kind = OPERATORS.get(layer.op.kind, "CONV_2D")
        tensors.append(next(op for op in rest if op["op_name"] == kind)["outputs"][0])
        if layer.activation and layer.activation.kind == "hard_sigmoid":
            for _ in range(2):  # + 3, * 1/6
                tensors[-1] = next(op["outputs"][0] for op in operators if tensors[-1] in op["inputs"])
        inputs = [integers(network, tensors[i]) for i in layer.sources]
        target = model.activations[layer.name]
        found = reference.apply(layer, model.layers.get(layer.name), inputs, sources[layer.name], target)
        misses = np.abs(found.astype(int) - integers(network, tensors[-1]).reshape(found.shape)).max()
        if misses:
            differing[layer.name] = misses
    assert differing and all(name.endswith("_excite") for name in differing) and max(differing.values()) <= 2


def constant_operand(network: Any, op: dict[str, Any]) -> bool:
    """Whether it is a part of a hard sigmoid: a sum or a product with a number."""
    return op["op_name"] in ("ADD", "MUL") and any(network.get_tensor(i).shape == () for i in op["inputs"])


def integers(network: Any, tensor: int) -> np.ndarray:
    return (network.get_tensor(tensor) ^ 128).view(np.int8)

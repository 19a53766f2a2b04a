"""Real TensorFlow Lite files of V2 and V3, quantised: imported as floats, and with their own integers."""

from pathlib import Path

import numpy as np
import pytest
from tflite_floats import float_logits

from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import prepare
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel
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
        ("mobilenet_v3_small_1.0_224.uint8.tflite", 2),
    ],
)
def test_the_integers_give_the_bytes_of_litert(name: str, count: int, shared_data: Path) -> None:
    path = shared_data / "weights-family" / name
    model = import_files([path], int8=True).integers
    assert model is not None and model.network.name == FILES[name]
    images = photographs(shared_data, model, count)
    ours = reference.run(model, images)
    assert (ours == litert_logits(path, images)[:, -ours.shape[1] :]).all()

"""Inverted residual blocks, gates and hard swish in ONNX Runtime and LiteRT: as torch, and in int8 byte for byte."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import make_random_model
from imported_roundings import with_roundings
from litert_peer import litert

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Block, Network
from mobilenets.arch.zoo import named
from mobilenets.errors import UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.exporters.onnx_int8 import to_onnx_int8
from mobilenets.exporters.tflite import pixels_to_logits
from mobilenets.exporters.tflite_int8 import pixels_to_logits_int8, to_tflite_int8
from mobilenets.image import normalise
from mobilenets.model import Model
from mobilenets.quant import file, reference
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.runtime.activations import open_activations
from mobilenets.runtime.session import Session
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.weights import read_content, recognise
from mobilenets.weights.imported_int8 import keep_integers

BLOCKS = (
    Block(1, 16, expansion=16, residual=True, activation="relu"),
    Block(2, 24, expansion=72, activation="relu"),
    Block(1, 24, expansion=88, residual=True, activation="relu"),
    Block(2, 40, kernel=5, expansion=96, gate=24),
    Block(1, 40, kernel=5, expansion=240, gate=64, residual=True),
)
FAMILIES = ("v2-0.35-64", "v3-small-0.5-64", "v3-large-minimalistic-0.35-48x64", "v4-conv-small-0.25-64")
NETWORKS = {
    "hard swish": Network(1.0, 64, 48, stem=16, blocks=BLOCKS, activation="hard_swish", classes=7),
    "relu6, same": Network(0.75, 33, 65, stem=16, blocks=BLOCKS, activation="relu6", padding="same", classes=7),
    **{name: named(name).replace(classes=7) for name in FAMILIES},
}
SOME = [pytest.param(name, marks=[pytest.mark.slow] if name in FAMILIES else []) for name in NETWORKS]


def float64_logits(model: Model, images: np.ndarray) -> np.ndarray:
    module = MobileNet(expand(model.network))
    load_weights(module, model.weights)
    x = torch.from_numpy(normalise(images, model.preprocess).astype(np.float64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return module.double().eval()(x).numpy()


def drawn(model: Model, count: int) -> np.ndarray:
    p = model.preprocess
    return np.random.default_rng(0).integers(0, 256, (count, p.height, p.width, p.channels), np.uint8)


@pytest.mark.parametrize("name", SOME)
def test_runtimes_agree_with_torch(name: str) -> None:
    model = make_random_model(NETWORKS[name])
    images = drawn(model, 3)
    exact = float64_logits(model, images)
    assert np.ptp(exact, axis=0).max() > 0.1
    session = ort.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    for found in (session.run(["logits"], {"image": images})[0], litert(pixels_to_logits(model), images)):
        assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) <= 1e-5


@pytest.mark.parametrize("name", SOME)
def test_in_integers_they_agree_byte_for_byte(name: str, tmp_path: Path) -> None:
    model = make_random_model(NETWORKS[name])
    images = drawn(model, 24)
    found = quantize(model, images, open_activations, Choices("minmax"))
    integers = file.load(found.model.save(tmp_path / "int8.safetensors"))
    images = np.concatenate([images[:6], np.zeros_like(images[:1]), np.full_like(images[:1], 255)])
    expected = reference.run(integers, images)
    assert len(np.unique(expected, axis=0)) == len(images)
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(integers), images), expected)
    session, last = Session.from_onnx(to_onnx_int8(integers), 1), integers.activations["fc"]
    logits = np.rint(session.logits(images).astype(np.float64) / last.scale) + last.zero_point
    np.testing.assert_array_equal(logits, expected)
    exact = float64_logits(model, images)
    error = last.real(expected) - exact
    least = 10 ** (1.4 if name.startswith("v4") else 1.5)  # 15 dB: random weights, extreme images; V4 has 14.8
    assert np.sum(exact**2) / np.sum(error**2) > least
    read = read_content(to_tflite_int8(integers), ".tflite")
    floats = recognise(read).model
    assert keep_integers(read, floats).digest() == integers.digest()
    error = float64_logits(floats, images) - exact
    assert np.sum(exact**2) / np.sum(error**2) > least


def test_imported_roundings_go_to_onnx_only() -> None:
    model = make_random_model(NETWORKS["hard swish"])
    images = drawn(model, 12)
    integers = with_roundings(quantize(model, images, open_activations, Choices("minmax")).model)
    expected, last = reference.run(integers, images), integers.activations["fc"]
    logits = Session.from_onnx(to_onnx_int8(integers), 1).logits(images).astype(np.float64)
    np.testing.assert_array_equal(np.rint(logits / last.scale) + last.zero_point, expected)
    with pytest.raises(UsageError, match="gate4_excite_act keeps the roundings of an imported file"):
        pixels_to_logits_int8(integers)

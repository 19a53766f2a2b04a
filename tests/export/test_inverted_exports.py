"""Inverted residual blocks, gates and hard swish: ONNX Runtime and LiteRT against torch in float64."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import make_random_model
from litert_peer import litert

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Block, Network
from mobilenets.export.onnx import to_onnx
from mobilenets.export.tflite import pixels_to_logits
from mobilenets.image import normalise
from mobilenets.model import Model
from mobilenets.train.module import MobileNet, load_weights

BLOCKS = (
    Block(1, 16, expansion=16, residual=True, activation="relu"),
    Block(2, 24, expansion=72, activation="relu"),
    Block(1, 24, expansion=88, residual=True, activation="relu"),
    Block(2, 40, kernel=5, expansion=96, gate=24),
    Block(1, 40, kernel=5, expansion=240, gate=64, residual=True),
)
NETWORKS = {
    "hard swish": Network(1.0, 64, 48, stem=16, blocks=BLOCKS, activation="hard_swish", classes=7),
    "relu6, same": Network(0.75, 33, 65, stem=16, blocks=BLOCKS, activation="relu6", padding="same", classes=7),
}


def float64_logits(model: Model, images: np.ndarray) -> np.ndarray:
    module = MobileNet(expand(model.network))
    load_weights(module, model.weights)
    x = torch.from_numpy(normalise(images, model.preprocess).astype(np.float64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return module.double().eval()(x).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_runtimes_agree_with_torch(name: str) -> None:
    model = make_random_model(NETWORKS[name])
    p = model.preprocess
    images = np.random.default_rng(0).integers(0, 256, (3, p.height, p.width, p.channels), np.uint8)
    exact = float64_logits(model, images)
    assert np.ptp(exact, axis=0).max() > 0.1
    session = ort.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    for found in (session.run(["logits"], {"image": images})[0], litert(pixels_to_logits(model), images)):
        assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) <= 1e-5

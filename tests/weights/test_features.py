"""The parts of blocks, through every reader that states how layers are joined: networks that no table has."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_random_model
from torch_peer import our_logits

from mobilenets.arch.network import Block, Network
from mobilenets.exporters.onnx import to_onnx
from mobilenets.exporters.tflite import to_tflite
from mobilenets.model import Model
from mobilenets.weights.importing import read_content
from mobilenets.weights.recognise import Given, recognise

BASE = Network(1.0, 32, 32, classes=5, stem=8, blocks=(Block(2, 12), Block(1, 20)), padding="same")
FEATURES = {
    "V1": BASE,
    "expansion": BASE.replace(blocks=(Block(2, 12, expansion=24), Block(1, 16, expansion=40))),
    "no expansion": BASE.replace(blocks=(Block(1, 12, expansion=8), Block(2, 16, expansion=30))),
    "residual": BASE.replace(blocks=(Block(1, 8, expansion=24, residual=True), Block(2, 12, expansion=16)), head=30),
    "5x5": BASE.replace(blocks=(Block(2, 12, 5), Block(1, 12, 5, 24, residual=True)), head=30),
    "gate": BASE.replace(blocks=(Block(2, 12, 3, 24, gate=8), Block(1, 12, 5, 24, True, 4)), activation="relu6"),
    "gate of V1's block": BASE.replace(blocks=(Block(2, 12, gate=4), Block(1, 20))),
    "hard swish": BASE.replace(activation="hard_swish"),
    "activation of a block": BASE.replace(
        blocks=(Block(1, 8, expansion=24, activation="relu"), Block(2, 12, expansion=16)), activation="hard_swish"
    ),
    "start": BASE.replace(blocks=(Block(2, 12, 5, 24, start=3), Block(1, 12, 0, 24, True, start=5)), head=30),
    "no depthwise convolution": BASE.replace(blocks=(Block(1, 12, 0, 24), Block(1, 12, 0, 36, True)), head=30),
    "fused": BASE.replace(blocks=(Block(2, 12, fused=True), Block(1, 12, expansion=24, fused=True)), head=30),
    "one pointwise convolution": BASE.replace(blocks=(Block(2, 12, fused=True), Block(1, 20, 0), Block(2, 24))),
    "hidden": BASE.replace(hidden=24),
}
READERS: dict[str, Callable[[Model], bytes]] = {".onnx": to_onnx, ".tflite": to_tflite}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_comes_back(feature: str, suffix: str) -> None:
    network = FEATURES[feature]
    model = make_random_model(network)
    content = replace(read_content(READERS[suffix](model), suffix), network=None, preprocess=None)  # as of others
    p = model.preprocess
    back = recognise(content, Given(pixels=(p.mean, p.std))).model
    assert back.network == network.replace(epsilon=back.network.epsilon)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = our_logits(model, pixels)
    assert np.abs(our_logits(back, pixels) - expected).max() <= 1e-4 * np.abs(expected).max()

"""Our networks as PyTorch state dicts: what torch computes of them, and what comes back when they are read."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_peer import Listed, assert_same, noise, our_logits, torch_logits

from mobilenets.arch.network import Block, Network
from mobilenets.errors import MissingExtraError
from mobilenets.exporters.pytorch import to_pytorch
from mobilenets.weights import Given, import_files

RandomModel = Callable[..., Any]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3, 0.1])
def test_torch_computes_the_same(activation: type[nn.Module], epsilon: float, random_model: RandomModel) -> None:
    network = Network(0.25, 65, 49, classes=5, activation=activation.__name__.lower(), epsilon=epsilon)
    model, peer = random_model(network, seed=3), Listed(activation)
    peer.load_state_dict(torch.load(io.BytesIO(to_pytorch(model)), weights_only=True), strict=True)
    pixels = noise(65, 49)
    assert_same(our_logits(model, pixels), torch_logits(peer.eval(), pixels, model.preprocess))


NETWORKS = {
    "plain": Network(0.25, 64, 64, classes=5),
    "grey, with a head": Network(0.5, 64, 33, 1, 3, head=1024, activation="relu6"),
    "same": Network(0.25, 65, 49, classes=5, padding="same", epsilon=1e-3),
    "keras": Network(0.25, 65, 49, classes=5, padding="keras", epsilon=1e-3),
    "one channel": Network(0.03, 64, 64, classes=3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_comes_back_as_it_was(name: str, tmp_path, random_model: RandomModel) -> None:
    """A .pt holds tensors only; the user says the rest."""
    network = NETWORKS[name]
    model = random_model(network)
    path = tmp_path / "m.pt"
    path.write_bytes(to_pytorch(model))
    size, pixels = (network.height, network.width), (127.5, 127.5)
    back = import_files([path], Given(size, pixels, network.activation, network.padding, labels=model.labels)).model
    assert back.network == network.replace(epsilon=1e-5)
    assert (back.preprocess, back.labels) == (model.preprocess, model.labels)
    assert network.epsilon != 1e-5 or back.digest() == model.digest()
    images = noise(network.height, network.width, network.channels)
    np.testing.assert_allclose(our_logits(back, images), our_logits(model, images), rtol=1e-4, atol=1e-4)


def test_full_convolutions_are_written(random_model: RandomModel) -> None:
    """No importer takes them back, but torch does."""
    blocks = (Block(2, 48), Block(1, 64), Block(2, 40))
    model = random_model(Network(0.25, 32, 32, classes=2, convolution="full", blocks=blocks))
    tensors = torch.load(io.BytesIO(to_pytorch(model)), weights_only=True)
    assert list(tensors)[:6] == [f"model.0.{part}" for part in ("0.weight", "1.weight", "1.bias")] + [
        "model.0.1.running_mean",
        "model.0.1.running_var",
        "model.1.0.weight",
    ]
    assert np.array_equal(tensors["model.2.0.weight"], model.weights["conv2.weight"])


def test_the_same_bytes_every_time(random_model: RandomModel) -> None:
    model = random_model(Network(0.25, 32, 32, classes=2))
    assert to_pytorch(model) == to_pytorch(model)


def test_without_torch(monkeypatch: pytest.MonkeyPatch, random_model: RandomModel) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mobilenets\[train\]'"):
        to_pytorch(random_model(Network(0.25, 32, 32, classes=2)))

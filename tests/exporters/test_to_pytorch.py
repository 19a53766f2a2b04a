"""Our networks as PyTorch state dicts: what torch computes of them, and what comes back when they are read."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_peer import Listed, assert_same, noise, our_logits, torch_logits

from mobilenets.arch.network import Block, Network
from mobilenets.arch.zoo import named
from mobilenets.errors import MissingExtraError, ModelFileError, UsageError
from mobilenets.exporters.pytorch import V3_WIDTHS, to_pytorch
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
    network = NETWORKS[name]
    model = random_model(network)
    path = tmp_path / "m.pt"
    path.write_bytes(to_pytorch(model))
    back = import_files([path]).model
    assert (back.network, back.preprocess, back.labels) == (network, model.preprocess, model.labels)
    assert network.epsilon != 1e-5 or back.digest() == model.digest()
    images = noise(network.height, network.width, network.channels)
    np.testing.assert_allclose(our_logits(back, images), our_logits(model, images), rtol=1e-4, atol=1e-4)


def test_tensors_without_the_settings_are_read_with_flags(tmp_path, random_model: RandomModel) -> None:
    """torch writes the tensors again, as a program of the user's does."""
    model = random_model(network := Network(0.25, 32, 32, classes=2, epsilon=1e-5))
    path = tmp_path / "m.pt"
    torch.save(torch.load(io.BytesIO(to_pytorch(model)), weights_only=True), path)
    with pytest.raises(UsageError, match="--img-size"):
        import_files([path])
    given = Given((32, 32), (127.5, 127.5), network.activation, network.padding, labels=model.labels)
    assert import_files([path], given).model.digest() == model.digest()


@pytest.mark.parametrize("name", ["v2-0.5-64", "v3-small-1.0-96"])
def test_a_family_comes_back_at_its_own_size(name: str, tmp_path, random_model: RandomModel) -> None:
    """The conventions of torchvision, 224 px among them, are for files that say nothing."""
    widths = V3_WIDTHS if name.startswith("v3") else {}
    model = random_model(named(name).replace(classes=3, **widths))
    path = tmp_path / "m.pt"
    path.write_bytes(to_pytorch(model))
    back = import_files([path]).model
    assert (back.network, back.preprocess, back.labels) == (model.network, model.preprocess, model.labels)
    images = noise(model.network.height, model.network.width, 3)
    np.testing.assert_allclose(our_logits(back, images), our_logits(model, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"[", "mobilenets.json is not JSON"),
        (b"\xff", "mobilenets.json is not JSON"),
        (b"[1]", "mobilenets.json"),
        (b'{"mobilenets_network": 1}', "mobilenets.json.mobilenets_network"),
        (b'{"mobilenets_network": "{}"}', "its metadata"),
    ],
)
def test_damaged_settings_are_refused(record: bytes, message: str, tmp_path, random_model: RandomModel) -> None:
    path = tmp_path / "m.pt"
    torch.save(torch.load(io.BytesIO(to_pytorch(random_model(Network(0.25, 32, 32, classes=2))))), path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"{file.namelist()[0].partition('/')[0]}/mobilenets.json", record)
    with pytest.raises(ModelFileError, match=message):
        import_files([path])


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

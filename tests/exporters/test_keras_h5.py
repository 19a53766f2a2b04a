"""Our networks as Keras files: what Keras builds and computes of them, and what comes back when they are read."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_peer import assert_same, keras, keras_logits, noise, our_logits

from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.errors import MissingExtraError
from mobilenets.exporters.keras import to_keras_h5
from mobilenets.image import Preprocess
from mobilenets.model import Model
from mobilenets.weights import import_files

RandomModel = Callable[..., Model]
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, on torch
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),  # Keras 2's configs list the input
]

SHALLOW = Network(0.3, 64, 64, classes=5, blocks=SHALLOW_BODY)
# a layer wider than the next one, alphas that only metadata can tell from others, sizes where every rule differs
NETWORKS = {
    "symmetric, ReLU": Network(0.25, 100, 100, classes=5),
    "same, ReLU6": SHALLOW.replace(height=97, width=65, padding="same", activation="relu6", epsilon=1e-3),
    "keras": Network(0.25, 100, 140, classes=5, padding="keras", activation="relu6", epsilon=1e-3),
    "keras at an odd size": SHALLOW.replace(height=65, width=65, padding="keras"),
    "head": Network(0.5, 64, 64, classes=5, head=1024),
    "shallow": SHALLOW,
    "odd alpha": SHALLOW.replace(alpha=0.37, rounding="multiple_of_8"),
    "grey": SHALLOW.replace(width=48, channels=1),
    "widths of its own": Network(1, 64, 64, classes=3, stem=7, blocks=(Block(2, 12), Block(1, 5), Block(2, 9))),
    "one filter": Network(1, 64, 64, classes=3, stem=1, blocks=(Block(2, 1), Block(1, 4))),
    "one channel": SHALLOW.replace(alpha=0.03),
}
FULL = {
    "full": SHALLOW.replace(alpha=0.25, convolution="full"),
    "full, keras": SHALLOW.replace(alpha=0.25, height=100, convolution="full", padding="keras"),
}


def written(model: Model, folder: Path) -> Path:
    path = folder / "m.h5"
    path.write_bytes(to_keras_h5(model))
    return path


@pytest.mark.parametrize("network", [*NETWORKS.values(), *FULL.values()], ids=[*NETWORKS, *FULL])
def test_keras_computes_the_same(tmp_path, random_model: RandomModel, network: Network) -> None:
    model = random_model(network, seed=3)
    peer = keras.models.load_model(written(model, tmp_path), compile=False)
    pixels = noise(network.height, network.width, network.channels)
    ours, theirs = our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5)
    assert_same(ours, theirs)
    probabilities = keras.ops.convert_to_numpy(peer((pixels.astype(np.float32) - 127.5) / 127.5, training=False))
    expected = np.exp(theirs - theirs.max(1, keepdims=True))
    np.testing.assert_allclose(probabilities, expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_the_keras_rule_is_spelled_out_where_it_depends_on_the_size(random_model: RandomModel) -> None:
    """A stride of 2 has a padding of its own, at every size; at stride 1 "same" says it."""
    content = io.BytesIO(to_keras_h5(random_model(NETWORKS["keras"])))
    with h5py.File(content) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    found = [
        (after["config"]["strides"][0], after["config"]["padding"], before["class_name"] == "ZeroPadding2D")
        for before, after in pairwise(layers)
        if "kernel_size" in after["config"] and after["config"]["kernel_size"] == [3, 3]
    ]
    assert len(found) == 14 and set(found) == {(2, "valid", True), (1, "same", False)}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_it_comes_back_as_it_was(tmp_path, random_model: RandomModel, network: Network) -> None:
    preprocess = Preprocess(network.height, network.width, network.channels, crop=0.75, mean=100.0, std=50.0)
    labels = tuple(f"größer {i}" for i in range(network.classes))
    model = replace(random_model(network), preprocess=preprocess, labels=labels)
    back = import_files([written(model, tmp_path)]).model
    assert (back.network, back.preprocess, back.labels) == (network, preprocess, labels)
    assert back.digest() == model.digest()


def test_full_convolutions_come_back(tmp_path, random_model: RandomModel) -> None:
    """The paper's Conv MobileNet is a network of fused blocks."""
    model = random_model(FULL["full"])
    back = import_files([written(model, tmp_path)]).model
    assert back.network == model.network and back.digest() == model.digest()


@pytest.mark.parametrize(("alpha", "size", "classes"), [(0.25, (100, 100), 7), (0.75, (64, 96), 1000)])
def test_keras_applications_takes_its_weights(tmp_path, random_model: RandomModel, alpha, size, classes) -> None:
    network = Network(alpha, *size, classes=classes, padding="keras", activation="relu6", epsilon=1e-3)
    model = random_model(network)
    peer = keras.applications.MobileNet(
        weights=str(written(model, tmp_path)), alpha=alpha, input_shape=(*size, 3), classes=classes
    )
    pixels = noise(*size)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5))
    names = [layer.name for layer in peer.layers if layer.weights]
    with h5py.File(tmp_path / "m.h5") as file:
        held = [name for name in file["model_weights"] if file["model_weights"][name].attrs["weight_names"].size]
    assert sorted(held) == sorted(names)


def test_keras_saves_it_again(tmp_path, random_model: RandomModel) -> None:
    """Through Keras and its own formats it stays the network that it was, but for our metadata."""
    model = random_model(NETWORKS["same, ReLU6"])
    keras.models.load_model(written(model, tmp_path), compile=False).save(tmp_path / "again.keras")
    back = import_files([tmp_path / "again.keras"]).model
    assert (back.network, back.digest()) == (model.network, model.digest())


def test_the_same_bytes_every_time(random_model: RandomModel) -> None:
    model = random_model(NETWORKS["grey"])
    assert to_keras_h5(model) == to_keras_h5(model)


def test_without_h5py(monkeypatch: pytest.MonkeyPatch, random_model: RandomModel) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mobilenets\[weights\]'"):
        to_keras_h5(random_model(NETWORKS["grey"]))

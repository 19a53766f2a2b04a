"""V2, V3 and V4 as Keras files: what Keras and keras.applications compute of them."""

from pathlib import Path
from typing import Any

import h5py
import pytest
from conftest import MakeModel
from keras_peer import assert_same, keras, keras_logits, noise, our_logits

from mobilenets.arch.network import Network
from mobilenets.arch.zoo import named
from mobilenets.exporters.keras import to_keras_h5
from mobilenets.model import Model
from mobilenets.weights import import_files

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, on torch
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),  # Keras 2's configs list the input
]

NETWORKS = {
    "v2": named("v2-0.35-65x48").replace(padding="same", epsilon=1e-3),
    "v2, symmetric": named("v2-0.35-64"),
    "v3": named("v3-small-0.5-64x33").replace(padding="keras", epsilon=1e-3),
    "v4": named("v4-conv-small-0.25-64"),
}


def written(model: Model, folder: Path) -> Path:
    path = folder / "m.h5"
    path.write_bytes(to_keras_h5(model))
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_computes_the_same(name: str, tmp_path: Path, random_model: MakeModel) -> None:
    network = NETWORKS[name].replace(classes=5)
    model = random_model(network, seed=3)
    peer = keras.models.load_model(written(model, tmp_path), compile=False)
    pixels = noise(network.height, network.width)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5))


SETTINGS: dict[str, Any] = {"padding": "keras", "epsilon": 1e-3, "classes": 7}
APPLICATIONS: dict[str, tuple[Network, Any]] = {
    "v2": (named("v2-0.35-96").replace(**SETTINGS), keras.applications.MobileNetV2),
    "v3": (named("v3-small-0.75-64").replace(**SETTINGS), keras.applications.MobileNetV3Small),
}


@pytest.mark.parametrize("family", APPLICATIONS)
def test_keras_applications_takes_its_weights(family: str, tmp_path: Path, random_model: MakeModel) -> None:
    """Under the names of its layers, too."""
    network, build = APPLICATIONS[family]
    model = random_model(network)
    path = written(model, tmp_path)
    settings = {"include_preprocessing": False} if family == "v3" else {}
    peer = build((network.height, network.width, 3), network.alpha, weights=str(path), classes=7, **settings)
    pixels = noise(network.height, network.width)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5))
    names = [layer.name for layer in peer.layers if layer.weights]
    with h5py.File(path) as file:
        held = [name for name in file["model_weights"] if file["model_weights"][name].attrs["weight_names"].size]
    assert sorted(held) == sorted(names)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_comes_back_as_it_was(name: str, tmp_path: Path, random_model: MakeModel) -> None:
    model = random_model(NETWORKS[name].replace(classes=5))
    back = import_files([written(model, tmp_path)]).model
    assert (back.network, back.digest()) == (model.network, model.digest())

"""keras.applications' V2 and V3 with random weights and statistics, and a trained V2: the logits of Keras itself."""

from pathlib import Path
from typing import Any

import pytest
from keras_peer import assert_same, keras, keras_logits, noise, our_logits, photographs, randomise, weights_alone

from mobilenets.weights import Given, import_files

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, on torch
    pytest.mark.filterwarnings("ignore:.*structure of `inputs` doesn't match.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Exception encountered when calling:UserWarning"),  # the same within
]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "v2-0.35-64": ("MobileNetV2", {"alpha": 0.35}),
    "v3-small-0.75-64": ("MobileNetV3Small", {"alpha": 0.75}),
    "v3-small-minimalistic-1-64": ("MobileNetV3Small", {"minimalistic": True}),
    "v3-large-1-64": ("MobileNetV3Large", {}),
    "v3-large-minimalistic-0.5-64": ("MobileNetV3Large", {"alpha": 0.5, "minimalistic": True}),
}
SLOW = ("v3-large-1-64", "v3-large-minimalistic-0.5-64")


class OldDepthwise(keras.layers.DepthwiseConv2D):
    """Keras 2 wrote the groups, which Keras 3 does not take."""

    def __init__(self, groups: int = 1, **settings: Any) -> None:
        assert groups == 1
        super().__init__(**settings)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CASES])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_applications(name: str, suffix: str, tmp_path: Path) -> None:
    kind, settings = CASES[name]
    peer = randomise(getattr(keras.applications, kind)((64, 64, 3), weights=None, classes=7, **settings))
    peer.save(tmp_path / f"m.{suffix}")
    model = import_files([tmp_path / f"m.{suffix}"]).model
    assert model.network.name == name
    assert (model.preprocess.mean, model.preprocess.std) == (127.5, 127.5)  # V3 rescales pixels itself
    pixels = noise(64, 64)
    mean, std = (127.5, 127.5) if "v2" in name else (0.0, 1.0)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, mean, std))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_weights_alone(tmp_path: Path) -> None:
    """As keras.applications publishes V2, at an odd size: its own padding is SAME."""
    peer = randomise(keras.applications.MobileNetV2((65, 49, 3), alpha=0.5, weights=None, classes=7))
    peer.save(tmp_path / "whole.h5")
    path = weights_alone(tmp_path / "whole.h5", tmp_path / "m.h5")
    model = import_files([path], Given(size=(65, 49))).model
    assert (model.network.name, model.network.padding, model.network.epsilon) == ("v2-0.5-65x49", "same", 1e-3)
    pixels = noise(65, 49)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5))


def test_a_trained_network(shared_data: Path) -> None:
    path = shared_data / "weights-family" / "mobilenet_v2_0.35_128_flowers.h5"
    model = import_files([path], Given(pixels=(127.5, 127.5))).model  # as ST's model zoo states elsewhere
    assert model.network.name == "v2-0.35-128"
    pixels = photographs(shared_data / "imagenet-1000", model)
    peer = keras.models.load_model(path, {"DepthwiseConv2D": OldDepthwise}, compile=False)
    p = model.preprocess
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, p.mean, p.std))

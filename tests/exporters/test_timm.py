"""Our networks in timm's files: what timm builds and computes of them, and what comes back when they are read."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm
from safetensors import safe_open
from safetensors.torch import load
from timm.models.efficientnet import EfficientNet, _gen_mobilenet_v1, decode_arch_def
from torch import nn
from torch_peer import assert_same, noise, our_logits, torch_logits

from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.exporters.timm import to_timm
from mobilenets.image import Preprocess
from mobilenets.weights import Given, import_files
from mobilenets.weights.read.safetensors import read_safetensors
from mobilenets.weights.recognise import recognise

RandomModel = Callable[..., Any]
SHALLOW = [
    ["dsa_r1_k3_s1_c64"],
    ["dsa_r2_k3_s2_c128"],
    ["dsa_r2_k3_s2_c256"],
    ["dsa_r1_k3_s2_c512"],
    ["dsa_r2_k3_s2_c1024"],
]


def named(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=5, **settings)


def shallow() -> nn.Module:
    return EfficientNet(decode_arch_def(SHALLOW), num_classes=5, num_features=0, act_layer=nn.ReLU)


# a network, and how timm builds it
NETWORKS: dict[str, tuple[Network, Callable[[], nn.Module]]] = {
    "as timm's own": (Network(1, 224, 224, classes=5, activation="relu6"), named("mobilenetv1_100")),
    "head": (Network(1, 64, 64, classes=5, activation="relu6", head=1024), named("mobilenetv1_100h")),
    "ReLU": (Network(1.25, 64, 64, classes=5), named("mobilenetv1_125", act_layer="relu")),
    "TensorFlow's": (
        Network(1, 97, 65, classes=5, padding="same", activation="relu6", epsilon=1e-3),
        named("mobilenetv1_100", pad_type="same"),
    ),
    "Keras', at an even size": (
        Network(1, 64, 96, classes=5, padding="keras", epsilon=1e-3),
        named("mobilenetv1_100", pad_type="same", act_layer="relu"),
    ),
    "grey": (Network(1, 64, 48, 1, 5, activation="relu6"), named("mobilenetv1_100", in_chans=1)),
    "half": (
        Network(0.5, 64, 64, classes=5, activation="relu6", epsilon=0.1),
        lambda: _gen_mobilenet_v1("half", 0.5, num_classes=5),
    ),
    "shallow": (Network(1, 64, 64, classes=5, blocks=SHALLOW_BODY), shallow),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_timm_computes_the_same(name: str, random_model: RandomModel) -> None:
    network, build = NETWORKS[name]
    model, peer = random_model(network, seed=3), build()
    peer.load_state_dict(load(to_timm(model)), strict=True)
    pixels = noise(network.height, network.width, network.channels)
    assert_same(our_logits(model, pixels), torch_logits(peer.eval(), pixels, model.preprocess))


def test_timm_opens_the_file_itself(tmp_path, random_model: RandomModel) -> None:
    model = random_model(NETWORKS["head"][0])
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_timm(model))
    peer = timm.create_model("mobilenetv1_100h", num_classes=5, checkpoint_path=str(path))
    pixels = noise(64, 64)
    assert_same(our_logits(model, pixels), torch_logits(peer.eval(), pixels, model.preprocess))


BACK = {
    **{name: network for name, (network, _) in NETWORKS.items()},
    "widths of its own": Network(1, 64, 64, classes=3, stem=7, blocks=(Block(2, 12), Block(1, 5), Block(2, 9))),
    "odd alpha": Network(0.37, 64, 64, classes=2, rounding="multiple_of_8"),
    "one channel": Network(0.03, 64, 64, classes=3),
    "grey, tiny": Network(0.25, 48, 33, 1, 2, blocks=(Block(2, 48), Block(1, 64), Block(2, 40)), head=70),
}


@pytest.mark.parametrize("name", BACK)
def test_it_comes_back_as_it_was(name: str, tmp_path, random_model: RandomModel) -> None:
    network = BACK[name]
    preprocess = Preprocess(network.height, network.width, network.channels, 0.75, "box", mean=100.0, std=50.0)
    labels = tuple(f"größer {i}" for i in range(network.classes))
    model = replace(random_model(network), preprocess=preprocess, labels=labels)
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_timm(model))
    back = import_files([path]).model
    assert (back.network, back.preprocess, back.labels) == (network, preprocess, labels)
    assert all(np.allclose(back.weights[name], array, rtol=1e-6) for name, array in model.weights.items())
    assert network.epsilon != 1e-5 or back.digest() == model.digest()
    pixels = noise(network.height, network.width, network.channels)
    np.testing.assert_allclose(our_logits(back, pixels), our_logits(model, pixels), rtol=1e-4, atol=1e-4)


def test_the_user_goes_before_the_file(random_model: RandomModel) -> None:
    content = read_safetensors(to_timm(random_model(NETWORKS["ReLU"][0])))
    given = Given((96, 32), (0.0, 255.0), "relu6", "same", 1e-3, tuple("abcde"))
    model = recognise(content, given).model
    assert model.network == Network(1.25, 96, 32, classes=5, activation="relu6", padding="same", epsilon=1e-3)
    assert (model.preprocess.height, model.preprocess.std, model.labels) == (96, 255.0, tuple("abcde"))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (
            Network(0.25, 64, 64, convolution="full"),
            "^a network of full convolutions: timm's MobileNet v1 has separable",
        ),
        (Network(0.25, 64, 65, padding="keras"), "^padding keras on 64x65: timm pads as PyTorch or TensorFlow does"),
    ],
)
def test_what_timm_cannot_build(network: Network, reason: str, random_model: RandomModel) -> None:
    with pytest.raises(UsageError, match=reason):
        to_timm(random_model(network))


@pytest.mark.parametrize(
    "change", [{"alpha": 0.5}, {"blocks": SHALLOW_BODY}, {"head": 12}, {"channels": 1}, {"stem": 8}]
)
def test_metadata_of_another_network_is_refused(change: dict[str, Any], tmp_path, random_model: RandomModel) -> None:
    network = Network(0.25, 32, 32, classes=2)
    content = to_timm(random_model(network))
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = metadata | {"mobilenets_network": network.replace(**change).to_json()}
    text = json.dumps(header).encode()
    said = (
        r"^its metadata states the network .*, but layer \d+ does not match it$|^its metadata: the preprocessing gives"
    )
    with pytest.raises(ModelFileError, match=said):
        recognise(read_safetensors(len(text).to_bytes(8, "little") + text + content[end:]))


def test_the_same_bytes_every_time(random_model: RandomModel) -> None:
    model = random_model(Network(0.25, 32, 32, classes=2))
    assert len({to_timm(model) for _ in range(5)}) == 1

"""V2, V3 and V4 in the files of torchvision and timm: what those libraries build and compute of them."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import MakeModel
from safetensors.torch import load
from torch_peer import assert_same, noise, our_logits, torch_logits

from mobilenets.arch.network import Block, Network
from mobilenets.arch.zoo import named
from mobilenets.errors import MobilenetsError, NetworkError
from mobilenets.exporters.pytorch import V3_WIDTHS, to_pytorch
from mobilenets.exporters.timm import to_timm
from mobilenets.weights import import_files

# our network, torchvision's model and its width
TORCHVISION: dict[str, tuple[Network, str, float]] = {
    "v2": (named("v2-0.35-64"), "mobilenet_v2", 0.35),
    "v2, wide, another epsilon": (named("v2-1.2-65x49").replace(epsilon=1e-3), "mobilenet_v2", 1.2),
    "v3 small": (named("v3-small-1.0-64"), "mobilenet_v3_small", 1.0),
    "v3 small, narrow": (named("v3-small-0.35-64x96").replace(**V3_WIDTHS), "mobilenet_v3_small", 0.35),
    "v3 large": (named("v3-large-0.75-64").replace(**V3_WIDTHS, epsilon=0.01), "mobilenet_v3_large", 0.75),
}
# our network, timm's model and its settings
TIMM: dict[str, tuple[Network, str, dict[str, Any]]] = {
    "v2": (named("v2-0.35-64"), "mobilenetv2_035", {}),
    "v2, TensorFlow's": (
        named("v2-0.5-65x96").replace(padding="same", epsilon=1e-3),
        "mobilenetv2_050",
        {"pad_type": "same"},
    ),
    "v2 with ReLU, grey": (
        named("v2-1.4-64").replace(activation="relu", channels=1),
        "mobilenetv2_140",
        {"act_layer": "relu", "in_chans": 1},
    ),
    "v3 small": (named("v3-small-0.5-64"), "mobilenetv3_small_050", {}),
    "v3 small, 1.0": (named("v3-small-1.0-64x96").replace(epsilon=1e-3), "mobilenetv3_small_100", {}),
    "v3 large": (named("v3-large-0.75-64"), "mobilenetv3_large_075", {}),
    "minimalistic": (
        named("v3-small-minimalistic-1.0-65").replace(padding="same"),
        "tf_mobilenetv3_small_minimal_100",
        {},
    ),
    "minimalistic large": (
        named("v3-large-minimalistic-1.0-64"),
        "tf_mobilenetv3_large_minimal_100",
        {"pad_type": ""},
    ),
    "v4 small": (named("v4-conv-small-0.35-64"), "mobilenetv4_conv_small_035", {}),
    "v4 small, 1.0": (named("v4-conv-small-1.0-64"), "mobilenetv4_conv_small", {}),
    "v4 medium": (named("v4-conv-medium-1.0-64"), "mobilenetv4_conv_medium", {}),
}
LARGE = {
    *("v2, wide, another epsilon", "v2 with ReLU, grey", "v3 small", "v3 small, 1.0", "minimalistic large"),
    *("v4 small, 1.0", "v4 medium"),
}


def quick(names: Iterable[str]) -> list[Any]:
    """Return the names, those of the largest networks marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in names]


@pytest.mark.parametrize("name", quick(TORCHVISION))
def test_torchvision_computes_the_same(name: str, random_model: MakeModel) -> None:
    network, theirs, width = TORCHVISION[name]
    model = random_model(network.replace(classes=5), seed=3)
    peer = getattr(torchvision.models, theirs)(num_classes=5, width_mult=width)
    tensors = torch.load(io.BytesIO(to_pytorch(model)), weights_only=True)
    counters = {key: value for key, value in peer.state_dict().items() if key.endswith("num_batches_tracked")}
    peer.load_state_dict({**tensors, **counters}, strict=True)
    pixels = noise(network.height, network.width)
    assert_same(our_logits(model, pixels), torch_logits(peer.eval(), pixels, model.preprocess))


@pytest.mark.parametrize("name", quick(TIMM))
def test_timm_computes_the_same(name: str, random_model: MakeModel) -> None:
    network, theirs, settings = TIMM[name]
    model = random_model(network.replace(classes=5), seed=3)
    peer = timm.create_model(theirs, num_classes=5, **settings)
    peer.load_state_dict(load(to_timm(model)), strict=True)
    pixels = noise(network.height, network.width, network.channels)
    assert_same(our_logits(model, pixels), torch_logits(peer.eval(), pixels, model.preprocess))


@pytest.mark.parametrize("name", quick(TIMM))
def test_timms_file_comes_back_as_it_was(name: str, tmp_path: Path, random_model: MakeModel) -> None:
    model = random_model(TIMM[name][0].replace(classes=5))
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_timm(model))
    back = import_files([path]).model
    assert (back.network, back.labels) == (model.network, model.labels)
    pixels = noise(model.network.height, model.network.width, model.network.channels)
    assert_same(our_logits(model, pixels), our_logits(back, pixels))


@pytest.mark.parametrize(
    ("format", "network", "message"),
    [
        (
            to_pytorch,
            named("v4-conv-small-0.35-64"),
            "^v4-conv-small-0.35-64: torchvision has no network v4-conv-small",
        ),
        (to_pytorch, named("v3-small-minimalistic-1.0-64"), "torchvision has no network v3-small-minimalistic"),
        (to_pytorch, named("v2-0.5-64").replace(padding="same"), r"^op conv0 \(conv \(32, 32, 16\)\): torchvision has"),
        (to_pytorch, named("v3-small-0.5-64"), r"^op conv0 \(conv .*16\)\): torchvision has conv \(32, 32, 8\)"),
        (to_pytorch, named("v2-0.5-64").replace(activation="relu"), r"^op conv0_act \(relu .*: torchvision has relu6"),
        (to_timm, named("v3-large-1.4-64"), r"^op hidden \(pointwise \(1, 1, 1792\)\): timm has .* 1280\)"),
        (to_timm, named("v2-0.7-64").replace(rounding="floor"), r"^op conv0 \(.*22\)\): timm has conv \(32, 32, 24\)"),
        (to_timm, named("v3-small-1.0-65").replace(padding="keras"), "^padding keras on 65x65: timm pads as"),
        (to_timm, named("v2-1.0-64").replace(hidden=64), r"^op hidden .*: timm has fully_connected"),
        (
            to_timm,
            Network(blocks=(Block(1, 64), Block(1, 24, expansion=96))),
            "^1-224: .* blocks of published networks",
        ),
        (to_timm, Network(1, 32, 32, hidden=64), r"^hidden \(=64\): export to PyTorch and timm has no hidden layer"),
    ],
)
def test_what_a_library_does_not_have(format: Any, network: Network, message: str, random_model: MakeModel) -> None:
    with pytest.raises(MobilenetsError, match=message):
        format(random_model(network.replace(classes=3)))


@pytest.mark.parametrize("format", [to_timm, to_pytorch])
@pytest.mark.parametrize("block", [Block(1, 24, expansion=16), Block(1, 24, expansion=48), Block(1, 24, kernel=5)])
def test_blocks_that_no_published_network_has(format: Any, block: Block, random_model: MakeModel) -> None:
    """A linear or a 5x5 block would be read back as another network."""
    model = random_model(Network(1.0, 32, 32, stem=16, blocks=(Block(1, 16), block), classes=3))
    with pytest.raises(NetworkError, match=r"^1-32: export to PyTorch and timm has the blocks of published networks"):
        format(model)

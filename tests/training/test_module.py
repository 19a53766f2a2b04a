"""The torch module against torch's peers and against the exported graph."""

import numpy as np
import pytest
import torch
from conftest import MakeModel
from torch import nn

from mobilenets.arch import Network, expand
from mobilenets.arch.graph import weight_shapes
from mobilenets.arch.network import SHALLOW_BODY
from mobilenets.costs import cost
from mobilenets.errors import ParityError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.runtime.session import Session
from mobilenets.training.module import MobileNet, initialise, load_weights, weights_of
from mobilenets.training.parity import check_parity

ODD = [
    Network(alpha=0.25, height=96, width=96, classes=5),
    Network(alpha=0.13, height=33, width=70, channels=1, classes=3, padding="same", activation="relu6"),
    Network(alpha=0.3, height=64, width=64, classes=7, convolution="full", blocks=SHALLOW_BODY, padding="same"),
    Network(alpha=0.2, height=100, width=40, classes=3, padding="keras", blocks=SHALLOW_BODY, head=96),
    Network(alpha=0.4, height=45, width=32, classes=2, rounding="multiple_of_8", epsilon=1e-3),
]


@pytest.mark.parametrize("network", ODD, ids=lambda n: n.name)
def test_parameters_are_those_of_the_graph(network: Network) -> None:
    module = MobileNet(expand(network))
    assert {name: array.shape for name, array in weights_of(module.state_dict()).items()} == weight_shapes(
        expand(network)
    )
    assert sum(parameter.numel() for parameter in module.parameters()) == cost(network).params


@pytest.mark.parametrize("network", ODD, ids=lambda n: n.name)
def test_exported_network_agrees_with_torch(network: Network, random_model: MakeModel) -> None:
    model = random_model(network)
    assert check_parity(model, Session.from_onnx(to_onnx(model)).logits) < 1e-4


def test_parity_refuses_a_network_that_differs(random_model: MakeModel) -> None:
    model, other = random_model(ODD[0]), random_model(ODD[0], seed=1)
    with pytest.raises(ParityError, match="differ from torch's"):
        check_parity(model, Session.from_onnx(to_onnx(other)).logits)
    with pytest.raises(ParityError):
        check_parity(model, lambda images: np.full((len(images), 5), np.nan, np.float32))


def test_same_logits_as_timm(random_model: MakeModel) -> None:
    """timm's MobileNet v1 holds the same layers in the same order."""
    import timm

    network = Network(height=64, width=64, classes=11, activation="relu6")
    peer = timm.create_model("mobilenetv1_100", num_classes=11).eval()
    model = random_model(network)
    arrays = [torch.from_numpy(array) for array in model.weights.values()]
    slots = [tensor for name, tensor in peer.state_dict().items() if "num_batches" not in name]
    assert [tensor.shape for tensor in slots] == [array.shape for array in arrays]
    for slot, array in zip(slots, arrays, strict=True):
        slot.copy_(array)
    module = MobileNet(model.graph).eval()
    load_weights(module, model.weights)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(module(x), peer(x), rtol=1e-4, atol=1e-4)


def test_initialisation_follows_the_seed() -> None:
    first, second, other = (MobileNet(expand(ODD[0])) for _ in range(3))
    for module, seed in ((first, 1), (second, 1), (other, 2)):
        initialise(module, seed)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.get_submodule("pw1").weight, other.get_submodule("pw1").weight)  # type: ignore[arg-type]


def test_strided_depthwise_stays_in_fp32_under_autocast() -> None:
    module = MobileNet(expand(ODD[0]))
    kept = [name for name, layer in module.named_modules() if getattr(layer, "keep_fp32", False)]
    assert kept == ["dw2", "dw4", "dw6", "dw12"]
    seen: list[torch.dtype] = []
    module.get_submodule("dw2").register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    module.get_submodule("dw3").register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        module(torch.zeros(2, 3, 96, 96))
    assert seen == [torch.float32, torch.bfloat16]


def test_load_weights_refuses_what_does_not_fit(random_model: MakeModel) -> None:
    module = MobileNet(expand(ODD[0]))
    weights = dict(random_model(ODD[0]).weights)
    del weights["fc.bias"]
    with pytest.raises(ValueError, match=r"fc\.bias"):
        load_weights(module, weights)


def test_padding_is_nn_conv2d_s_where_symmetric() -> None:
    layers = [m for m in MobileNet(expand(ODD[0])).modules() if isinstance(m, nn.Conv2d)]
    assert all(layer.padding == (layer.kernel_size[0] // 2,) * 2 for layer in layers)

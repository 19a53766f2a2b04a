"""The families' counts: those of their papers, and per layer those of torchvision, timm and keras.applications."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mobilenets.arch import Network, expand, named
from mobilenets.arch.ops import CONVOLUTIONS
from mobilenets.arch.zoo import FAMILIES
from mobilenets.costs import cost

Rows = list[tuple[int, int, int, int, int]]  # kernel, stride, groups, channels taken and given, of each convolution


def ours(network: Network) -> Rows:
    """Return the convolutions and linear layers in execution order."""
    rows = []
    for op in expand(network).ops:
        if op.kind in (*CONVOLUTIONS, "fully_connected"):
            groups = op.shape_in[2] if op.kind == "depthwise" else 1
            rows.append((op.kernel, op.stride, groups, op.shape_in[2], op.shape_out[2]))
    return rows


def of_torch(module: Any, size: int) -> Rows:
    """Return the convolutions and linear layers in the order in which an image passes them."""
    torch = pytest.importorskip("torch")
    rows: Rows = []

    def seen(layer: Any, _: Any, __: Any) -> None:
        if isinstance(layer, torch.nn.Conv2d):
            rows.append((layer.kernel_size[0], layer.stride[0], layer.groups, layer.in_channels, layer.out_channels))
        else:
            rows.append((1, 1, 1, layer.in_features, layer.out_features))

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(seen)
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, size, size))
    return rows


def of_keras(model: Any) -> Rows:
    """Return the convolutions in the order of the layers of a Keras model."""
    rows: Rows = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "DepthwiseConv2D":
            channels = layer.input.shape[-1]
            rows.append((layer.kernel_size[0], layer.strides[0], channels, channels, channels))
        elif kind == "Conv2D":
            rows.append((layer.kernel_size[0], layer.strides[0], 1, layer.input.shape[-1], layer.filters))
        elif kind == "Dense":
            rows.append((1, 1, 1, layer.input.shape[-1], layer.units))
    return rows


@pytest.mark.parametrize(
    ("name", "mult_adds_m", "params_m"),
    [
        # Sandler et al. 2018, Table 4, and TF-slim's README of V2
        ("v2-1.0-224", 300, 3.4),  # the table rounds 3.50 to 3.4; TF-slim's README has 3.47
        ("v2-1.4-224", 582, 6.06),  # 6.9 in the paper's table, 6.06 in TF-slim's README
        ("v2-0.75-224", 209, 2.61),
        ("v2-0.5-224", 97, 1.95),
        ("v2-0.35-224", 59, 1.66),
        ("v2-0.35-96", 11, 1.66),
        # Howard et al. 2019, Table 3, and TF-slim's README of V3
        ("v3-large-1.0-224", 217, 5.4),  # 219 in the paper's text of Table 3, 217 in TF-slim's README
        ("v3-large-0.75-224", 155, 4.0),
        ("v3-small-1.0-224", 56, 2.5),  # 66 and 2.9 in TF-slim's README, of an earlier version
        ("v3-small-0.75-224", 44, 2.0),  # 2.4 in TF-slim's README
        ("v3-large-minimalistic-1.0-224", 209, 3.9),
        ("v3-small-minimalistic-1.0-224", 52, 2.0),  # 65 in TF-slim's README; the layers of Keras and timm have 52
        # Qin et al. 2024, Table 5
        ("v4-conv-small-1.0-224", 200, 3.8),  # "0.2 G"
        ("v4-conv-medium-1.0-256", 1100, 9.2),  # "1.0 G" and 9.2; timm has 9.7, with the hidden layer's
        # Qin et al. 2018 (FD-MobileNet), Table 3
        ("fd-1.0-224", 144, 2.9),
        ("fd-0.5-224", 40, 1.0),
        ("fd-0.25-224", 12, 0.383),
    ],
)
def test_published_counts(name: str, mult_adds_m: float, params_m: float) -> None:
    found = cost(named(name))
    near = pytest.approx(mult_adds_m, rel=0.08 if name.startswith("v4") else 0.02, abs=1)  # 11.9 is printed as 11
    assert found.mult_adds / 1e6 == near
    assert found.params / 1e6 == pytest.approx(params_m, rel=0.06)


TORCHVISION = {"stem_scaling": "alpha", "expansion_scaling": "alpha", "hidden_scaling": "alpha"}  # of its V3


@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.4])
@pytest.mark.parametrize("family", ["v2", "v3-large", "v3-small"])
def test_equals_torchvision(family: str, alpha: float) -> None:
    models = pytest.importorskip("torchvision").models
    make: Callable[..., Any] = {
        "v2": models.mobilenet_v2,
        "v3-large": models.mobilenet_v3_large,
        "v3-small": models.mobilenet_v3_small,
    }[family]
    network = named(f"{family}-{alpha}-64")
    if family != "v2":
        network = network.replace(**TORCHVISION)
    module = make(width_mult=alpha)
    assert ours(network) == of_torch(module, 64)
    assert cost(network).params == sum(p.numel() for p in module.parameters())


def timm_models() -> Iterable[tuple[str, str]]:
    """Yield (our name, timm's name)."""
    for alpha in ("035", "050", "075", "100", "140"):
        yield f"v2-{int(alpha) / 100}-64", f"mobilenetv2_{alpha}"
    for alpha in ("050", "075", "100"):
        yield f"v3-small-{int(alpha) / 100}-64", f"mobilenetv3_small_{alpha}"
    for alpha in ("075", "100"):
        yield f"v3-large-{int(alpha) / 100}-64", f"mobilenetv3_large_{alpha}"
    yield "v3-large-minimalistic-1.0-64", "tf_mobilenetv3_large_minimal_100"
    yield "v3-small-minimalistic-1.0-64", "tf_mobilenetv3_small_minimal_100"
    for alpha in ("_035", "_050", ""):
        yield f"v4-conv-small-{int(alpha[1:] or 100) / 100}-64", f"mobilenetv4_conv_small{alpha}"
    yield "v4-conv-medium-1.0-64", "mobilenetv4_conv_medium"


@pytest.mark.parametrize(("name", "theirs"), list(timm_models()))
def test_equals_timm(name: str, theirs: str) -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model(theirs)
    assert ours(named(name)) == of_torch(module, 64)
    assert cost(named(name)).params == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("alpha", [0.35, 1.3, *(pytest.param(alpha, marks=pytest.mark.slow) for alpha in (0.75, 1.0))])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name.startswith(("v2", "v3"))])
def test_equals_keras_applications(family: str, alpha: float) -> None:
    keras = pytest.importorskip("keras")
    network = named(f"{family}-{alpha}-64")
    if family == "v2":
        model = keras.applications.MobileNetV2((64, 64, 3), alpha, weights=None)
    else:
        network = network.replace(stem_scaling="none")
        make = keras.applications.MobileNetV3Large if "large" in family else keras.applications.MobileNetV3Small
        model = make((64, 64, 3), alpha, "minimalistic" in family, weights=None)
    assert ours(network) == of_keras(model)
    assert cost(network).params == sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alpha", [0.1, 0.35, 1.0, 1.7])
@pytest.mark.parametrize("size", ["32", "96x160", "225"])
def test_names_and_json_round_trip(family: str, alpha: float, size: str) -> None:
    network = named(f"{family}-{alpha}-{size}".removeprefix("-"))
    assert named(network.name) == network == Network.from_json(network.to_json())
    assert expand(network).ops[-1].shape_out == (1, 1, 1000)

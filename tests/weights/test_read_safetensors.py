"""timm's and transformers' files against timm and torch; any other names against torch."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save
from torch import nn
from torch_peer import BLOCKS, Listed, Paired, Staged, assert_same, conv, noise, our_logits, randomise, torch_logits

from mobilenets.arch.network import BODY, Network
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.image import Preprocess
from mobilenets.weights import Given, Imported
from mobilenets.weights.read.safetensors import read_safetensors
from mobilenets.weights.recognise import recognise

GIVEN = Given(size=(64, 64), pixels=(127.5, 127.5), activation="relu")


def read(tensors: dict[str, torch.Tensor], given: Given | None = None, **metadata: str) -> Imported:
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return recognise(read_safetensors(save(contiguous, {"format": "pt", **metadata})), given)


@pytest.mark.parametrize(
    ("name", "alpha", "head"),
    [("mobilenetv1_100", 1.0, 0), ("mobilenetv1_100h", 1.0, 1024), ("mobilenetv1_125", 1.25, 0)],
)
def test_timm(name: str, alpha: float, head: int) -> None:
    peer = randomise(timm.create_model(name, num_classes=10))
    imported = read(peer.state_dict())
    model = imported.model
    assert model.network == Network(alpha, 224, 224, classes=10, head=head, activation="relu6")
    assert model.preprocess == Preprocess(224, 224, resize="bicubic")
    assert {fact.name for fact in imported.facts if fact.source == "convention of timm"} == {
        "size", "activation", "epsilon", "pixels", "padding", "fit", "crop", "resize"
    }  # fmt: skip
    pixels = noise(224, 224)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


@pytest.mark.parametrize("size", [(96, 96), (101, 64)])
def test_timm_grey_with_other_settings(size: tuple[int, int]) -> None:
    """A grey stem is shaped like a depthwise convolution; what the user says goes before the convention."""
    peer = randomise(timm.create_model("mobilenetv1_100", num_classes=3, in_chans=1, pad_type="same", act_layer="relu"))
    model = read(peer.state_dict(), Given(size=size, padding="same", activation="relu", pixels=(0.0, 255.0))).model
    assert model.network == Network(1.0, *size, channels=1, classes=3, padding="same")
    pixels = noise(*size, 1)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


class SamePadded(nn.Module):
    """Pads as TensorFlow does, then convolves."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.convolution = conv(*shape)
        self.convolution.padding = (0, 0)
        self.normalization = nn.BatchNorm2d(shape[1], eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max(kernel - (stride if side % stride == 0 else side % stride), 0)
            pads += [total // 2, total - total // 2]
        return nn.functional.relu6(self.normalization(self.convolution(nn.functional.pad(x, pads))))


class Transformers(nn.Module):
    """A network of TensorFlow's under the names of transformers' MobileNetV1ForImageClassification."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.mobilenet_v1 = nn.Module()
        self.mobilenet_v1.conv_stem = SamePadded(channels, 8, 3, 2)
        layers, width = [], 8
        for out, stride in BLOCKS:
            layers += [SamePadded(width, width, 3, stride, width), SamePadded(width, out, 1)]
            width = out
        self.mobilenet_v1.layer = nn.ModuleList(layers)
        self.classifier = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mobilenet_v1.conv_stem(x)
        for layer in self.mobilenet_v1.layer:
            x = layer(x)
        return self.classifier(x.mean((2, 3)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (49, 70)])
def test_transformers(size: tuple[int, int], channels: int) -> None:
    peer = randomise(Transformers(channels))
    imported = read(peer.state_dict(), Given(size=size))
    model = imported.model
    wanted = Network(0.25, *size, channels=channels, classes=5, padding="same", epsilon=1e-3, activation="relu6")
    assert model.network == wanted
    assert {fact.name for fact in imported.facts if fact.source == "convention of transformers"} == {
        "activation", "epsilon", "pixels", "padding"
    }  # fmt: skip
    pixels = noise(*size, channels)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


def test_transformers_does_not_say_its_size() -> None:
    with pytest.raises(
        UsageError, match=r"the file does not say the image size \(--img-size\): flags of mobilenets import$"
    ):
        read(Transformers().state_dict())


@pytest.mark.parametrize("kind", [Listed, Paired, Staged])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_other_names_in_natural_order(kind: type[nn.Module], prefix: str) -> None:
    """The file sorts names as text: bn1 before conv1, layer 10 before layer 2, fc before model."""
    peer = randomise(kind())
    model = read({prefix + name: tensor for name, tensor in peer.state_dict().items()}, GIVEN).model
    assert model.network == Network(0.25, 64, 64, classes=5)
    pixels = noise(64, 64)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


def test_wrappers_go_only_where_all_names_have_them() -> None:
    tensors = {f"module.{name}": tensor for name, tensor in timm.create_model("mobilenetv1_100").state_dict().items()}
    assert read(tensors).model.network.activation == "relu6"  # timm's names were seen
    tensors["classifier.weight"] = tensors.pop("module.classifier.weight")
    with pytest.raises(ModelFileError, match=r"^module\.classifier: bias \(1000,\): no layer of a MobileNet"):
        read(tensors)


@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11), (torch.float64, 2**-24)])
def test_other_number_formats(dtype: torch.dtype, step: float) -> None:
    """Each array is within half a step of what it was; NumPy knows no bfloat16."""
    tensors = {
        name: t.to(dtype) if t.is_floating_point() else t for name, t in randomise(Listed()).state_dict().items()
    }
    exact = read({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, GIVEN).model
    model = read(tensors, GIVEN).model
    assert model.digest() == exact.digest()
    before = read(randomise(Listed()).state_dict(), GIVEN).model.weights
    assert all(np.allclose(model.weights[name], before[name], rtol=step, atol=1e-6) for name in before)


def test_what_no_name_says_is_asked_for() -> None:
    with pytest.raises(
        UsageError, match=r"does not say the image size .*; nor the activation .*; nor how pixels"
    ) as error:
        read(Listed().state_dict())
    assert "padding" not in str(error.value) and "epsilon" not in str(error.value)  # PyTorch's


def test_strides_of_other_depths_are_unknown() -> None:
    tensors = {name: t for name, t in Listed().state_dict().items() if not name.startswith(("model.8", "model.9"))}
    with pytest.raises(ModelFileError, match="11 blocks, and the file does not say their strides"):
        read(tensors, GIVEN)


def test_our_own_model_is_refused(random_model, tmp_path) -> None:
    path = random_model(Network(0.25, 32, 32, classes=2)).save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match=r"^it is a mobilenets model already"):
        read_safetensors(path.read_bytes())


def test_the_networks_of_these_tests_are_the_papers() -> None:
    assert [(block.channels // 4, block.stride) for block in BODY] == BLOCKS

"""PyTorch state dicts under several names, as torch.save writes them, against torch."""

import argparse
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch_peer import Listed, Paired, Staged, assert_same, conv, noise, our_logits, randomise, saved, torch_logits

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Network
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.model import Model
from mobilenets.training.module import MobileNet
from mobilenets.weights import Given, import_files
from mobilenets.weights.read.pytorch import read_pytorch
from mobilenets.weights.recognise import recognise

GIVEN = Given(size=(64, 64), pixels=(127.5, 127.5), activation="relu")


def read(content: bytes, given: Given | None = GIVEN) -> Model:
    return recognise(read_pytorch(content), given).model


def grey() -> nn.Module:
    return Listed(channels=1)


def relu6() -> nn.Module:
    return Listed(nn.ReLU6)


def ours() -> nn.Module:
    return MobileNet(expand(Network(0.25, 64, 64, classes=5, head=1024)))


class InOrder(nn.Module):
    """Names that say nothing; the classifier has no bias."""

    def __init__(self) -> None:
        super().__init__()
        parts = list(Listed().model.modules())
        self.parts = nn.Sequential(*(part for part in parts if not isinstance(part, nn.Sequential)))
        self.logits = nn.Linear(256, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(self.parts(x).flatten(1))


@pytest.mark.parametrize("kind", [Listed, Paired, Staged, InOrder, grey, relu6, ours])
def test_any_names_in_the_order_in_which_they_run(kind: Callable[[], nn.Module]) -> None:
    peer = randomise(kind())
    given = Given(size=(64, 64), pixels=(127.5, 127.5), activation="relu6" if kind is relu6 else "relu")
    model = read(saved(peer.state_dict()), given)
    channels, head = 1 if kind is grey else 3, 1024 if kind is ours else 0
    wanted = Network(0.25, 64, 64, channels=channels, classes=5, head=head, activation=given.activation)
    assert model.network == wanted
    pixels = noise(64, 64, channels)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


def test_timms_names_bring_its_conventions() -> None:
    peer = randomise(timm.create_model("mobilenetv1_100h", num_classes=10))
    model = read(saved(peer.state_dict()), None)
    assert model.network == Network(1.0, 224, 224, classes=10, head=1024, activation="relu6")
    pixels = noise(224, 224)
    assert_same(our_logits(model, pixels), torch_logits(peer, pixels, model.preprocess))


def checkpoint(peer: nn.Module, key: str) -> dict[str, Any]:
    optimiser = torch.optim.Adam(peer.parameters())
    sum(p.sum() for p in peer.parameters()).backward()
    optimiser.step()
    rest = {"epoch": 3, "best": 71.25, "arch": "mobilenet", "lr": [0.1, 1e-2], "done": None, "amp": True}
    return {"optimizer": optimiser.state_dict(), key: peer.state_dict(), **rest}


WRAPPED = {
    key: lambda peer, key=key: checkpoint(peer, key)
    for key in ("state_dict", "model", "model_state_dict", "net", "weights", "network", "ema")
}
HOLDS = {
    **WRAPPED,
    "averaged weights before raw ones": lambda peer: {
        "state_dict": {name: t * 0 for name, t in peer.state_dict().items()},
        "state_dict_ema": peer.state_dict(),
    },
    "an average around its module": lambda peer: {
        "model": {name: t * 0 for name, t in peer.state_dict().items()},
        "model_ema": torch.optim.swa_utils.AveragedModel(peer).state_dict(),
    },
    "an average within a checkpoint": lambda peer: {
        "model": {name: t * 0 for name, t in peer.state_dict().items()},
        "ema": {"module": peer.state_dict(), "decay": 0.999},
    },
    "no average yet": lambda peer: {"ema": None, "model": peer.state_dict()},
    "settings of the script": lambda peer: {"args": argparse.Namespace(lr=1), "state_dict": peer.state_dict()},
    "data parallel": lambda peer: nn.DataParallel(peer).state_dict(),
    "compiled": lambda peer: {f"_orig_mod.{name}": t for name, t in peer.state_dict().items()},
    "in a model": lambda peer: {"state_dict": {f"model.{name}": t for name, t in peer.state_dict().items()}},
    "parameters": lambda peer: OrderedDict(peer.state_dict(keep_vars=True)),
    "channels last": lambda peer: peer.to(memory_format=torch.channels_last).state_dict(),
    "one storage": lambda peer: shared(peer.state_dict()),
}


def shared(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors as views of one."""
    floats = {name: t for name, t in tensors.items() if t.is_floating_point()}
    parts = torch.cat([t.flatten() for t in floats.values()]).split([t.numel() for t in floats.values()])
    return {name: part.view(t.shape) for (name, t), part in zip(floats.items(), parts, strict=True)}


@pytest.mark.parametrize(
    "how",
    [{}, {"_use_new_zipfile_serialization": False}, pytest.param({"pickle_protocol": 4}, marks=pytest.mark.slow)],
    ids=str,
)
@pytest.mark.parametrize("holds", HOLDS)
def test_every_way_to_save(holds: str, how: dict[str, Any]) -> None:
    peer = randomise(Listed())
    plain = read(saved(peer.state_dict()))
    torch.manual_seed(0)
    content = saved(HOLDS[holds](peer), **how)
    expected = read(saved(peer.state_dict())) if holds in WRAPPED else plain  # the optimiser made a step
    assert read(content).digest() == expected.digest()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_formats(dtype: torch.dtype) -> None:
    peer = randomise(Listed()).to(dtype)
    assert read(saved(peer.state_dict())).digest() == read(saved(peer.float().state_dict())).digest()


def test_batch_norm_already_folded() -> None:
    """Convolutions with a bias and no batch norm."""
    parts = [part for part in InOrder().parts if not isinstance(part, nn.BatchNorm2d)]
    folded = randomise(nn.Sequential(*map(with_bias, parts), nn.Flatten(), nn.Linear(256, 5)))
    model = read(saved(folded.state_dict()))
    pixels = noise(64, 64)
    assert_same(our_logits(model, pixels), torch_logits(folded, pixels, model.preprocess))


def with_bias(part: nn.Module) -> nn.Module:
    if not isinstance(part, nn.Conv2d):
        return part
    shape = part.in_channels, part.out_channels, part.kernel_size, part.stride, part.padding
    return nn.Conv2d(*shape, groups=part.groups)


def test_no_torch_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(saved(Listed().state_dict()))
    code = f"""
import sys
from pathlib import Path
from mobilenets.weights import Given, import_files
imported = import_files([Path({str(path)!r})], Given((64, 64), (127.5, 127.5), "relu"))
print(imported.model.name, "torch" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "0.25-64 False\n"


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(saved({"epoch": 3}))
    with pytest.raises(ModelFileError, match=rf"^{path}: 'epoch' is no tensor"):
        import_files([path])
    path.write_bytes(saved(Listed().state_dict()))
    with pytest.raises(UsageError, match=rf"^{path}: the file does not say the image size"):
        import_files([path])


def tensors_of(*parts: nn.Module) -> dict[str, torch.Tensor]:
    return nn.Sequential(*parts).state_dict()


OTHERS = {
    "a list": ([1, 2], "^holds a list, not a state dict"),
    "one tensor": (torch.zeros(3), "^holds a tensor, not a state dict"),
    "under another key": ({"mine": {"a": torch.zeros(3)}}, "'mine' is no tensor: a state dict holds nothing"),
    "a detector": (
        tensors_of(conv(3, 8)) | {"regression_headers.0.weight": torch.zeros(24, 8, 3, 3)},
        "^regression_headers.0.weight: it is a detector, which is not imported",
    ),
    "whole numbers": ({"a.weight": torch.zeros(3, 3, dtype=torch.int8)}, "a.weight: int8, must be floating point"),
    "nothing": ({}, "only 0 convolutions"),
    "another network": (tensors_of(conv(3, 8), conv(8, 8)), "layer 2, 1: a full 3x3 convolution of 8"),
    "a norm first": (tensors_of(nn.BatchNorm2d(3)), "batch norm with no convolution before it"),
    "two norms": (tensors_of(conv(3, 8), nn.BatchNorm2d(8), nn.BatchNorm2d(8)), "2: a batch norm with no"),
    "a norm of other channels": (tensors_of(conv(3, 8), nn.BatchNorm2d(9)), r"1.weight: \(9,\) values for 8"),
    "a scale alone": ({"scale.weight": torch.zeros(3)}, r"scale: weight \(3,\): no layer of a MobileNet has these"),
    "a kernel of 7x7": ({"a.weight": torch.zeros(8, 3, 7, 7)}, "a: a 7x7 kernel"),
    "empty": ({"a.weight": torch.zeros(0, 3, 3, 3)}, r"shape \(0, 3, 3, 3\)"),
    "settings alone": ({"args": argparse.Namespace(lr=1)}, "'args' is no tensor: a state dict holds nothing"),
    "an exception": ({"why": ValueError("lr")}, r"^holds code \('\w+.ValueError'\), which is not"),
}


@pytest.mark.parametrize("holds", OTHERS)
def test_what_is_no_mobilenet(holds: str) -> None:
    value, reason = OTHERS[holds]
    with pytest.raises(ModelFileError, match=reason):
        read(saved(value))


def test_labels_and_epsilon_may_be_said() -> None:
    given = Given((32, 48), (0.0, 255.0), "relu6", "keras", 1e-3, tuple("abcde"))
    model = read(saved(Listed().state_dict()), given)
    assert model.labels == tuple("abcde") and model.preprocess.std == 255.0
    assert model.network == Network(0.25, 32, 48, classes=5, activation="relu6", padding="keras", epsilon=1e-3)
    assert all(np.isfinite(array).all() for array in model.weights.values())

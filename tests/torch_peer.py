"""PyTorch itself and networks that it runs: the peers of what reads and writes its files."""

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.runtime import Session


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight and every batch-norm statistic drawn; activations neither die nor explode."""
    draw = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=(2 / part.weight[0].numel()) ** 0.5, generator=draw)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.2, generator=draw)
        elif isinstance(part, nn.BatchNorm2d):
            for values in (part.weight, part.running_var):
                nn.init.uniform_(values, 0.5, 1.5, generator=draw)
            for values in (part.bias, part.running_mean):
                nn.init.normal_(values, std=0.2, generator=draw)
    return module.eval()


def torch_logits(module: nn.Module, pixels: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """What torch computes of uint8 (N, H, W, C)."""
    x = torch.from_numpy(normalise(pixels, preprocess).transpose(0, 3, 1, 2))
    with torch.inference_mode():
        return module(x).numpy()


def our_logits(model: Model, pixels: np.ndarray) -> np.ndarray:
    return Session.from_onnx(to_onnx(model)).logits(pixels)


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-4 of the largest logit; and the logits tell images and classes apart."""
    assert ours.shape == theirs.shape and min(np.ptp(theirs, axis).max() for axis in (0, 1)) > 1e-3
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (2, height, width, channels), np.uint8)


def saved(value: Any, **how: Any) -> bytes:
    """What torch.save writes."""
    content = io.BytesIO()
    torch.save(value, content, **how)
    return content.getvalue()


# (channels, stride) of each block at alpha 0.25
BLOCKS = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]


def conv(inputs: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, out, kernel, stride, kernel // 2, groups=groups, bias=False)


class Listed(nn.Module):
    """`model.{i}.{j}` and `fc`."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU, channels: int = 3) -> None:
        super().__init__()
        blocks, width = [nn.Sequential(conv(channels, 8, stride=2), nn.BatchNorm2d(8), activation())], 8
        for out, stride in BLOCKS:
            dw = (conv(width, width, 3, stride, width), nn.BatchNorm2d(width), activation())
            blocks.append(nn.Sequential(*dw, conv(width, out, 1), nn.BatchNorm2d(out), activation()))
            width = out
        self.model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.model(x).flatten(1))


class Pair(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(width, width, 3, stride, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, out, 1), nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


class Paired(nn.Module):
    """`conv1`, `bn1`, `layers.{i}.conv1`, `.bn1`, `.conv2`, `.bn2`, `linear`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 8, stride=2), nn.BatchNorm2d(8)
        widths = [8, *(out for out, _ in BLOCKS)]
        self.layers = nn.Sequential(*(Pair(w, out, s) for w, (out, s) in zip(widths, BLOCKS, strict=False)))
        self.linear = nn.Linear(256, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.layers(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


class ConvBlock(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.conv = conv(*shape)
        self.bn = nn.BatchNorm2d(shape[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class Unit(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.dw_conv, self.pw_conv = ConvBlock(width, width, 3, stride, width), ConvBlock(width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw_conv(self.dw_conv(x))


class Staged(nn.Module):
    """`features.init_block`, `features.stage{i}.unit{j}.dw_conv.conv`, ..., `output`."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("init_block", ConvBlock(3, 8, 3, 2))
        width = 8
        for number, (out, stride) in enumerate(BLOCKS, 1):
            if stride == 2 or number == 1:
                stage = nn.Sequential()
                self.features.add_module(f"stage{len(self.features)}", stage)
            stage.add_module(f"unit{len(stage) + 1}", Unit(width, out, stride))
            width = out
        self.output = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x).mean((2, 3)))

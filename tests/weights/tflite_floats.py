"""A TensorFlow Lite file computed in float64, operator by operator, with dequantised constants: no network is known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mobilenets.weights.read.tflite_file import INT8, UINT8, File, Operator


def float_logits(path: Path, pixels: np.ndarray) -> np.ndarray:
    """What goes into the softmax, for images (N, H, W, C) uint8."""
    file = File(path.read_bytes())
    first, _ = file.ends()
    scale, zero = (float(array.ravel()[0]) for array in file.scales(first, (1,)))
    unsigned = file.tensor(first).Type() == UINT8
    images = torch.from_numpy((pixels.astype(np.float64) - (0 if unsigned else 128) - zero) * scale)
    values = {first: images.permute(0, 3, 1, 2)}
    for operator in file.operators():
        if operator.kind == "SOFTMAX":
            return values[operator.takes].reshape(len(pixels), -1).numpy()
        inputs = [values[i] if i in values else constant(file, i) for i in (operator.takes, *operator.others) if i >= 0]
        values[operator.gives] = clipped(file, operator, run(operator, *inputs))
    raise AssertionError("no softmax")


def constant(file: File, index: int) -> torch.Tensor:
    stored = file.constant(index)
    if stored.dtype.kind == "f" or file.tensor(index).Type() not in (2, UINT8, INT8):
        return torch.from_numpy(stored.astype(np.float64))
    if not file.tensor(index).Quantization() or not file.tensor(index).Quantization().ScaleLength():
        return torch.from_numpy(stored.copy())  # shapes, paddings
    scale, zero = file.scales(index, stored.shape)
    if not stored.shape:  # a gate's 3 and 1/6 are rounded to 8 bits
        return torch.tensor(min((3, 1 / 6), key=lambda number: abs(number - (stored - zero) * scale)))
    return torch.as_tensor((stored - zero) * scale)


def clipped(file: File, operator: Operator, value: torch.Tensor) -> torch.Tensor:
    """A ReLU is a part of the operator, or stands in the name of the tensor alone: integers end at 0 in any case."""
    fused = getattr(operator.options, "FusedActivationFunction", lambda: 0)()
    name = (file.tensor(operator.gives).Name() or b"").decode()
    if fused == 3 or name.endswith("/Relu6"):
        return value.clamp(0, 6)
    return value.clamp(min=0) if fused == 1 or name.endswith("/Relu") else value


def run(operator: Operator, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
    kind = operator.kind
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return convolved(operator, x, *others)
    if kind == "FULLY_CONNECTED":
        return F.linear(x.flatten(1), *others)
    if kind in ("AVERAGE_POOL_2D", "MEAN"):
        return x.mean((2, 3), keepdim=True)
    if kind == "HARD_SWISH":
        return F.hardswish(x)
    if kind == "PAD":
        (_, _), (top, bottom), (left, right), (_, _) = others[0].tolist()
        return F.pad(x, (left, right, top, bottom))
    if kind in ("ADD", "MUL"):
        return x + others[0] if kind == "ADD" else x * others[0]
    assert kind in ("RESHAPE", "QUANTIZE"), kind
    return x


def convolved(operator: Operator, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    options: Any = operator.options
    depthwise, stride = operator.kind == "DEPTHWISE_CONV_2D", options.StrideH()
    kernel = kernel.permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    if options.Padding() == 0:  # SAME
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((math.ceil(size / stride) - 1) * stride + kernel.shape[2] - size, 0)
            pads += [total // 2, total - total // 2]
        x = F.pad(x, pads)
    return F.conv2d(x, kernel, bias, stride, groups=x.shape[1] if depthwise else 1)

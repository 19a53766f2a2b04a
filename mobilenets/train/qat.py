"""Quantisation-aware training: the last epochs learn under the law of `quant/scheme.py`, integer for integer.

The network is trained in floats first, to the end of its learning rate. From the best of that on its activations'
ranges are measured and stay, its batch norms are folded with the statistics that they have by then, and every forward
computes what the int8 network computes. Rounding passes gradients on as if it were not there; what an activation or the
ends of int8 cut off gets none.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arch.fold import without_batch_norm
from ..arch.graph import Graph
from ..arch.layers import Layer
from ..arch.ops import CONVOLUTIONS, Consumer, Op
from ..errors import ModelFileError, TrainingError
from ..files import write_atomic
from ..image import Pixels, Preprocess
from ..model import Model
from ..quant.calibrate import ranges_by
from ..quant.correct import correct_biases
from ..quant.integers import MOST_BIAS, SMALLEST_SCALE, image_scale, to_integers
from ..quant.observe import channel_ranges, histograms, mean_sums, whole
from ..quant.scheme import HIGH, LOW, Affine, Floats, IntegerLayer, QuantModel, integer_layers, limits, pool_multiplier
from ..runtime.activations import open_activations
from ..schema import parsed, read
from .module import MobileNet

__all__ = ["IMAGES", "RATE", "attach", "calibrated", "more_epochs", "read_activations", "to_model", "write_activations"]

QAT = Consumer(
    "quantisation-aware training",
    handles="input conv depthwise pointwise relu relu6 global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),
    refuses="hard_swish hard_sigmoid add multiply batch_norm".split(),  # batch norm is folded before
)
SHARE = 0.2  # epochs in integers, of those in floats
IMAGES = 512  # that ranges are measured on
CORRECTED = 64  # of them, from which biases are corrected
RATE = 0.01  # of the peak learning rate, at which they start: with batch norms that stay, more soon overfits

Activations = Mapping[str, Affine]


def more_epochs(epochs: int) -> int:
    """How many learn in integers, after `epochs` in floats."""
    return max(1, round(epochs * SHARE))


def calibrated(model: Model, images: Pixels) -> tuple[dict[str, Affine], Model]:
    """What the integers of each array stand for, from what `model` computes on `images` (N, H, W, C) uint8; and `model`
    with biases that take back how rounding shifts the means.
    """
    QAT.check(without_batch_norm(model.graph).ops)
    run = open_activations(model)
    found = histograms(run, images, whole(channel_ranges(run, images)))
    integers = to_integers(model, ranges_by("mse", found))
    seen = images[:CORRECTED]
    corrected = correct_biases(integers, mean_sums(model, run, seen), seen)
    weights, sources = dict(model.weights), integers.sources()
    for name, layer in corrected.layers.items():
        shift = (layer.bias - integers.layers[name].bias) * (np.float64(sources[name][0].scale) * layer.scale)
        bias = f"{name}.bias" if f"{name}.bias" in weights else f"{name}_bn.bias"
        weights[bias] = (weights[bias] + shift).astype(np.float32)
    return dict(integers.activations), replace(model, weights=weights)


def write_activations(path: Path, activations: Activations) -> None:
    write_atomic(path, json.dumps({name: [a.scale, a.zero_point] for name, a in activations.items()}) + "\n")


def read_activations(path: Path) -> dict[str, Affine]:
    """What `write_activations` wrote; `TrainingError` where it is gone or something else."""
    try:
        kept = read(dict[str, tuple[float, int]], parsed(path.read_text("utf-8"), "activations"), "activations")
        return {name: Affine(scale, zero) for name, (scale, zero) in kept.items()}
    except (OSError, ValueError, ModelFileError) as exc:
        raise TrainingError(f"{path}: cannot be resumed without it: {exc}") from exc


def attach(module: nn.Module, activations: Activations, preprocess: Preprocess) -> None:
    """From now on `module` computes in integers, in training and in evaluation; its parameters stay as they are."""
    assert isinstance(module, MobileNet)
    module.forward = partial(_forward, module, activations, preprocess)  # type: ignore[method-assign]


def to_model(module: nn.Module, activations: Activations, model: Model) -> QuantModel:
    """The int8 network that `module` computes, with all else as `model` has it."""
    assert isinstance(module, MobileNet)
    layers = {}
    with torch.no_grad():
        for layer, source, _ in _chain(module.graph, activations):
            op = layer.op
            if op.kind != "global_average_pool":
                weight, bias, scale = (t.cpu() for t in _integers(module, op, source, model.preprocess))
                layers[op.name] = IntegerLayer(
                    _array(weight, np.int8), _array(scale, np.float32), _array(bias, np.int32)
                )
    return QuantModel(
        model.network,
        dict(activations),
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.head_config,
        model.metrics,
        model.data,
    )


class _Round(torch.autograd.Function):
    """Halves to even; the gradient goes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Requantise(torch.autograd.Function):
    """clamp(round(sums * factor)): between `low` and `high` the gradient goes straight through the rounding."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, factor: Tensor, low: int, high: int) -> Tensor:
        x = sums * factor
        ctx.save_for_backward((x >= low) & (x <= high), factor)
        return x.round_().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        within, factor = ctx.saved_tensors
        return (gradient * factor).mul_(within), None, None, None


def _chain(graph: Graph, activations: Activations) -> list[tuple[Layer, Affine, Affine]]:
    """Return each layer with integers of its own, what it takes and what it gives."""
    found = integer_layers(without_batch_norm(graph))
    before = [activations["image"], *(activations[layer.name] for layer in found)]
    return [(layer, source, activations[layer.name]) for layer, source in zip(found, before, strict=False)]


def _forward(module: MobileNet, activations: Activations, preprocess: Preprocess, x: Tensor) -> Tensor:
    """Normalised (N, C, H, W) float -> logits (N, classes), the real numbers that the int8 logits stand for.

    Between the ops stand whole numbers q - zero point in fp32; their sums stay below 2^24, where fp32 is exact.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = _pixels(x.float(), activations["image"], preprocess)
        for layer, source, target in _chain(module.graph, activations):
            op, (low, high) = layer.op, limits(target, layer.activation)
            if op.kind == "global_average_pool":
                sums, factor = x.sum((2, 3)), pool_multiplier(op.shape_in[0] * op.shape_in[1], source, target)
            else:
                sums, scale = _sums(module, op, x, source, preprocess)
                factor = np.float32(source.scale) * scale / np.float32(target.scale)
                factor = factor if sums.ndim == 2 else factor[:, None, None]
            multiplier = torch.as_tensor(factor, device=x.device)
            x = _Requantise.apply(sums, multiplier, low - target.zero_point, high - target.zero_point)
        return x * target.scale


def _sums(module: MobileNet, op: Op, x: Tensor, source: Affine, preprocess: Preprocess) -> tuple[Tensor, Floats]:
    """The sums of a layer, and the scales (out,) of its weights."""
    weight, bias, scale = _integers(module, op, source, preprocess)
    if op.kind not in CONVOLUTIONS:
        return nn.functional.linear(x.flatten(1), weight, bias), scale.cpu().numpy()
    top, left, bottom, right = op.padding
    groups = op.shape_in[2] if op.kind == "depthwise" else 1
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = nn.functional.pad(x, (left, right, top, bottom)), (0, 0)
    return nn.functional.conv2d(x, weight, bias, op.stride, padding, groups=groups), scale.cpu().numpy()


def _integers(module: MobileNet, op: Op, source: Affine, preprocess: Preprocess) -> tuple[Tensor, Tensor, Tensor]:
    """(weight, bias, scale (out,)) in fp32, the first two whole numbers: the folded layer's, as `quant` makes them."""
    weight, bias = _folded(module, op)
    if op.name == "conv0":
        gain, offset = (torch.as_tensor(values).to(weight) for values in image_scale(preprocess)[1:])
        bias = bias + (weight.sum((2, 3)) * offset).sum(1)
        weight = weight * gain[:, None, None]
    with torch.no_grad():
        largest = weight.flatten(1).abs().amax(1)
        floor = (largest.max() if largest.any() else 1.0) * SMALLEST_SCALE
        least = bias.abs() / (source.scale * MOST_BIAS)
        scale = torch.maximum(largest / HIGH, least).clamp_min(floor).float()
    steps = scale.double()
    weight = _Round.apply(weight / steps.view(-1, *[1] * (weight.ndim - 1))).clamp(-HIGH, HIGH)
    return weight.float(), _Round.apply(bias / (source.scale * steps)).float(), scale


def _folded(module: MobileNet, op: Op) -> tuple[Tensor, Tensor]:
    """Weight and bias in fp64, without the batch norm."""
    layer = getattr(module, op.name)
    weight = layer.weight.double()
    if op.kind not in CONVOLUTIONS:
        return weight, layer.bias.double()
    norm = getattr(module, f"{op.name}_bn")
    slope = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return weight * slope.view(-1, 1, 1, 1), norm.bias.double() - norm.running_mean.double() * slope


def _pixels(x: Tensor, image: Affine, preprocess: Preprocess) -> Tensor:
    """The integers that the int8 network would see, less the zero point; augmented colours are rounded to them."""
    moments = (np.asarray(values, np.float32).reshape(1, -1, 1, 1) for values in (preprocess.mean, preprocess.std))
    mean, std = (torch.from_numpy(values).to(x.device) for values in moments)
    q = (x * std + mean).round().clamp(0, 255) + LOW
    return q - image.zero_point


def _array(values: Tensor, dtype: Any) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values.numpy().astype(dtype))

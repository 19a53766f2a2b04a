"""Fake quantisation in torch: the whole numbers of an int8 network in floats, with gradients.

Every op computes what `quant/reference.py` computes, integer for integer. Rounding passes gradients unchanged
(straight-through); values clipped by an activation or by the range of int8 get none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arch.fold import without_batch_norm
from ..arch.graph import Graph
from ..arch.layers import Layer
from ..arch.ops import CONVOLUTIONS, Op
from ..arrays import Floats
from ..image import Preprocess
from ..quant.conversion import MOST_BIAS, SMALLEST_SCALE, image_scale
from ..quant.elementwise import add_terms, hard_swish_table, product_factor
from ..quant.scheme import HIGH, LOW, QuantParams, integer_layers, limits, pool_multiplier
from .module import MobileNet

__all__ = ["Activations", "int8_logits", "layer_integers", "steps"]

Activations = Mapping[str, QuantParams]


class _Round(torch.autograd.Function):
    """Rounds halves to even, with a straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Requantise(torch.autograd.Function):
    """Computes clamp(round(sums * factor)), with a straight-through gradient between `low` and `high`."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, factor: Tensor, low: int, high: int) -> Tensor:
        x = sums * factor
        ctx.save_for_backward((x >= low) & (x <= high), factor)
        return x.round_().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        within, factor = ctx.saved_tensors
        return (gradient * factor).mul_(within), None, None, None


class _Through(torch.autograd.Function):
    """Returns clamp(`integers`), the rounded `real`, with a straight-through gradient to `real` between `low` and
    `high`.
    """

    @staticmethod
    def forward(ctx: Any, real: Tensor, integers: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward((real >= low) & (real <= high))
        return integers.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (within,) = ctx.saved_tensors
        return gradient * within, None, None, None


def steps(graph: Graph, activations: Activations) -> list[tuple[Layer, tuple[QuantParams, ...], QuantParams]]:
    """Return each of `integer_layers` with the parameters of its inputs and of its output."""
    found = integer_layers(without_batch_norm(graph))
    given = [activations["image"], *(activations[layer.name] for layer in found)]
    return [(layer, tuple(given[i] for i in layer.sources), activations[layer.name]) for layer in found]


def int8_logits(module: MobileNet, activations: Activations, preprocess: Preprocess, x: Tensor) -> Tensor:
    """Return the logits (N, classes) of normalised (N, C, H, W) float: the real numbers of the int8 network's logits.

    Arrays between ops hold the whole numbers q - zero point in fp32; their sums stay below 2^24, where fp32 is exact.
    """
    found = steps(module.graph, activations)
    last_read = {source: position for position, (layer, _, _) in enumerate(found, 1) for source in layer.sources}
    with torch.autocast(x.device.type, enabled=False):
        x = _pixels(x.float(), activations["image"], preprocess)
        values = {0: x}
        for position, (layer, sources, target) in enumerate(found, 1):
            inputs = [values[i] for i in layer.sources]
            if compute := _WITHOUT_WEIGHTS.get(layer.op.kind):
                x = compute(layer, inputs, sources, target)
            else:
                sums, scale = _sums(module, layer, inputs[0], sources[0], preprocess)
                factor = np.float32(sources[0].scale) * scale / np.float32(target.scale)
                x = _requantised(sums, factor if sums.ndim == 2 else factor[:, None, None], layer, target)
            values[position] = x
            for i in set(layer.sources):
                if last_read[i] == position:
                    del values[i]
        return x * target.scale


def _ends(layer: Layer, target: QuantParams) -> tuple[int, int]:
    """Return the smallest and the largest q - zero point of the output of `layer`."""
    low, high = limits(target, layer.activation)
    return low - target.zero_point, high - target.zero_point


def _through(real: Tensor, integers: Tensor, layer: Layer, target: QuantParams) -> Tensor:
    """Return `integers` within what `layer` lets through, with the gradient of `real`."""
    found: Tensor = _Through.apply(real, integers, *_ends(layer, target))
    return found


def _requantised(sums: Tensor, factor: Floats, layer: Layer, target: QuantParams) -> Tensor:
    """Return the integers of sums times `factor`, within what `layer` lets through."""
    multiplier = torch.as_tensor(factor, device=sums.device)
    found: Tensor = _Requantise.apply(sums, multiplier, *_ends(layer, target))
    return found


def _pool(layer: Layer, inputs: list[Tensor], sources: tuple[QuantParams, ...], target: QuantParams) -> Tensor:
    """Return the mean over all pixels; their sum is exact in float64."""
    height, width, _ = layer.op.shape_in
    sums = inputs[0].sum((2, 3), keepdim=True, dtype=torch.float64).float()
    return _requantised(sums, pool_multiplier(height * width, sources[0], target), layer, target)


def _add(layer: Layer, inputs: list[Tensor], sources: tuple[QuantParams, ...], target: QuantParams) -> Tensor:
    """Return the sum as `quant.elementwise.add` computes it; float64 holds its fixed-point numbers exactly."""
    factors, _, shift = add_terms((sources[0], sources[1]), target)
    first, second = (x.double() * (factor / 2.0**shift) for x, factor in zip(inputs, factors, strict=True))
    real = first + second
    return _through(real, torch.floor(real.detach() + 0.5), layer, target).float()


def _multiply(layer: Layer, inputs: list[Tensor], sources: tuple[QuantParams, ...], target: QuantParams) -> Tensor:
    """Return the product by a gate as `quant.elementwise.multiply` computes it."""
    real = inputs[0] * inputs[1] * float(product_factor((sources[0], sources[1]), target))
    return _through(real, real.detach().round(), layer, target)


def _hard_swish(layer: Layer, inputs: list[Tensor], sources: tuple[QuantParams, ...], target: QuantParams) -> Tensor:
    """Return the entries of `quant.elementwise.hard_swish_table`; the gradient is that of the float function."""
    (x,), (source,) = inputs, sources
    real = nn.functional.hardswish(x * source.scale) / target.scale
    table = hard_swish_table(source, target).astype(np.float32) - np.float32(target.zero_point)
    index = x.detach().long() + (source.zero_point - LOW)
    return _through(real, torch.from_numpy(table).to(x.device)[index], layer, target)


_WITHOUT_WEIGHTS = {"add": _add, "multiply": _multiply, "hard_swish": _hard_swish, "global_average_pool": _pool}


def _sums(
    module: MobileNet, layer: Layer, x: Tensor, source: QuantParams, preprocess: Preprocess
) -> tuple[Tensor, Floats]:
    """Return the sums of a layer, and the scales (out,) of its weights."""
    op, (weight, bias, scale) = layer.op, layer_integers(module, layer, source, preprocess)
    if op.kind not in CONVOLUTIONS:
        return nn.functional.linear(x.flatten(1), weight, bias), scale.cpu().numpy()
    top, left, bottom, right = op.padding
    groups = op.shape_in[2] if op.kind == "depthwise" else 1
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = nn.functional.pad(x, (left, right, top, bottom)), (0, 0)
    return nn.functional.conv2d(x, weight, bias, op.stride, padding, groups=groups), scale.cpu().numpy()


def layer_integers(
    module: MobileNet, layer: Layer, source: QuantParams, preprocess: Preprocess
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (weight, bias, scale (out,)) in fp32, the first two whole numbers, as `quant.to_integers` makes them."""
    weight, bias = _folded(module, layer.op)
    if layer.name == "conv0":
        gain, offset = (torch.as_tensor(values).to(weight) for values in image_scale(preprocess)[1:])
        bias = bias + (weight.sum((2, 3)) * offset).sum(1)
        weight = weight * gain[:, None, None]
    if layer.activation is not None and layer.activation.kind == "hard_sigmoid":  # relu6(x + 3) / 6
        weight, bias = weight / 6, bias / 6 + 0.5
    with torch.no_grad():
        largest = weight.flatten(1).abs().amax(1)
        floor = (largest.max() if largest.any() else 1.0) * SMALLEST_SCALE
        least = bias.abs() / (source.scale * MOST_BIAS)
        scale = torch.maximum(largest / HIGH, least).clamp_min(floor).float()
    steps = scale.double()
    weight = _Round.apply(weight / steps.view(-1, *[1] * (weight.ndim - 1))).clamp(-HIGH, HIGH)
    return weight.float(), _Round.apply(bias / (source.scale * steps)).float(), scale


def _folded(module: MobileNet, op: Op) -> tuple[Tensor, Tensor]:
    """Return weight and bias in fp64, without the batch norm."""
    layer, norm = getattr(module, op.name), getattr(module, f"{op.name}_bn", None)
    weight = layer.weight.double()
    if norm is None:
        return weight, layer.bias.double()
    slope = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return weight * slope.view(-1, 1, 1, 1), norm.bias.double() - norm.running_mean.double() * slope


def _pixels(x: Tensor, image: QuantParams, preprocess: Preprocess) -> Tensor:
    """Return the integers that the int8 network would take, less the zero point; augmented colours are rounded."""
    moments = (np.asarray(values, np.float32).reshape(1, -1, 1, 1) for values in (preprocess.mean, preprocess.std))
    mean, std = (torch.from_numpy(values).to(x.device) for values in moments)
    q = (x * std + mean).round().clamp(0, 255) + LOW
    return q - image.zero_point

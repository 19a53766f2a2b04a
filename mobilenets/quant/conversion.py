"""Conversion of a trained network and the ranges of its activations to a `QuantModel`."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..arch.fold import fold_batch_norm
from ..image import Preprocess
from ..model import Model
from .scheme import HIGH, INTEGERS, LOW, Doubles, IntegerLayer, QuantModel, QuantParams, integer_layers

__all__ = ["Range", "image_scale", "quant_params", "to_integers"]

Range = tuple[float, float]  # the smallest and the largest real number to represent

MOST_BIAS = 2**30  # a bias may take half of int32, the products the other half
FINEST = 1 / 127  # of an elementwise output, in steps of its coarser input: hard swish needs more than 1 / 128
COARSEST = 512  # of a sum's output, in steps of its finer input: XNNPACK refuses 1024
STEEPEST = 1 / 2  # of a gate, the change by one step of its input: XNNPACK refuses 1
SMALLEST_SCALE = 1e-5  # of a layer's largest, for channels of zeros: XNNPACK refuses multipliers below 2^-32


def quant_params(low: float, high: float, finest: float) -> QuantParams:
    """Return 255 steps of at least `finest` from `low` to `high`, extended to include 0, which is one of the steps."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / (HIGH - LOW), finest)
    return QuantParams(scale, int(np.clip(np.rint(LOW - low / scale), LOW, HIGH)))


def image_scale(preprocess: Preprocess) -> tuple[QuantParams, Doubles, Doubles]:
    """Return the quantisation parameters of q = pixel - 128, and gain and offset, each (C,), that they leave out.

    (pixel - mean) / std = gain * scale * (q - zero point) + offset. Gain and offset are folded into the first layer's
    weights and bias; under padding, which is the zero point, the offset is then present though it should not be.
    """
    mean, std = (
        np.broadcast_to(np.asarray(v, np.float64), preprocess.channels) for v in (preprocess.mean, preprocess.std)
    )
    image = QuantParams(float(1 / std.min()), int(np.clip(np.rint(mean.mean()) + LOW, LOW, HIGH)))
    gain = 1 / std / image.scale
    return image, gain, (image.zero_point - LOW - mean) / std


def to_integers(model: Model, ranges: Mapping[str, Range], per_channel: bool = True) -> QuantModel:
    """Return `model` in int8; `ranges` are those of the outputs of `integer_layers` (known for images, pools and
    gates).

    Weights are rounded to the nearest of 255 steps, symmetric about 0, with one scale per output channel, or per layer
    (`per_channel` False). Raises `NetworkError` for ops without int8 arithmetic.
    """
    graph, weights = fold_batch_norm(model.graph, model.weights)
    INTEGERS.check(graph.ops)
    image, gain, offset = image_scale(model.preprocess)
    activations, found = {"image": image}, integer_layers(graph)
    names = ["image", *(layer.name for layer in found)]
    summed = {i: ranges[layer.op.name] for layer in found if layer.op.kind == "add" for i in layer.sources}
    pooled = {layer.sources[0] for layer in found if layer.op.kind == "global_average_pool"}
    layers: dict[str, IntegerLayer] = {}
    for position, layer in enumerate(found, 1):
        op, sources = layer.op, [activations[names[i]] for i in layer.sources]
        gate = layer.activation is not None and layer.activation.kind == "hard_sigmoid"
        if f"{op.name}.weight" in weights:
            weight, bias = (weights[f"{op.name}.{array}"].astype(np.float64) for array in ("weight", "bias"))
            if op.name == "conv0":
                bias = bias + (weight.sum(axis=(2, 3)) * offset).sum(axis=1)
                weight = weight * gain[:, None, None]
            if gate:  # relu6(x + 3) / 6 is x / 6 + 1/2 where the integers end at 0 and 1
                slope = _slope(weight / 6, sources[0])
                weight, bias = weight / 6 * slope[:, None, None, None], bias / 6 * slope + 0.5
            layers[op.name] = _layer(weight, bias, sources[0], per_channel)
        if gate:
            activations[op.name] = QuantParams(1 / 256, LOW)
        elif op.kind == "global_average_pool":
            activations[op.name] = sources[0]
        else:
            finest = max(_finest(layers.get(op.name), sources), _coarse(summed.get(position)))
            activations[op.name] = quant_params(*ranges[op.name], finest)
            if any(names[i] == op.name for i in pooled):
                activations[op.name] = _even(activations[op.name])
    return QuantModel(
        model.network,
        activations,
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.head_config,
        {},
        dict(model.data),
    )


def _even(output: QuantParams) -> QuantParams:
    """Return `output` with an even zero point: XNNPACK rounds half the means of odd ones differently."""
    return QuantParams(output.scale, output.zero_point - output.zero_point % 2)


def _finest(layer: IntegerLayer | None, sources: Sequence[QuantParams]) -> float:
    """Return the smallest scale that an output may have: sums have no finer steps, and the rules of others an end."""
    if layer is not None:
        return sources[0].scale * float(layer.scale.max())
    return max(source.scale for source in sources) * FINEST


def _coarse(total: Range | None) -> float:
    """Return the smallest scale of an input of a sum, whose range is `total`; 0 for what no sum takes."""
    return 0.0 if total is None else (max(total[1], 0.0) - min(total[0], 0.0)) / (HIGH - LOW) / COARSEST


def _slope(weight: Doubles, source: QuantParams) -> Doubles:
    """Return (out,), by what to multiply the weights of a gate: 1, unless one step of its input passes over the gate's
    whole range; such a gate opens and closes at the same place, less abruptly.
    """
    step = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / HIGH * source.scale
    slope: Doubles = STEEPEST / np.maximum(step, STEEPEST)
    return slope


def _layer(weight: Doubles, bias: Doubles, source: QuantParams, per_channel: bool) -> IntegerLayer:
    flat = np.abs(weight.reshape(len(weight), -1))
    largest = flat.max(axis=1) if per_channel else np.full(len(weight), flat.max())
    least = np.abs(bias) / (source.scale * MOST_BIAS)  # the bias of a channel of tiny weights must fit as well
    floor = (largest.max() or 1.0) * SMALLEST_SCALE
    scale = np.maximum(np.maximum(largest / HIGH, least), floor).astype(np.float32)
    steps = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return IntegerLayer(
        np.clip(np.rint(weight / steps), -HIGH, HIGH).astype(np.int8),
        scale,
        np.rint(bias / (np.float64(source.scale) * scale)).astype(np.int32),
    )

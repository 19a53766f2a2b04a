"""From floats to integers: a trained network and the ranges of its activations become a `QuantModel`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..image import Preprocess
from ..model import Model
from .scheme import HIGH, INTEGERS, LOW, Affine, IntegerLayer, QuantModel, integer_layers

__all__ = ["Range", "affine", "image_scale", "to_integers"]

Range = tuple[float, float]  # the smallest and the largest real number that an array of activations should hold
Doubles = np.ndarray[Any, np.dtype[np.float64]]

MOST_BIAS = 2**30  # a bias may take half of int32, the products the other half
FINEST = 1 / 128  # of an elementwise output, in steps of its coarser input
SMALLEST_SCALE = 1e-5  # of a layer's largest, for channels of zeros: XNNPACK refuses multipliers below 2^-32


def affine(low: float, high: float, finest: float) -> Affine:
    """255 steps of at least `finest` from `low` to `high`, moved to 0 where they leave it out; 0 is one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / (HIGH - LOW), finest)
    return Affine(scale, int(np.clip(np.rint(LOW - low / scale), LOW, HIGH)))


def image_scale(preprocess: Preprocess) -> tuple[Affine, Doubles, Doubles]:
    """What q = pixel - 128 stands for; and gain and offset, each (C,), that one scale for all channels cannot say.

    (pixel - mean) / std = gain * scale * (q - zero point) + offset. Gain and offset go into the first layer's weights
    and bias; under padding, which is the zero point, the offset is then there though it should not be.
    """
    mean, std = (
        np.broadcast_to(np.asarray(v, np.float64), preprocess.channels) for v in (preprocess.mean, preprocess.std)
    )
    image = Affine(float(1 / std.min()), int(np.clip(np.rint(mean.mean()) + LOW, LOW, HIGH)))
    gain = 1 / std / image.scale
    return image, gain, (image.zero_point - LOW - mean) / std


def to_integers(model: Model, ranges: Mapping[str, Range], per_channel: bool = True) -> QuantModel:
    """`ranges` are those of the outputs of `integer_layers`; of the image, pools and gates they are known.

    Weights are rounded to the nearest of 255 steps, symmetric about 0: those of one output channel, or (`per_channel`
    False) of a whole layer.
    """
    graph, weights = fold_batch_norm(model.graph, model.weights)
    INTEGERS.check(graph.ops)
    image, gain, offset = image_scale(model.preprocess)
    activations, found = {"image": image}, integer_layers(graph)
    names = ["image", *(layer.name for layer in found)]
    pooled = {layer.sources[0] for layer in found if layer.op.kind == "global_average_pool"}
    layers: dict[str, IntegerLayer] = {}
    for layer in found:
        op, sources = layer.op, [activations[names[i]] for i in layer.sources]
        gate = layer.activation is not None and layer.activation.kind == "hard_sigmoid"
        if f"{op.name}.weight" in weights:
            weight, bias = (weights[f"{op.name}.{array}"].astype(np.float64) for array in ("weight", "bias"))
            if op.name == "conv0":
                bias = bias + (weight.sum(axis=(2, 3)) * offset).sum(axis=1)
                weight = weight * gain[:, None, None]
            if gate:  # relu6(x + 3) / 6 is x / 6 + 1/2 where the integers end at 0 and 1
                weight, bias = weight / 6, bias / 6 + 0.5
            layers[op.name] = _layer(weight, bias, sources[0], per_channel)
        if gate:
            activations[op.name] = Affine(1 / 256, LOW)
        elif op.kind == "global_average_pool":
            activations[op.name] = sources[0]
        else:
            activations[op.name] = affine(*ranges[op.name], _finest(layers.get(op.name), sources))
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


def _even(output: Affine) -> Affine:
    """Return `output` with an even zero point: XNNPACK rounds half the means of odd ones otherwise than the law."""
    return Affine(output.scale, output.zero_point - output.zero_point % 2)


def _finest(layer: IntegerLayer | None, sources: Sequence[Affine]) -> float:
    """Return the smallest scale that an output may have: sums have no finer steps, and the rules of others an end."""
    if layer is not None:
        return sources[0].scale * float(layer.scale.max())
    return max(source.scale for source in sources) * FINEST


def _layer(weight: Doubles, bias: Doubles, source: Affine, per_channel: bool) -> IntegerLayer:
    flat = np.abs(weight.reshape(len(weight), -1))
    largest = flat.max(axis=1) if per_channel else np.full(len(weight), flat.max())
    least = np.abs(bias) / (source.scale * MOST_BIAS)  # a channel of next to no weights must still hold its bias
    floor = (largest.max() or 1.0) * SMALLEST_SCALE
    scale = np.maximum(np.maximum(largest / HIGH, least), floor).astype(np.float32)
    steps = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return IntegerLayer(
        np.clip(np.rint(weight / steps), -HIGH, HIGH).astype(np.int8),
        scale,
        np.rint(bias / (np.float64(source.scale) * scale)).astype(np.int32),
    )

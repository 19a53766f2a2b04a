"""From floats to integers: a trained network and the ranges of its activations become a `QuantModel`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..image import Preprocess
from ..model import Model
from .scheme import HIGH, LOW, Affine, IntegerLayer, QuantModel

__all__ = ["Range", "affine", "image_scale", "to_integers"]

Range = tuple[float, float]  # the smallest and the largest real number that an array of activations should hold
Doubles = np.ndarray[Any, np.dtype[np.float64]]

MOST_BIAS = 2**30  # a bias may take half of int32, the products the other half
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
    """`ranges` of the outputs of all convolutions (behind their activations) and of "fc"; those of images are known.

    Weights are rounded to the nearest of 255 steps, symmetric about 0: those of one output channel, or (`per_channel`
    False) of a whole layer.
    """
    graph, weights = fold_batch_norm(model.graph, model.weights)
    source, gain, offset = image_scale(model.preprocess)
    activations, layers = {"image": source}, {}
    for op in graph.ops:
        if op.kind == "global_average_pool":
            activations[op.name] = source
        if f"{op.name}.weight" not in weights:
            continue
        weight, bias = (weights[f"{op.name}.{array}"].astype(np.float64) for array in ("weight", "bias"))
        if op.name == "conv0":
            bias = bias + (weight.sum(axis=(2, 3)) * offset).sum(axis=1)
            weight = weight * gain[:, None, None]
        layers[op.name] = _layer(weight, bias, source, per_channel)
        finest = source.scale * float(layers[op.name].scale.max())  # sums have no finer steps
        source = activations[op.name] = affine(*ranges[op.name], finest)
    return QuantModel(
        model.network,
        activations,
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.decoding,
        {},
        dict(model.data),
    )


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

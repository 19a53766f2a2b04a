"""Bias correction: rounding shifts each channel's mean; its bias takes that back (Nagel et al. 2019, by data)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..image import Pixels
from .observe import Doubles, batches, mean_taps, weigh
from .reference import apply, from_pixels
from .scheme import QuantModel, integer_layers

__all__ = ["correct_biases"]


def correct_biases(model: QuantModel, wanted: Mapping[str, Doubles], images: Pixels) -> QuantModel:
    """`model` with biases under which each layer's sums have on `images` the means that are `wanted` (real, (out,)).

    Layer by layer: each sees what the corrected ones before it give.
    """
    sources, layers = model.sources(), dict(model.layers)
    xs = [from_pixels(batch) for batch in batches(images)]
    for step in integer_layers(model.graph):
        op, source, target = step.op, sources[step.name], model.activations[step.name]
        if op.name in layers:
            layer = layers[op.name]
            means = sum(mean_taps(op, x - np.float32(source.zero_point)) * len(x) for x in xs) / len(images)
            sums = weigh(op, layer.weight - np.float64(layer.zero_point), np.asarray(means)) + layer.bias
            shift = np.rint(wanted[op.name] / (np.float64(source.scale) * layer.scale) - sums)
            layers[op.name] = replace(layer, bias=(layer.bias + shift).astype(np.int32))
        xs = [apply(step, layers.get(op.name), x, source, target) for x in xs]
    return replace(model, layers=layers)

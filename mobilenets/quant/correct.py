"""Bias correction (Nagel et al. 2019, data-based): the bias compensates for the shift of each channel's mean by
rounding.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..image import Pixels
from .observe import batches, mean_taps, weigh
from .reference import apply, from_pixels
from .scheme import Doubles, QuantModel

__all__ = ["correct_biases"]


def correct_biases(model: QuantModel, wanted: Mapping[str, Doubles], images: Pixels) -> QuantModel:
    """Return `model` with biases for which each layer's sums have the means `wanted` (real, (out,)) on `images`.

    Layers that `wanted` does not name keep theirs. Layers are corrected in order: each takes the output of corrected
    ones.
    """
    sources, layers = model.sources(), dict(model.layers)
    values = [[from_pixels(batch) for batch in batches(images)]]  # of the image and each layer, until it is read last
    steps = model.integer_layers()
    last_read = {source: position for position, step in enumerate(steps, 1) for source in step.sources}
    for position, step in enumerate(steps, 1):
        op, source, target = step.op, sources[step.name][0], model.activations[step.name]
        xs = values[step.sources[0]]
        if op.name in layers and op.name in wanted:
            layer = layers[op.name]
            means = sum(mean_taps(op, x - np.float32(source.zero_point)) * len(x) for x in xs) / len(images)
            sums = weigh(op, layer.weight - np.float64(layer.zero_point), np.asarray(means)) + layer.bias
            shift = np.rint(wanted[op.name] / (np.float64(source.scale) * layer.scale) - sums)
            layers[op.name] = replace(layer, bias=(layer.bias + shift).astype(np.int32))
        inputs = zip(*(values[i] for i in step.sources), strict=True)
        own = layers.get(op.name), model.tables.get(op.name)
        values.append([apply(step, *own, each, sources[op.name], target) for each in inputs])
        for i in set(step.sources):
            values[i] = values[i] if last_read[i] > position else []
    return replace(model, layers=layers)

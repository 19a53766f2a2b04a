"""The oracle: an int8 network computed in numpy, one op after the other, as docs/quantization.md has it.

Slow and plain; whatever else runs a `QuantModel` must give these bytes. Sums are exact: they are made of floats only
where every partial sum is a whole number that the float format holds.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arch.graph import ACTIVATIONS, CONVOLUTIONS, Op
from ..errors import UsageError
from ..image import Pixels
from .scheme import (
    LOW,
    Affine,
    Floats,
    IntegerLayer,
    Integers,
    QuantModel,
    Sums,
    largest_sums,
    limits,
    multipliers,
    pool_multiplier,
    requantise,
)

__all__ = ["outputs", "run", "steps"]

BATCH = 16  # images at a time: what a layer of the largest network needs stays below 1 GB


def run(model: QuantModel, images: Pixels) -> Integers:
    """(N, H, W, C) uint8 -> logits (N, classes) int8, or a body's maps; `UsageError` for images of another shape."""
    p = model.preprocess
    if images.dtype != np.uint8 or images.shape[1:] != (p.height, p.width, p.channels):
        wanted = f"uint8 (N, {p.height}, {p.width}, {p.channels})"
        raise UsageError(f"images are {images.dtype} {images.shape}, must be {wanted}")
    last = model.graph.ops[-1].shape_out
    found = np.empty((len(images), *(last if model.network.output == "features" else last[2:])), np.int8)
    for i in range(0, len(images), BATCH):
        *_, (_, found[i : i + BATCH]) = steps(model, images[i : i + BATCH])
    return found


def steps(model: QuantModel, images: Pixels) -> Iterator[tuple[str, Integers]]:
    """Each op's name in `activations` and its integers, in turn: (N, H, W, C); of pool and fc (N, C), (N, classes)."""
    graph, sources = model.graph, model.sources()
    follows = {op.inputs[0]: op.kind for op in graph.ops if op.kind in ACTIVATIONS}
    x: Integers = (images.astype(np.int16) + LOW).astype(np.int8)
    yield "image", x
    for position, op in enumerate(graph.ops):
        if op.kind == "input" or op.name not in model.activations:
            continue
        source, target = sources[op.name], model.activations[op.name]
        low, high = limits(target, follows.get(position))
        if op.kind == "global_average_pool":
            sums = _real_zero(x, source, np.int32).sum(axis=(1, 2), dtype=np.int32)
            factor = pool_multiplier(op.shape_in[0] * op.shape_in[1], source, target)
        else:
            layer = model.layers[op.name]
            sums = _sums(op, layer, x, source)
            factor = multipliers(layer, source, target)
        x = requantise(sums, factor, target, low, high)
        yield op.name, x


def outputs(model: QuantModel, logits: Integers) -> Floats:
    """(N, classes) int8 -> float32: probabilities, or unit vectors, as the network ends.

    In floats, so the last bits are the machine's own.
    """
    real = model.activations["fc"].real(logits)
    found: Floats
    if model.network.output == "sigmoid":
        found = np.reciprocal(1 + np.exp(np.minimum(-real, 80)))  # above 88 the power is infinite
    elif model.network.output == "l2_normalise":
        found = real / np.maximum(np.linalg.norm(real, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    else:
        powers = np.exp(real - real.max(axis=1, keepdims=True))
        found = powers / powers.sum(axis=1, keepdims=True)
    return found


def _sums(op: Op, layer: IntegerLayer, x: Integers, source: Affine) -> Sums:
    """bias + the sum of (q - zero point) * (w - zero point); padding adds nothing, for it is the zero point."""
    exact = np.float32 if largest_sums(layer, source).max() < 1 << 24 else np.float64
    real, weight = _real_zero(x, source, exact), layer.weight.astype(exact) - layer.zero_point
    products = _convolve(op, real, weight) if op.kind in CONVOLUTIONS else real @ weight.T
    sums: Sums = products.astype(np.int32) + layer.bias
    return sums


def _convolve(op: Op, x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(N, H, W, C) and (out, in / groups, k, k) -> (N, H', W', out), one tap of the kernel after the other."""
    top, left, bottom, right = op.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height, width, _ = op.shape_out
    total = np.zeros((len(x), *op.shape_out), x.dtype)
    for row in range(op.kernel):
        for column in range(op.kernel):
            seen = padded[:, row :: op.stride, column :: op.stride][:, :height, :width]
            tap = weight[:, :, row, column]
            total += seen * tap[:, 0] if op.kind == "depthwise" else seen @ tap.T
    return total


def _real_zero(x: Integers, source: Affine, dtype: Any) -> np.ndarray[Any, Any]:
    """q - zero point."""
    shifted: np.ndarray[Any, Any] = x.astype(dtype)
    shifted -= source.zero_point
    return shifted

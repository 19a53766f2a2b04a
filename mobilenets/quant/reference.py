"""The oracle: an int8 network computed in numpy, one op after the other, by the int8 specification
(docs/quantization.md).

It is slow; every other implementation of a `QuantModel` must give the same bytes. Sums are exact: they are computed in
floats only where every partial sum is a whole number that the float format represents.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arch.layers import Layer
from ..arch.ops import CONVOLUTIONS, Op
from ..arrays import Floats
from ..errors import UsageError
from ..image import Pixels
from .elementwise import add, hard_swish_table, multiply, pool_zero
from .scheme import (
    LOW,
    IntegerLayer,
    Integers,
    QuantModel,
    QuantParams,
    Sums,
    largest_sums,
    limits,
    multipliers,
    pool_multiplier,
    requantise,
)

__all__ = ["agreement", "apply", "ended", "from_pixels", "outputs", "run", "steps", "taps"]

BATCH = 4  # images at a time, so that a layer's arrays stay in the cache


def run(model: QuantModel, images: Pixels) -> Integers:
    """Return logits (N, classes) int8, or a body's maps, of (N, H, W, C) uint8.

    Raises `UsageError` for images of another shape or type.
    """
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
    """Yield each name in `activations` and its integers, in turn: (N, H, W, C); of fc (N, classes)."""
    sources, found = model.sources(), model.integer_layers()
    last_read = {source: position for position, layer in enumerate(found, 1) for source in layer.sources}
    values = {0: from_pixels(images)}
    yield "image", values[0]
    for position, layer in enumerate(found, 1):
        name, inputs = layer.name, [values[i] for i in layer.sources]
        own = model.layers.get(name), model.tables.get(name)
        values[position] = apply(layer, *own, inputs, sources[name], model.activations[name])
        yield name, values[position]
        for i in set(layer.sources):
            if last_read[i] == position:
                del values[i]


def from_pixels(images: Pixels) -> Integers:
    """Return pixel - 128 as int8."""
    integers: Integers = (images ^ 128).view(np.int8)
    return integers


def apply(
    layer: Layer,
    integers: IntegerLayer | None,
    table: Integers | None,
    inputs: Sequence[Integers],
    sources: tuple[QuantParams, ...],
    target: QuantParams,
) -> Integers:
    """Compute one of `integer_layers`: a convolution or the classifier with its `integers`, an activation by its
    `table`, or one that has neither.
    """
    low, high = limits(target, layer.activation)
    x, source = inputs[0], sources[0]
    if integers is not None:
        return requantise(
            _sums(layer.op, integers, x, source), multipliers(integers, source, target), target, low, high
        )
    if table is None and layer.op.kind == "hard_swish":
        table = hard_swish_table(source, target)
    if table is not None:
        return table[x.astype(np.int16) - LOW]
    if layer.op.kind == "add":
        return add(x, inputs[1], (source, sources[1]), target, low, high)
    if layer.op.kind == "multiply":
        return multiply(x, inputs[1], (source, sources[1]), target)
    zero = QuantParams(source.scale, pool_zero(source, target))
    sums = _real_zero(x, zero, np.int32).sum(axis=(1, 2), dtype=np.int32, keepdims=True)
    return requantise(sums, pool_multiplier(x.shape[1] * x.shape[2], source, target), target, low, high)


def outputs(model: QuantModel, logits: Integers) -> Floats:
    """Return float32 probabilities or unit vectors (N, classes), as the network ends, of int8 logits."""
    return ended(model.network.output, model.activations["fc"].real(logits))


def ended(output: str, logits: Floats) -> Floats:
    """Return softmax, sigmoid or l2_normalise of logits (N, classes) in floats; last bits depend on the machine."""
    found: Floats
    if output == "sigmoid":
        found = np.reciprocal(1 + np.exp(np.minimum(-logits, 80)))  # above 88 the power is infinite
    elif output == "l2_normalise":
        found = logits / np.maximum(np.linalg.norm(logits, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    else:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found = powers / powers.sum(axis=1, keepdims=True)
    return found


def agreement(output: str, one: Floats, other: Floats) -> float:
    """Return the agreement of two networks' outputs (N, classes), 0 to 1.

    For softmax the share of equal top-1 classes, for sigmoid that of equal decisions at 0.5, for unit vectors the mean
    cosine.
    """
    if output == "sigmoid":
        return float(((one > 0.5) == (other > 0.5)).mean())
    if output == "l2_normalise":
        return float((one * other).sum(axis=1).mean())
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def _sums(op: Op, layer: IntegerLayer, x: Integers, source: QuantParams) -> Sums:
    """Return bias + the sum of (q - zero point) * (w - zero point); padding is the zero point and adds nothing."""
    exact = np.float32 if largest_sums(layer, source).max() < 1 << 24 else np.float64
    real, weight = _real_zero(x, source, exact), layer.weight.astype(exact) - layer.zero_point
    products = _convolve(op, real, weight) if op.kind in CONVOLUTIONS else real.reshape(len(real), -1) @ weight.T
    sums: Sums = products.astype(np.int32) + layer.bias
    return sums


def _convolve(op: Op, x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return (N, H', W', out) of (N, H, W, C) and weights (out, in / groups, k, k), one tap of the kernel after the
    other.
    """
    total = np.zeros((len(x), *op.shape_out), x.dtype)
    for (row, column), seen in taps(op, x):
        tap = weight[:, :, row, column]
        total += seen * tap[:, 0] if op.kind == "depthwise" else _product(seen, tap.T)
    return total


def _product(x: np.ndarray[Any, Any], matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return (N, H, W, out) of (N, H, W, C) and (C, out) by one call of BLAS, which takes contiguous arrays only."""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    found: np.ndarray[Any, Any] = (rows @ np.ascontiguousarray(matrix)).reshape(*x.shape[:-1], -1)
    return found


def taps(op: Op, x: np.ndarray[Any, Any]) -> Iterator[tuple[tuple[int, int], np.ndarray[Any, Any]]]:
    """Yield (row, column) of the kernel and its input (N, H', W', C) in the zero-padded (N, H, W, C)."""
    top, left, bottom, right = op.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))) if any(op.padding) else x
    height, width, _ = op.shape_out
    for row in range(op.kernel):
        for column in range(op.kernel):
            yield (row, column), padded[:, row :: op.stride, column :: op.stride][:, :height, :width]


def _real_zero(x: Integers, source: QuantParams, dtype: Any) -> np.ndarray[Any, Any]:
    """Return q - zero point."""
    shifted: np.ndarray[Any, Any] = x.astype(dtype)
    shifted -= source.zero_point
    return shifted

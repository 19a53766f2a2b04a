"""Cross-layer equalisation (Nagel et al. 2019), by measured ranges of the activations.

ReLU commutes with positive factors: a channel may be divided by s in one layer and multiplied by s in the next. With
one scale for all channels of an array, small channels lose precision; with one scale per output channel of the weights,
the weights of the layer before lose none. So s is chosen by the ranges of the activations, balanced against the next
layer's weights, where one scale covers all inputs of an output channel (except in a depthwise layer).

Only a convolution whose output nothing but the next one reads is scaled: within the inverted residual blocks of V2 and
V4, not across their sums; and not where a hard swish or a gate follows.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm, unfold
from ..arch.graph import Graph
from ..arch.layers import Layer, layers
from ..arch.ops import OPS, Consumer, Op
from ..model import Model
from .observe import Ranges
from .scheme import Doubles

__all__ = ["EQUALISATION", "equalise"]

# what else stands in a network is left as it is
EQUALISATION = Consumer(
    "equalisation",
    handles=[kind for kind in OPS if kind != "batch_norm"],
    refuses=["batch_norm"],  # it is folded before
)
_COMMUTE = (None, "relu", "relu6")  # activations behind which a channel may be scaled
MOST = 1e3  # limit of a channel's factor and of 1 / factor: nearly dead channels stay so
ROOM = 0.9  # of 6: with ReLU6, channels whose maximum is above this are not scaled, and none is raised above it


def equalise(model: Model, ranges: Ranges) -> tuple[Model, Ranges]:
    """Return a model with the same function and other weights, and its ranges; `ranges` are those of `model`."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    EQUALISATION.check(graph.ops)
    equal = dict(ranges)
    for first, second in _pairs(graph):
        low, high = (np.asarray(values, np.float64) for values in ranges[first.name])
        high = np.maximum(high, -low)  # of a layer without an activation
        factor = _factors(high, second, weights[f"{second.name}.weight"])
        if first.activation and first.activation.kind == "relu6":
            factor = np.where(high > 6 * ROOM, 1.0, np.maximum(factor, high / (6 * ROOM)))
        smallest, largest = ((values / factor).astype(np.float32) for values in ranges[first.name])
        equal[first.name] = smallest, largest
        _scale(weights, first.op, second, factor)
    return replace(model, weights={**model.weights, **unfold(model.graph, weights)}), equal


def _pairs(graph: Graph) -> Iterator[tuple[Layer, Op]]:
    """Yield each convolution and the layer with weights that alone reads it; a pool in between passes factors on."""
    found = layers(graph)
    readers: list[list[int]] = [[] for _ in found]
    for position, layer in enumerate(found):
        for source in layer.sources:
            readers[source].append(position)
    for position, first in enumerate(found):
        activation = first.activation.kind if first.activation else None
        if OPS[first.op.kind].role != "convolution" or activation not in _COMMUTE:
            continue
        after = readers[position]
        if len(after) == 1 and OPS[found[after[0]].op.kind].role == "pool":
            after = readers[after[0]]
        if len(after) == 1 and OPS[found[after[0]].op.kind].role in ("convolution", "linear"):
            yield first, found[after[0]].op


def _factors(high: Doubles, second: Op, weight: np.ndarray[Any, Any]) -> Doubles:
    """Return (C,): the divisors of the first layer's channels."""
    taken = np.ones_like(high)
    if second.kind != "depthwise":
        taken = np.sqrt(np.abs(weight.astype(np.float64)).max(axis=tuple(i for i in range(weight.ndim) if i != 1)))
        high = np.sqrt(high)
    alive = (high > 0) & (taken > 0)
    if not alive.any():
        return np.ones_like(high)
    factor = np.where(alive, high, 1) / np.where(alive, taken, 1)
    factor /= np.exp(np.log(factor[alive]).mean())  # the middle channel stays as it is
    return np.where(alive, np.clip(factor, 1 / MOST, MOST), 1.0)


def _scale(weights: dict[str, np.ndarray[Any, Any]], first: Op, second: Op, factor: Doubles) -> None:
    for array in ("weight", "bias"):
        name = f"{first.name}.{array}"
        shape = (-1, *[1] * (weights[name].ndim - 1))
        weights[name] = (weights[name] / factor.reshape(shape)).astype(np.float32)
    name = f"{second.name}.weight"
    axis = 0 if second.kind == "depthwise" else 1
    shape = tuple(-1 if i == axis else 1 for i in range(weights[name].ndim))
    weights[name] = (weights[name] * factor.reshape(shape)).astype(np.float32)

"""Batch-norm folding: a deployed graph has a bias where the trained one has a batch norm."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NetworkError
from .graph import Graph, verify, weight_shapes
from .layers import layers
from .ops import CONVOLUTIONS, Op

__all__ = ["fold_batch_norm", "unfold", "without_batch_norm"]

Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def without_batch_norm(graph: Graph) -> Graph:
    """Return `graph` without batch norms; the convolution before each has a bias instead.

    Raises `NetworkError` for a batch norm that does not follow a convolution.
    """
    if alone := next((layer.op for layer in layers(graph) if layer.op.kind == "batch_norm"), None):
        raise NetworkError(f"op {alone.name} (batch_norm): does not follow a convolution, so it cannot be folded")
    ops: list[Op] = []
    position: dict[int, int] = {}  # of an op: before -> after
    for i, op in enumerate(graph.ops):
        if op.kind == "batch_norm":
            position[i] = position[op.inputs[0]]
            continue
        bias = op.bias or op.kind in CONVOLUTIONS
        position[i] = len(ops)
        ops.append(replace(op, inputs=tuple(position[j] for j in op.inputs), bias=bias))
    return verify(Graph(graph.network, tuple(ops)))


def fold_batch_norm(graph: Graph, weights: Mapping[str, np.ndarray]) -> tuple[Graph, Arrays]:
    """Return the folded graph and its weights (float32, computed in float64).

    For each output channel: s = gamma / sqrt(var + epsilon), w' = w * s, b' = beta + (b - mean) * s.
    """
    plain = without_batch_norm(graph)
    folded = {name: np.asarray(weights[name], np.float32) for name in weight_shapes(plain) if name in weights}
    for layer in layers(graph):
        if layer.norm is None:
            continue
        conv = layer.op
        gamma, beta, mean, var = (
            weights[f"{layer.norm.name}.{array}"].astype(np.float64)
            for array in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(var + graph.network.epsilon)
        kernel = weights[f"{conv.name}.weight"].astype(np.float64)
        folded[f"{conv.name}.weight"] = (kernel * scale[:, None, None, None]).astype(np.float32)
        bias = weights[f"{conv.name}.bias"].astype(np.float64) if conv.bias else 0.0
        folded[f"{conv.name}.bias"] = (beta + (bias - mean) * scale).astype(np.float32)
    return plain, folded


def unfold(graph: Graph, folded: Mapping[str, np.ndarray]) -> Arrays:
    """Return weights for `graph`, which has batch norms, that fold to `folded` except for rounding in the last bit."""
    weights: Arrays = {}
    for name, shape in weight_shapes(graph).items():
        op, _, array = name.rpartition(".")
        if array == "running_var":
            weights[name] = np.full(shape, 1 - graph.network.epsilon, np.float32)
        elif op.endswith("_bn"):
            bias = folded[f"{op.removesuffix('_bn')}.bias"]
            values = {"weight": np.ones(shape), "bias": bias, "running_mean": np.zeros(shape)}[array]
            weights[name] = values.astype(np.float32)
        else:
            weights[name] = folded[name].astype(np.float32)
    return weights

"""Folding: the graph without batch norm, and its arithmetic on one channel by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mobilenets.arch import Graph, Network, expand, verify
from mobilenets.arch.fold import fold_batch_norm, without_batch_norm
from mobilenets.arch.graph import weight_shapes
from mobilenets.arch.ops import CONVOLUTIONS

GRAPH = expand(Network(alpha=0.25, height=32, width=32, classes=3, epsilon=0.01))


def draw(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = weight_shapes(graph)
    return {name: rng.uniform(0.5, 2, shape).astype(np.float32) for name, shape in shapes.items()}


def test_the_graph_without_batch_norm() -> None:
    plain = without_batch_norm(GRAPH)
    assert [op.kind for op in plain.ops] == [op.kind for op in GRAPH.ops if op.kind != "batch_norm"]
    assert all(op.bias == (op.kind in (*CONVOLUTIONS, "fully_connected")) for op in plain.ops)
    assert all(op.inputs == (position - 1,) for position, op in enumerate(plain.ops) if position)
    assert verify(plain) is plain
    assert without_batch_norm(plain) == plain


@pytest.mark.parametrize("name", ["conv0", "dw3", "pw13"])
def test_one_channel_by_hand(name: str) -> None:
    weights = draw(GRAPH)
    _, folded = fold_batch_norm(GRAPH, weights)
    gamma, beta, mean, var = (
        float(weights[f"{name}_bn.{array}"][4]) for array in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / (var + 0.01) ** 0.5
    np.testing.assert_allclose(folded[f"{name}.weight"][4], weights[f"{name}.weight"][4] * scale, rtol=1e-6)
    np.testing.assert_allclose(folded[f"{name}.bias"][4], beta - mean * scale, rtol=1e-5, atol=1e-6)


def test_the_folded_weights_are_those_of_the_folded_graph() -> None:
    weights = draw(GRAPH)
    before = {name: array.copy() for name, array in weights.items()}
    plain, folded = fold_batch_norm(GRAPH, weights)
    assert {name: array.shape for name, array in folded.items()} == weight_shapes(plain)
    assert {array.dtype for array in folded.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(weights[name], before[name]) for name in before)
    assert np.array_equal(folded["fc.weight"], weights["fc.weight"])


def test_a_bias_before_the_batch_norm_is_scaled_too() -> None:
    biased = Graph(GRAPH.network, tuple(replace(op, bias=op.bias or op.name == "conv0") for op in GRAPH.ops))
    weights = draw(biased)
    shift = fold_batch_norm(biased, weights)[1]["conv0.bias"] - fold_batch_norm(GRAPH, weights)[1]["conv0.bias"]
    scale = weights["conv0_bn.weight"] / np.sqrt(weights["conv0_bn.running_var"] + 0.01)
    np.testing.assert_allclose(shift, weights["conv0.bias"] * scale, rtol=1e-4)

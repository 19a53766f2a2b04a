"""Layers of a graph: what belongs to which, in chains, in folded graphs, and where an output has two readers."""

import pytest

from mobilenets.arch.fold import without_batch_norm
from mobilenets.arch.graph import Graph, expand
from mobilenets.arch.layers import layers
from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import Op
from mobilenets.arch.zoo import PAPER, Row

SHAPE = (8, 8, 4)


@pytest.mark.parametrize("row", PAPER[:6], ids=lambda row: row.network.name)
def test_every_op_is_in_one_layer(row: Row) -> None:
    for graph in (expand(row.network), without_batch_norm(expand(row.network))):
        found = layers(graph)
        assert tuple(op for layer in found for op in layer.ops) == graph.ops
        assert [layer.sources for layer in found] == [(), *((i,) for i in range(len(found) - 1))]


def test_a_layer_is_a_convolution_its_batch_norm_and_its_activation() -> None:
    graph = expand(Network(0.25, 32, 32, blocks=(Block(1, 32),), classes=2))
    found = layers(graph)
    assert [layer.name for layer in found] == ["image", "conv0", "dw1", "pw1", "pool", "fc", "softmax"]
    assert [op.kind for op in found[2].ops] == ["depthwise", "batch_norm", "relu"]
    assert found[2].output is graph.op("dw1_act")
    folded = layers(without_batch_norm(graph))[2]
    assert [op.kind for op in folded.ops] == ["depthwise", "relu"]
    assert folded.norm is None


def op(kind: str, name: str, *inputs: int) -> Op:
    return Op(kind, name, inputs, SHAPE, SHAPE)


def names(*ops: Op) -> list[list[str]]:
    return [[op.name for op in layer.ops] for layer in layers(Graph(Network(), ops))]


def test_what_two_ops_read_keeps_its_own_output() -> None:
    """The activation must not join the convolution, whose own output is read as well."""
    image, conv = op("input", "image"), op("conv", "conv", 0)
    assert names(image, conv, op("relu", "act", 1), op("pointwise", "next", 2)) == [
        ["image"],
        ["conv", "act"],
        ["next"],
    ]
    assert names(image, conv, op("relu", "act", 1), op("pointwise", "next", 1)) == [
        ["image"],
        ["conv"],
        ["act"],
        ["next"],
    ]


def test_a_second_activation_and_one_of_the_image_are_layers_of_their_own() -> None:
    image = op("input", "image")
    assert names(image, op("relu", "first", 0)) == [["image"], ["first"]]
    ops = image, op("conv", "conv", 0), op("relu", "first", 1), op("relu6", "second", 2)
    assert names(*ops) == [["image"], ["conv", "first"], ["second"]]


def test_a_batch_norm_behind_an_activation_is_a_layer_of_its_own() -> None:
    ops = op("input", "image"), op("conv", "conv", 0), op("relu", "act", 1), op("batch_norm", "norm", 2)
    assert names(*ops) == [["image"], ["conv", "act"], ["norm"]]

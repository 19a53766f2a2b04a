"""Layers of a graph: each op with the batch norm and the activation that follow it, as all deployed forms
compute it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .graph import Graph
from .ops import OPS, Op

__all__ = ["Layer", "grouped", "layers"]


@dataclass(frozen=True, slots=True)
class Layer:
    """An op with the batch norm and the activation that follow it, if any; `sources` are positions of layers."""

    op: Op
    norm: Op | None
    activation: Op | None
    sources: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the name of its op."""
        return self.op.name

    @property
    def ops(self) -> tuple[Op, ...]:
        """Return its op, batch norm and activation in execution order."""
        return tuple(op for op in (self.op, self.norm, self.activation) if op)

    @property
    def output(self) -> Op:
        """Return the last of its ops, whose output other layers take."""
        return self.ops[-1]


def layers(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers of `graph` in execution order, the image first; see `grouped`."""
    return grouped(graph.ops)


def grouped(ops: Sequence[Op]) -> tuple[Layer, ...]:
    """Return the layers that `ops` make, those of a graph from the image on.

    A batch norm belongs to a convolution that only it reads, an activation to a layer that only it reads and that has
    none yet; either is a layer of its own otherwise.
    """
    readers = [0] * len(ops)
    for op in ops:
        for i in op.inputs:
            readers[i] += 1
    found: list[Layer] = []
    layer_of: list[int] = []  # of each op
    for op in ops:
        before = layer_of[op.inputs[0]] if op.inputs else -1
        joined = _joined(found[before], op) if before >= 0 and readers[op.inputs[0]] == 1 else None
        if joined:
            found[before] = joined
            layer_of.append(before)
        else:
            layer_of.append(len(found))
            found.append(Layer(op, None, None, tuple(layer_of[i] for i in op.inputs)))
    return tuple(found)


def _joined(layer: Layer, op: Op) -> Layer | None:
    """Return `layer` with `op` as its batch norm or activation, or None where that is not possible."""
    role, of = OPS[op.kind].role, OPS[layer.op.kind].role
    if role == "batch_norm" and of == "convolution" and layer.output is layer.op:
        return Layer(layer.op, op, None, layer.sources)
    if role == "activation" and of != "input" and layer.activation is None:
        return Layer(layer.op, layer.norm, op, layer.sources)
    return None

"""Activation memory: the lifetime of each buffer, and the memory alive at once."""

from dataclasses import dataclass

from ..arch.graph import Graph
from ..arch.ops import OPS

__all__ = ["Buffer", "lifetimes", "peak_elements"]


@dataclass(slots=True)
class Buffer:
    """`elements` values, written by op `first`, last read by op `last` (positions in the graph)."""

    elements: int
    first: int
    last: int


def lifetimes(graph: Graph) -> list[Buffer]:
    """Return one buffer per op output, except for ops that write over an input that no later op reads."""
    last_read = list(range(len(graph.ops)))
    for position, op in enumerate(graph.ops):
        for i in op.inputs:
            last_read[i] = position
    buffers: list[Buffer] = []
    holder: list[Buffer] = []  # of each op's output
    for position, op in enumerate(graph.ops):
        if OPS[op.kind].in_place and last_read[op.inputs[0]] == position:
            buffer = holder[op.inputs[0]]
            buffer.last = last_read[position]
        else:
            h, w, c = op.shape_out
            buffer = Buffer(h * w * c, position, last_read[position])
            buffers.append(buffer)
        holder.append(buffer)
    return buffers


def peak_elements(graph: Graph) -> int:
    """Return the most elements alive at once, a lower bound for any plan that runs the ops one by one."""
    change = [0] * (len(graph.ops) + 1)
    for buffer in lifetimes(graph):
        change[buffer.first] += buffer.elements
        change[buffer.last + 1] -= buffer.elements
    alive = peak = 0
    for step in change:
        alive += step
        peak = max(peak, alive)
    return peak

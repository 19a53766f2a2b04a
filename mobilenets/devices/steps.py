"""The steps of the C for microcontrollers, by the shapes of a network alone."""

from functools import lru_cache

import numpy as np

from ..arch.fold import without_batch_norm
from ..arch.graph import expand, weight_shapes
from ..arch.layers import Layer
from ..arch.network import Network
from ..compiler.micro.lower import Part, Rule, Step
from ..compiler.program import Window
from ..quant.scheme import integer_layers

__all__ = ["steps_of"]


@lru_cache(maxsize=1024)  # a search asks for each of its networks several times
def steps_of(network: Network) -> tuple[Step, ...]:
    """Return the steps of the C, with weights that are zeros."""
    graph = without_batch_norm(expand(network))
    shapes = weight_shapes(graph)
    steps: list[Step] = []
    waiting: Layer | None = None
    for layer in integer_layers(graph):
        if layer.op.kind in ("depthwise", "global_average_pool"):
            waiting = layer
        elif layer.op.kind != "hard_swish":  # which is a table of the step before
            steps.append(_step(waiting, layer, shapes))
            waiting = None
    return tuple(steps)


def _step(waiting: Layer | None, layer: Layer, shapes: dict[str, tuple[int, ...]]) -> Step:
    """Return a step whose weights are zeros."""
    op = (waiting or layer).op
    window = Window(op.kernel, op.stride, *op.padding[:2])
    gather = {"depthwise": "depthwise", "global_average_pool": "pool"}.get(op.kind, "window")
    first = None if waiting is None else _part(waiting, shapes)
    return Step(gather, op.shape_in, layer.op.shape_out, window, 0, _part(layer, shapes), first)  # type: ignore[arg-type]


def _part(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> Part:
    shape = shapes.get(f"{layer.name}.weight", (0,))
    outputs = shape[0] or 1
    zeros = np.broadcast_to(np.int8(0), shape)
    return Part(layer.name, np.zeros(outputs, np.int32), np.zeros(outputs, np.float32), Rule(0, 0, 0), zeros)

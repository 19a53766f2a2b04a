"""The steps of the C for microcontrollers, by the shapes of a network alone."""

from functools import lru_cache

import numpy as np

from ..arch.fold import without_batch_norm
from ..arch.graph import expand, weight_shapes
from ..arch.layers import Layer
from ..arch.network import Network
from ..compiler.micro import Core, plan_of
from ..compiler.micro.lower import MICRO, Part, Rule, Step, Sum, Writers
from ..compiler.micro.plan import Arena
from ..quant.scheme import integer_layers

__all__ = ["shape_plan", "shape_steps"]

RELU = Rule(0, 0, 255)  # of which the kernels know that nothing is below 0
LINEAR = Rule(1, 0, 255, padding=1)  # whose real 0 may be any code
TABLE = Rule(0, 0, 255, table=np.zeros(256, np.uint8), padding=1)  # of a hard swish, whose real 0 may be any code


@lru_cache(maxsize=1024)  # a search asks for each of its networks several times
def shape_steps(network: Network) -> tuple[Step, ...]:
    """Return the steps of `network` with weights that are zeros; raises `NetworkError` as `lower.steps_of` does."""
    graph = without_batch_norm(expand(network))
    MICRO.check(graph.ops)
    shapes, writers = weight_shapes(graph), Writers()
    padding = TABLE.padding  # the image's real 0
    for layer in integer_layers(graph):
        if layer.op.kind == "hard_swish":
            writers.activate(TABLE)
        elif layer.op.kind == "multiply":
            writers.multiply(layer, Part(layer.name, np.zeros(1, np.int32), np.zeros(1, np.float32), LINEAR))
        elif layer.op.kind == "add":
            writers.add(Sum(layer.name, writers.of_layer[layer.sources[1]], (0, 0), 0, 1, _rule(layer)))
        else:
            writers.append(layer, _part(layer, shapes), padding)
        padding = writers.padding
    return tuple(writers.steps)


@lru_cache(maxsize=1024)
def shape_plan(network: Network, core: Core) -> Arena:
    """Return the plan of the arena for `network`."""
    return plan_of(shape_steps(network), core)


def _rule(layer: Layer) -> Rule:
    pooled = layer.op.kind == "global_average_pool"
    return RELU if layer.activation or pooled else LINEAR


def _part(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> Part:
    shape = shapes.get(f"{layer.name}.weight", (0,))
    outputs = shape[0] or 1
    zeros = np.broadcast_to(np.int8(0), shape)
    return Part(layer.name, np.zeros(outputs, np.int32), np.zeros(outputs, np.float32), _rule(layer), zeros)

"""The steps of the C for microcontrollers, by the shapes of a network alone."""

from functools import lru_cache
from typing import Literal

import numpy as np

from ..arch.fold import without_batch_norm
from ..arch.graph import expand, weight_shapes
from ..arch.layers import Layer
from ..arch.network import Network
from ..compiler.micro import Core, plan_of
from ..compiler.micro.lower import MICRO, Part, Rule, Step
from ..compiler.micro.plan import Arena
from ..compiler.program import Window
from ..quant.scheme import integer_layers

__all__ = ["shape_plan", "shape_steps"]

RELU = Rule(0, 0, 255)  # of which the kernels know that nothing is below 0
TABLE = Rule(0, 0, 255, table=np.zeros(256, np.uint8), padding=1)  # of a hard swish, whose real 0 may be any code


@lru_cache(maxsize=1024)  # a search asks for each of its networks several times
def shape_steps(network: Network) -> tuple[Step, ...]:
    """Return the steps of `network` with weights that are zeros; raises `NetworkError` as `lower.steps_of` does."""
    graph = without_batch_norm(expand(network))
    MICRO.check(graph.ops)
    shapes = weight_shapes(graph)
    steps: list[Step] = []
    waiting: Layer | None = None
    first: Part | None = None
    padding = TABLE.padding  # the image's real 0
    for layer, rule in _with_rules(integer_layers(graph)):
        part = _part(layer, shapes, rule)
        if layer.op.kind in ("depthwise", "global_average_pool"):
            waiting, first, before = layer, part, padding
        else:
            steps.append(_step(waiting or layer, layer, before if waiting else padding, part, first))
            waiting = first = None
        padding = rule.padding
    return tuple(steps)


@lru_cache(maxsize=1024)
def shape_plan(network: Network, core: Core) -> Arena:
    """Return the plan of the arena for `network`."""
    return plan_of(shape_steps(network), core)


def _with_rules(layers: tuple[Layer, ...]) -> list[tuple[Layer, Rule]]:
    """Return the layers that have sums, with the rule of the activation behind each."""
    found: list[tuple[Layer, Rule]] = []
    for layer in layers:
        if layer.op.kind == "hard_swish":
            found[-1] = found[-1][0], TABLE
        else:
            found.append((layer, RELU))
    return found


def _step(gathered: Layer, layer: Layer, padding: int, part: Part, first: Part | None) -> Step:
    op = gathered.op
    kinds: dict[str, Literal["depthwise", "pool"]] = {"depthwise": "depthwise", "global_average_pool": "pool"}
    return Step(
        kinds.get(op.kind, "window"),
        op.shape_in,
        layer.op.shape_out,
        Window(op.kernel, op.stride, *op.padding[:2]),
        padding,
        part,
        first,
        image=first is None and layer.sources == (0,),
    )


def _part(layer: Layer, shapes: dict[str, tuple[int, ...]], rule: Rule) -> Part:
    shape = shapes.get(f"{layer.name}.weight", (0,))
    outputs = shape[0] or 1
    zeros = np.broadcast_to(np.int8(0), shape)
    return Part(layer.name, np.zeros(outputs, np.int32), np.zeros(outputs, np.float32), rule, zeros)

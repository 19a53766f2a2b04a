"""The bytes of RAM and flash that a network takes on a microcontroller, by its shapes alone."""

from functools import lru_cache
from math import prod

import numpy as np

from ..arch.fold import without_batch_norm
from ..arch.graph import expand, weight_shapes
from ..arch.layers import Layer
from ..arch.network import Network
from ..compiler.micro import STACK, plan_of
from ..compiler.micro.lower import Part, Rule, Step
from ..compiler.micro.pack import pack_product, pack_taps
from ..compiler.program import Window
from ..costs import Memory
from ..quant.scheme import integer_layers
from .device import Device

__all__ = ["code_bytes", "flash_of", "largest_image", "memory_of"]

TABLE = 256  # bytes of a hard swish
# bytes of code and of the table of steps, at -O2 by gcc 12; tests/devices/test_device_cost.py compares
CODE = {"plain": 4000, "dsp": 4000, "helium": 4000}


def memory_of(network: Network, device: Device) -> Memory:
    """Return the bytes that `network` takes in int8 on `device`."""
    arena = plan_of(_steps(network), device.core)
    return Memory(arena.size, STACK, _weights(network), code_bytes(network, device))


def flash_of(network: Network, device: Device) -> int:
    """Return the bytes of flash that `memory_of` returns, without planning the arena."""
    return _weights(network) + code_bytes(network, device)


def largest_image(network: Network) -> int:
    """Return the bytes of the largest image between two steps."""
    return max(prod(step.shape_out) for step in _steps(network)[:-1])


def code_bytes(network: Network, device: Device) -> int:
    """Return an estimate of the bytes of code of `network` on `device`."""
    return CODE[device.core.kernels]


@lru_cache(maxsize=1024)  # a search asks for each of its networks several times
def _steps(network: Network) -> tuple[Step, ...]:
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


@lru_cache(maxsize=1024)
def _weights(network: Network) -> int:
    """Return the bytes of weights, biases, factors and tables."""
    layers = integer_layers(without_batch_norm(expand(network)))
    return sum(TABLE for layer in layers if layer.op.kind == "hard_swish") + sum(map(_of_step, _steps(network)))


def _of_step(step: Step) -> int:
    parts = [part for part in (step.first, step.product) if part is not None]
    taps = pack_taps(step).nbytes if step.gather == "depthwise" else 0
    return taps + pack_product(step.product).nbytes + sum(part.bias.nbytes + part.factor.nbytes for part in parts)

"""The bytes of RAM and flash that a network takes on a microcontroller, by its shapes alone."""

from functools import lru_cache
from math import prod

from ..arch.fold import without_batch_norm
from ..arch.graph import expand
from ..arch.network import Network
from ..compiler.micro import STACK, plan_of
from ..compiler.micro.lower import Step
from ..compiler.micro.pack import pack_product, pack_taps
from ..costs import Memory
from ..quant.scheme import integer_layers
from .device import Device
from .steps import steps_of

__all__ = ["code_bytes", "flash_of", "largest_image", "memory_of"]

TABLE = 256  # bytes of a hard swish
# bytes of code by gcc 12 at -O2, at most: kernels, the table of steps, floats in software where there is no unit
CODE = {"plain": 7800, "dsp": 8700, "helium": 5000}


def memory_of(network: Network, device: Device) -> Memory:
    """Return the bytes that `network` takes in int8 on `device`."""
    arena = plan_of(steps_of(network), device.core)
    return Memory(arena.size, STACK, _weights(network), code_bytes(network, device))


def flash_of(network: Network, device: Device) -> int:
    """Return the bytes of flash that `memory_of` returns, without planning the arena."""
    return _weights(network) + code_bytes(network, device)


def largest_image(network: Network) -> int:
    """Return the bytes of the largest image between two steps."""
    return max(prod(step.shape_out) for step in steps_of(network)[:-1])


def code_bytes(network: Network, device: Device) -> int:
    """Return an estimate of the bytes of code of `network` on `device`."""
    return CODE[device.core.kernels]


@lru_cache(maxsize=1024)
def _weights(network: Network) -> int:
    """Return the bytes of weights, biases, factors and tables."""
    layers = integer_layers(without_batch_norm(expand(network)))
    return sum(TABLE for layer in layers if layer.op.kind == "hard_swish") + sum(map(_of_step, steps_of(network)))


def _of_step(step: Step) -> int:
    parts = [part for part in (step.first, step.product) if part is not None]
    taps = pack_taps(step).nbytes if step.gather == "depthwise" else 0
    return taps + pack_product(step.product).nbytes + sum(part.bias.nbytes + part.factor.nbytes for part in parts)

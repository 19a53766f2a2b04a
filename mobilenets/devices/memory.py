"""The bytes of RAM and flash that a network takes on a microcontroller, by its shapes alone."""

from functools import lru_cache
from itertools import pairwise
from math import prod

from ..arch.network import Network
from ..compiler.micro import STACK
from ..compiler.micro.families import FAMILIES
from ..compiler.micro.lower import Step
from ..compiler.micro.stream import MOST
from ..costs import Memory
from .device import Device
from .steps import shape_plan, shape_steps

__all__ = ["code_bytes", "largest_image", "memory_of", "weights_of"]

# bytes of code by gcc 12 at -O2, at most: kernels and the table of steps; then each kernel for tiles of another pitch
CODE = {"plain": (6100, 0), "dsp": (7100, 1000), "helium": (8500, 0)}


def memory_of(network: Network, device: Device) -> Memory:
    """Return the bytes that `network` takes in int8 on `device`."""
    arena = shape_plan(network, device.core)
    return Memory(arena.size, STACK, weights_of(network, device.core.kernels), code_bytes(network, device))


def largest_image(network: Network) -> int:
    """Return the bytes of the largest image of which it is known that it is never kept in part: of two that follow each
    other, the larger may be.
    """
    images = [prod(step.shape_out) for step in shape_steps(network)[MOST:-1]]
    return max(map(min, pairwise(images)), default=0)


def code_bytes(network: Network, device: Device) -> int:
    """Return the bytes of code that `network` takes on `device` at most."""
    kernels, each = CODE[device.core.kernels]
    if not each:
        return kernels
    family, placed = FAMILIES[device.core.kernels], shape_plan(network, device.core).steps
    tiles = {family.tiles(step, place.pitch) for step, place in zip(shape_steps(network), placed, strict=True)}
    return kernels + each * len(tiles - {"tiles_any"})


@lru_cache(maxsize=1024)
def weights_of(network: Network, kernels: str) -> int:
    """Return the bytes of weights, biases, factors and tables."""
    return sum(_of_step(step, kernels) for step in shape_steps(network))


def _of_step(step: Step, kernels: str) -> int:
    family, product, first = FAMILIES[kernels], step.product, step.first
    arrays = [*family.weights(step), product.factor, product.rule.table] if product else []
    if first is not None:
        taps = [family.taps(step)] if step.gather == "depthwise" else []
        arrays += [*taps, first.bias, first.factor, first.rule.table]
    return sum(array.nbytes for array in arrays if array is not None)

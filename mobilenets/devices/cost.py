"""What an int8 network costs on a microcontroller: memory by the planner of its C, time by a model of instructions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..arch.network import Network
from ..costs import DeviceCost
from .cycles import layer_times, least_instructions
from .device import Device
from .memory import largest_image, memory_of, weights_of

__all__ = ["Estimator", "cost_on"]


def cost_on(network: Network, device: Device, clock: float | None = None) -> DeviceCost:
    """Return what `network` costs in int8 on `device` at `clock` MHz, by default the device's usual one."""
    return DeviceCost(device.name, clock or device.clock, memory_of(network, device), layer_times(network, device))


@dataclass(frozen=True, slots=True)
class Estimator:
    """What networks cost on a device, as a search asks for it: each is worked out once, and only what is asked for."""

    device: Device
    clock: float | None = None
    progress: Callable[[int], None] | None = None  # called with the number of networks worked out so far
    known: dict[Network, DeviceCost] = field(default_factory=dict, repr=False)

    def cost(self, network: Network) -> DeviceCost:
        """Return all of the costs."""
        if network not in self.known:
            self.known[network] = cost_on(network, self.device, self.clock)
            if self.progress is not None:
                self.progress(len(self.known))
        return self.known[network]

    def ram(self, network: Network) -> int:
        """Return the bytes of arena and stack, by the planner."""
        return self.cost(network).memory.ram

    def least_ram(self, network: Network) -> int:
        """Return a lower bound of `ram`: the largest image."""
        return largest_image(network)

    def flash(self, network: Network) -> int:
        """Return the bytes of weights and code."""
        return self.cost(network).memory.flash

    def least_flash(self, network: Network) -> int:
        """Return a lower bound of `flash`: the weights."""
        return weights_of(network, self.device.core.kernels)

    def milliseconds(self, network: Network) -> float:
        """Return the time of one image."""
        return self.cost(network).milliseconds

    def least_milliseconds(self, network: Network) -> float:
        """Return a lower bound of `milliseconds`."""
        clock = self.clock or self.device.clock
        return least_instructions(network, self.device) * self.device.cycles / (1e3 * clock)

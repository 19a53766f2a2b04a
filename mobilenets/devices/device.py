"""The microcontrollers that C is written for."""

from dataclasses import dataclass

from ..compiler.micro import CORES, Core
from ..errors import UsageError

__all__ = ["DEVICES", "Device", "device_of"]


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of microcontroller: its core, and the clock that latency is stated at unless another is given."""

    name: str  # also that of its core in `CORES`
    clock: float  # MHz
    architectures: str = "*"  # as Arduino's library.properties names them

    @property
    def core(self) -> Core:
        """Return the core that C is written for."""
        return CORES[self.name]


DEVICES = {
    device.name: device
    for device in (
        Device("cortex-m4", 120),  # STM32L4+, the board of MLPerf Tiny
        Device("cortex-m7", 216),  # STM32F7
        Device("cortex-m33", 160),  # STM32U5
        Device("cortex-m55", 160),  # Ensemble E3, high efficiency core
        Device("esp32-s3", 240, architectures="esp32"),
        Device("riscv32", 160),  # ESP32-C3
    )
}


def device_of(name: str) -> Device:
    """Return the device of that name; `UsageError` where there is none."""
    if name not in DEVICES:
        raise UsageError(f"device (={name!r}) must be one of {', '.join(DEVICES)}")
    return DEVICES[name]

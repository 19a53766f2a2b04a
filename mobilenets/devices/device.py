"""The microcontrollers that C is written for."""

from dataclasses import dataclass

from ..compiler.micro import CORES, Core
from ..errors import UsageError

__all__ = ["DEVICES", "Device", "device_of"]


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of microcontroller: its core, and what its time is estimated by."""

    name: str  # also that of its core in `CORES`
    clock: float  # MHz that latency is stated at unless another is given
    cycles: float  # of one instruction, on average
    fitted: str  # the core whose instructions were counted, a key of `cycles.FITTED`
    architectures: str = "*"  # as Arduino's library.properties names them

    @property
    def core(self) -> Core:
        """Return the core that C is written for."""
        return CORES[self.name]


# Cycles an instruction. Cortex-M4: 36.1 M cycles of TVM with CMSIS-NN on an STM32L4R5 (301 ms at 120 MHz, MLPerf Tiny,
# person detection) over 24.1 M instructions counted of the same kernels; by Arm's manual a load takes two cycles or
# more, all else here one. M33 and M7: the M4's, times their cycles for one mult-add over its own, of X-CUBE-AI there
# (1.26 and 0.89 over 1.42). M55: a vector instruction takes two cycles, others one, and half are such. ESP32-S3 and
# RISC-V: in order, one at a time, loads from cache; assumed. None was measured on a board of our own.
DEVICES = {
    device.name: device
    for device in (
        Device("cortex-m4", 120, 1.5, "cortex-m4"),  # STM32L4+, the board of MLPerf Tiny
        Device("cortex-m7", 216, 0.94, "cortex-m4"),  # STM32F7
        Device("cortex-m33", 160, 1.33, "cortex-m4"),  # STM32U5
        Device("cortex-m55", 160, 1.5, "cortex-m55"),  # Ensemble E3, its efficient core
        Device("esp32-s3", 240, 1.3, "esp32-s3", architectures="esp32"),
        Device("riscv32", 160, 1.3, "riscv32"),  # ESP32-C3
    )
}


def device_of(name: str) -> Device:
    """Return the device of that name; `UsageError` where there is none."""
    if name not in DEVICES:
        raise UsageError(f"device (={name!r}) must be one of {', '.join(DEVICES)}")
    return DEVICES[name]

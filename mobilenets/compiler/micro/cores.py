"""The cores that C is written for: the family of kernels, and the flags of gcc."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CORES", "Core"]


@dataclass(frozen=True, slots=True)
class Core:
    """A kind of processor: its name, its kernels, and the flags that gcc for it needs."""

    name: str
    kernels: Literal["plain", "dsp", "helium"]
    flags: tuple[str, ...] = ()


_HARD = ("-mthumb", "-mfloat-abi=hard")

CORES = {
    core.name: core
    for core in (
        Core("cortex-m0plus", "plain", ("-mthumb", "-mcpu=cortex-m0plus")),
        Core("cortex-m3", "plain", ("-mthumb", "-mcpu=cortex-m3")),
        Core("cortex-m4", "dsp", (*_HARD, "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16")),
        Core("cortex-m7", "dsp", (*_HARD, "-mcpu=cortex-m7", "-mfpu=fpv5-d16")),
        Core("cortex-m33", "dsp", (*_HARD, "-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16")),
        Core("cortex-m55", "helium", (*_HARD, "-mcpu=cortex-m55", "-mfpu=auto")),
        Core("esp32-s3", "plain"),
        Core("riscv32", "plain", ("-march=rv32imac", "-mabi=ilp32")),
        Core("riscv64", "plain", ("-march=rv64gc", "-mabi=lp64d")),
    )
}

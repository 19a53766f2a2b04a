"""What a network costs on a microcontroller: bytes, and an estimate of its time layer by layer."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["DeviceCost", "LayerTime", "Memory"]


@dataclass(frozen=True, slots=True)
class LayerTime:
    """The estimated instructions and cycles of one layer."""

    name: str
    type: str
    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of RAM (arena and stack) and of flash (weights and code) on a microcontroller. Code is an estimate."""

    arena: int
    stack: int
    weights: int
    code: int

    @property
    def ram(self) -> int:
        """Return the bytes of RAM in all."""
        return self.arena + self.stack

    @property
    def flash(self) -> int:
        """Return the bytes of flash in all."""
        return self.weights + self.code

    def to_dict(self) -> dict[str, int]:
        """Return the bytes as JSON."""
        return {
            "arena_bytes": self.arena,
            "stack_bytes": self.stack,
            "ram_bytes": self.ram,
            "weights_bytes": self.weights,
            "code_bytes": self.code,
            "flash_bytes": self.flash,
        }


@dataclass(frozen=True, slots=True)
class DeviceCost:
    """What an int8 network costs on `device` at `clock` MHz; the time is an estimate."""

    device: str
    clock: float
    memory: Memory
    layers: tuple[LayerTime, ...]

    @property
    def instructions(self) -> int:
        """Return the instructions of one image."""
        return sum(layer.instructions for layer in self.layers)

    @property
    def milliseconds(self) -> float:
        """Return the time of one image."""
        return sum(layer.cycles for layer in self.layers) / (1e3 * self.clock)

    def to_dict(self, layers: bool = True) -> dict[str, Any]:
        """Return the costs as JSON, whose keys docs/json.md lists."""
        values: dict[str, Any] = {
            "device": self.device,
            "clock_mhz": self.clock,
            **self.memory.to_dict(),
            "instructions": self.instructions,
            "latency_ms": self.milliseconds,
        }
        return {**values, "layers": [asdict(layer) for layer in self.layers]} if layers else values

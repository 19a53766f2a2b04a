"""The layers of a graph while it is read, and the values that its nodes pass on.

A `Value` is the output of a layer after arithmetic that may become its activation: clip(slope * x + offset, low, high),
times x where it is `gated`. Every spelling of ReLU, ReLU6, hard sigmoid and hard swish comes to one of five of these.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf, isclose
from typing import Any

from ...errors import ModelFileError
from ..layers import FileLayer

__all__ = ["ACTIVATIONS", "IMAGE", "Flow", "Value"]

_NEAR = 2e-3  # of the constants of an activation, which may be rounded to 8 bits


@dataclass(frozen=True, slots=True)
class Value:
    """clip(slope * x + offset, low, high), times x where it is `gated`, of the output x of the layer at `at`."""

    at: int  # -1: the image
    slope: float = 1.0
    offset: float = 0.0
    low: float = -inf
    high: float = inf
    gated: bool = False

    @property
    def plain(self) -> bool:
        """Return whether it is the output of the layer itself."""
        return self == Value(self.at)

    @property
    def activation(self) -> str:
        """Return the activation that makes it of the output of the layer."""
        numbers = (self.slope, self.offset, self.low, self.high)
        for name, (*wanted, gated) in ACTIVATIONS.items():
            if gated == self.gated and all(isclose(a, b, rel_tol=_NEAR) for a, b in zip(numbers, wanted, strict=True)):
                return name
        return f"a clip of {self.slope:g} x + {self.offset:g} to {self.low:g}..{self.high:g}"

    def clipped(self, low: float, high: float) -> "Value":
        """Return it clipped to `low` and `high`."""
        if self.gated:
            raise ModelFileError("a clip of a product, which no activation of a MobileNet has")
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))

    def times(self, factor: float) -> "Value":
        """Return it times a number above 0."""
        if not 0 < factor < inf:
            raise ModelFileError(f"a factor of {factor:g}, which no activation of a MobileNet has")
        low, high = self.low * factor, self.high * factor
        return replace(self, slope=self.slope * factor, offset=self.offset * factor, low=low, high=high)

    def plus(self, number: float) -> "Value":
        """Return it plus a number."""
        if self.gated and number:
            raise ModelFileError("a sum with a product, which no activation of a MobileNet has")
        return replace(self, offset=self.offset + number, low=self.low + number, high=self.high + number)


ACTIVATIONS = {  # slope, offset, low, high, gated
    "none": (1.0, 0.0, -inf, inf, False),
    "relu": (1.0, 0.0, 0.0, inf, False),
    "relu6": (1.0, 0.0, 0.0, 6.0, False),
    "hard_sigmoid": (1 / 6, 0.5, 0.0, 1.0, False),
    "hard_swish": (1 / 6, 0.5, 0.0, 1.0, True),
}
IMAGE = Value(-1)


class Flow:
    """Collects the layers; each is settled, with its activation, when another layer takes its value."""

    def __init__(self) -> None:
        self.layers: list[FileLayer] = []
        self.settled: dict[int, Value] = {}  # of layers that others have taken

    def add(self, layer: FileLayer, *inputs: Value) -> Value:
        """Append a layer without activation that takes `inputs`; return its value."""
        takes = tuple(self.settle(value) for value in inputs)
        self.layers.append(replace(layer, activation="none", takes=takes))
        return Value(len(self.layers) - 1)

    def settle(self, value: Value) -> int:
        """Fix the activation of the layer that gives `value`; return its position."""
        if value.at >= 0:
            layer = self.layers[value.at]
            if self.settled.setdefault(value.at, value) != value:
                raise ModelFileError(f"{layer.name}: one layer takes it with another activation than the next")
            self.layers[value.at] = replace(layer, activation=value.activation)
        elif not value.plain:
            raise ModelFileError("an activation of the image")
        return value.at

    def finished(self, values: Iterable[Value]) -> tuple[FileLayer, ...]:
        """Return all layers; those that no layer takes have the activation of the last of `values` that they give."""
        for value in reversed(list(values)):
            if value.at >= 0 and value.at not in self.settled:
                self.settle(value)
        return tuple(self.layers)

    def activated(self, value: Value, kind: str) -> Value | None:
        """Return the value after an activation of that kind; None where it cannot follow."""
        if value.at < 0 or self.layers[value.at].kind == "pool" or (value.low, value.high) != (-inf, inf):
            return None
        slope, offset, low, high, gated = ACTIVATIONS[kind]
        if not value.plain and slope != 1:
            return None
        if slope == 1:
            return value.clipped(low, high)
        return replace(value, slope=slope, offset=offset, low=low, high=high, gated=gated)

    def change(self, value: Value, **known: Any) -> Value:
        """Change fields of the layer of `value`, which no other layer has taken."""
        self.layers[value.at] = replace(self.layers[value.at], **known)
        return value

    def pooled(self, value: Value) -> bool:
        """Return whether nothing but 1x1 convolutions lies between a pool and the value."""
        at = value.at
        while at >= 0 and self.layers[at].kind in ("pointwise", "fully_connected"):
            at = (self.layers[at].takes or (-1,))[0]
        return at >= 0 and self.layers[at].kind == "pool"

    def product(self, a: Value, b: Value, name: str) -> Value:
        """Return the product of two values: a hard swish where they are of one layer, else that of a gate."""
        if a.at == b.at and a.at >= 0 and (a.plain or b.plain):
            return replace(b if a.plain else a, gated=True)
        gate_first = a.activation == "hard_sigmoid"
        return self.add(FileLayer("multiply", name), *((b, a) if gate_first else (a, b)))

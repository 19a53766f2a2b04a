"""One ONNX node with its constants, and the chain of layers that nodes build. Shapes are NCHW."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from ...arrays import Array, Floats
from ...errors import ModelFileError
from ..layers import FileLayer, Number, Pads
from .flow import IMAGE, Flow, Value

__all__ = ["Chain", "Node", "State"]

Size = tuple[int | None, int | None]  # height, width; None: the file leaves it open


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `inputs` holds its constants, None for the chain's value and for absent inputs."""

    number: int
    kind: str
    name: str
    attributes: dict[str, Any]
    inputs: tuple[Array | None, ...]

    def refuse(self, reason: str) -> NoReturn:
        """Raise `ModelFileError` naming this node."""
        raise ModelFileError(f"node {self.number} ({self.kind} {self.name}): {reason}")

    def constant(self, position: int) -> Array | None:
        """Return the constant input at `position`; None where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def floats(self, position: int) -> Floats:
        """Return a constant input as float32; raises `ModelFileError` for another type."""
        values = self.constant(position)
        if values is None or values.dtype.kind != "f":
            self.refuse(f"its input {position} is no constant of floating point numbers")
        with np.errstate(over="ignore"):  # overflow to infinity is refused with its name
            return values.astype(np.float32, copy=False)

    def vector(self, position: int, length: int) -> Floats:
        """Return a constant input of `length` values."""
        values = self.floats(position).reshape(-1)
        if len(values) != length:
            self.refuse(f"{len(values)} values for {length} channels")
        return values

    def number_or(self, default: float, attribute: str, position: int) -> float:
        """Return one number, which newer files give as an input and older ones as an attribute."""
        values = self.constant(position)
        if values is None:
            return float(self.attributes.get(attribute, default))
        if values.size != 1:
            self.refuse(f"{values.size} values for its {attribute}")
        return float(values.reshape(()))

    def numbers(self, attribute: str, position: int) -> tuple[int, ...]:
        """Return whole numbers, as inputs or attributes; none where the file has none."""
        values = self.constant(position)
        found = self.attributes.get(attribute, ()) if values is None else values.reshape(-1).tolist()
        if not isinstance(found, list | tuple) or len(found) > 8 or not all(isinstance(n, int) for n in found):
            self.refuse(f"its {attribute} are not a few whole numbers")
        return tuple(found)


@dataclass(slots=True)
class State:
    """One computed value: what it is of which layer, and how it lies in memory."""

    value: Value = IMAGE
    size: Size = (None, None)
    channels_last: bool = False  # since a Transpose after the first layer
    pads: Pads | None = None  # of a Pad that waits for its convolution


@dataclass(slots=True)
class Chain:
    """The layers so far, the computed values by name, and what the current node takes, then gives: `now`."""

    shape: tuple[int | None, ...]  # of the image, as its axes lie
    integers: bool  # the image holds whole numbers: pixels
    limit: int  # of all values in all kernels: what the file's size allows
    flow: Flow = field(default_factory=Flow)
    states: dict[str, State] = field(default_factory=dict)
    now: State = field(default_factory=State)
    scale: Array = field(default_factory=lambda: np.ones((1, 1, 1, 1)))  # of the image before the first layer
    shift: Array = field(default_factory=lambda: np.zeros((1, 1, 1, 1)))  # both broadcast as its axes lie
    image: Size = (None, None)  # its height and width, known from the first layer on
    ends: str | None = None  # "softmax" or "sigmoid", once it has come

    @property
    def layer(self) -> FileLayer | None:
        """Return the layer of the current value; None where it is the image."""
        return self.flow.layers[self.now.value.at] if self.now.value.at >= 0 else None

    @property
    def open(self) -> bool:
        """Return whether the current value is a layer's own output, which no other layer has taken."""
        return self.layer is not None and self.now.value.plain and self.now.value.at not in self.flow.settled

    @property
    def single(self) -> bool:
        """Return whether one position is left, so that a reshape keeps the order of channels."""
        return self.layer is not None and self.now.size == (1, 1)

    @property
    def classified(self) -> bool:
        """Return whether the classifier has been read."""
        last = self.layer
        return (
            last is not None
            and last.weight is not None
            and (last.kind == "fully_connected" or self.flow.pooled(self.now.value))
        )

    def add(self, layer: FileLayer, size: Size, *others: Value) -> None:
        """Append a layer."""
        self.limit -= 0 if layer.weight is None else layer.weight.size
        if self.limit < 0:
            raise ModelFileError(f"{layer.name}: up to here its layers claim more values than the file has bytes")
        self.now = State(self.flow.add(layer, self.now.value, *others), size, self.now.channels_last)

    def layers(self) -> tuple[FileLayer, ...]:
        """Return the layers so far, each with its activation."""
        return self.flow.finished([state.value for state in self.states.values()])

    def pixels(self) -> tuple[Number, Number] | None:
        """Return (mean, std) from the image's scale and shift: scale x image + shift.

        Whole numbers are pixels. Other images are pixels too where a mean or std is above 1; else they are in [0, 1].
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, std = (-self.shift / self.scale).reshape(-1), (1 / self.scale).reshape(-1)
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ModelFileError(f"its image is multiplied by {self.scale.reshape(-1).tolist()}")
        if not self.integers:
            if (mean == 0).all() and (std == 1).all():
                return None
            if max(mean.max(), std.max()) <= 1:
                mean, std = mean * 255, std * 255
        return _number(mean), _number(std)


def _number(values: Array) -> Number:
    """Return one number, or one per channel, to the digits of float32."""
    numbers = tuple(float(f"{value:.6g}") for value in values)
    return numbers[0] if len(set(numbers)) == 1 else numbers

"""The values of a TensorFlow Lite file's tensors: arithmetic, activations, and the ranges of their integers."""

from math import inf, isclose
from typing import Any

import numpy as np

from ...arrays import Floats, Integers
from ...errors import ModelFileError
from ...quant.scheme import HIGH, LOW
from ..layers import FileLayer
from .flow import IMAGE, Flow, Value
from .tflite_file import File, Operator
from .tflite_image import Image
from .tflite_integers import quant_params
from .tflite_tables import IDENTITY, constant, tabulate

__all__ = ["ARITHMETIC", "CLIPS", "FUSED", "Values", "fused"]

ARITHMETIC = ("ADD", "DIV", "MUL", "SUB")
CLIPS = {"RELU": (0.0, inf), "RELU6": (0.0, 6.0)}
FUSED = {"none": (-inf, inf), "relu": CLIPS["RELU"], "relu6": CLIPS["RELU6"]}


class Values:
    """Maps computed tensors to their values, which belong to the layers in `flow`."""

    def __init__(self, file: File) -> None:
        self.file, self.flow, self.image = file, Flow(), Image(file)
        self.known: dict[int, Value] = {}
        self.tables: dict[int, Integers] = {}  # of an activation by several operators: of each layer's integers, (256,)
        self.unpacked: dict[int, int] = {}  # a float tensor -> the constant that DEQUANTIZE makes it from

    def real(self, index: int) -> Floats:
        """Return a constant tensor in float32: scale x (value - zero point), per tensor or per channel."""
        index = self.unpacked.get(index, index)
        values = self.file.constant(index)
        if values.dtype.kind != "f":
            scale, zero = self.file.scales(index, values.shape)
            values = (values - zero) * scale
        with np.errstate(over="ignore"):  # what is not finite is refused later, for all formats
            return values.astype(np.float32)

    def of(self, operator: Operator, tensor: int) -> Value:
        """Return the value of a tensor that an operator takes."""
        if tensor not in self.known:
            raise ModelFileError(f"{operator} does not take what the one before it gives")
        return self.known[tensor]

    def settled(self, operator: Operator, tensor: int) -> Value:
        """Return the value of a tensor that a layer takes; note the integers of its activation."""
        value = self.known[tensor] = self._with_limits(self.of(operator, tensor), tensor)
        self.note_integers(value, tensor)
        return value

    def _with_limits(self, value: Value, tensor: int) -> Value:
        """Return the value of a convolution clipped at 0 where its integers end there, which is a ReLU: converters
        leave out what rounding does anyway.
        """
        if value.at < 0 or not value.plain or value.at in self.flow.settled:
            return value
        weighted = self.flow.layers[value.at].weight is not None
        return value.clipped(*CLIPS[self._limit(tensor)]) if weighted and self._limit(tensor) else value

    def _limit(self, tensor: int) -> str:
        """Return the activation that the range of a tensor's integers implies; none where they may be negative."""
        gives = quant_params(self.file, tensor)
        if gives is None or gives.zero_point != LOW:
            return ""
        return "RELU6" if isclose(gives.scale * (HIGH - LOW), 6, rel_tol=0.01) else "RELU"

    def note_integers(self, value: Value, tensor: int) -> None:
        """Note the parameters of the integers after a layer's activation, before it is settled."""
        if value.at < 0 or value.at in self.flow.settled:
            return
        layer, gives = self.flow.layers[value.at], quant_params(self.file, tensor)
        if value.activation not in ("none", "relu", "relu6"):
            self.flow.change(value, activated=gives, table=self.tables.get(tensor))
        elif gives != layer.gives:  # integers rounded twice do not follow the specification
            self.flow.change(value, gives=None)

    def arithmetic(self, operator: Operator) -> Value:
        """Return a sum or a product of two values, or of a value and numbers."""
        if self.known.get(operator.takes) == IMAGE:
            self.image.rescale(operator, self.real(operator.others[0]) if operator.others else np.zeros(0))
            return IMAGE
        a, b = operator.takes, (operator.others or [-1])[0]
        self._tabulate(operator, a, b)
        if a in self.known and b in self.known and operator.kind in ("ADD", "MUL"):
            return self._clipped(operator, self._joined(operator, a, b))
        value, number = (a, b) if a in self.known else (b, a)
        numbers = np.zeros(0) if number in self.known or number < 0 else self.real(number)
        if numbers.size != 1 or (operator.kind in ("SUB", "DIV") and number == a):
            raise ModelFileError(f"{operator}: no MobileNet has one; it is not a MobileNet from there on")
        return self._clipped(operator, self._by_number(operator, value, float(numbers.reshape(()))))

    def _tabulate(self, operator: Operator, a: int, b: int) -> None:
        """Note what an operator gives for each integer of the layer whose activation it may be a part of."""
        kind, one, other = fused(operator.options), self._table(a), self._table(b)
        layers = {self.known[tensor].at for tensor in (a, b) if tensor in self.known}
        if one is None or other is None or len(layers) > 1 or kind not in FUSED:
            return
        if (table := tabulate(self.file, operator, (a, b), (one, other), FUSED[kind])) is not None:
            self.tables[operator.gives] = table

    def _table(self, tensor: int) -> Integers | None:
        """Return the integers that a tensor has for each of its layer's output, or those of a constant number."""
        value = self.known.get(tensor)
        if value is None:
            return constant(self.file, tensor) if tensor >= 0 else None
        own = value.plain and value.at >= 0 and self.flow.layers[value.at].gives == quant_params(self.file, tensor)
        return IDENTITY if own else self.tables.get(tensor)

    def _by_number(self, operator: Operator, tensor: int, number: float) -> Value:
        value = self.of(operator, tensor)
        if operator.kind in ("ADD", "SUB"):
            value = value.plus(number if operator.kind == "ADD" else -number)
            return value.clipped(*CLIPS["RELU6"]) if self._limit(operator.gives) == "RELU6" else value
        return value.times(number if operator.kind == "MUL" else 1 / number if number else inf)

    def _joined(self, operator: Operator, a: int, b: int) -> Value:
        name, gives = self.file.name(operator.gives), quant_params(self.file, operator.gives)
        one, other = self.of(operator, a), self.of(operator, b)
        if operator.kind == "ADD":
            return self.flow.add(
                FileLayer("add", name, gives=gives), self.settled(operator, a), self.settled(operator, b)
            )
        if one.at != other.at:
            self.note_integers(one, a)
            self.note_integers(other, b)
        value = self.flow.product(one, other, name)
        return value if value.gated else self.flow.change(value, gives=gives)

    def _clipped(self, operator: Operator, value: Value) -> Value:
        """Return the value after the activation that is a part of the operator."""
        kind = fused(operator.options)
        if kind not in FUSED:
            raise ModelFileError(f"{operator}: {kind}, which no MobileNet has")
        return value if kind == "none" else value.clipped(*CLIPS[kind.upper()])

    def activate(self, operator: Operator, value: Value) -> Value:
        """Return the value after an activation that is an operator of its own."""
        given = self.flow.activated(value, operator.kind.lower())
        if given is None:
            raise ModelFileError(f"{operator} follows no convolution that lacks one")
        return given


def fused(options: Any) -> str:
    """Return the activation that is a part of an operator."""
    number = 0 if options is None else options.FusedActivationFunction()
    return {0: "none", 1: "relu", 3: "relu6"}.get(number, f"activation {number}")

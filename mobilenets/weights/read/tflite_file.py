"""The parts of a TensorFlow Lite file by the published flatbuffer schema; each number is checked before use."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ..layers import DETECTOR, extra

__all__ = ["FLOAT", "FLOAT16", "INT8", "UINT8", "File", "Operator"]

FLOAT, FLOAT16, UINT8, INT8 = 0, 1, 3, 9  # TensorType
_DTYPES = {FLOAT: "<f4", FLOAT16: "<f2", 2: "<i4", UINT8: "u1", 4: "<i8", INT8: "i1"}
_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
}
_FUSING = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions", "DIV": "DivOptions"}  # may be absent

_MOST_OPERATORS = 2048  # 256 blocks of padding, convolution, activation, convolution, activation, and the ends
_MOST_ENTRIES = 1000  # of metadata: converters and this package write some ten
_MOST_AXES = 8  # the product of a million would be long in coming
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator with its kind, options and tensors."""

    number: int
    kind: str
    takes: int
    others: list[int]  # its further inputs
    gives: int
    options: Any  # None where this reader needs none

    def __str__(self) -> str:
        return f"operator {self.number} ({self.kind})"


class File:
    """The parts of a file. The flatbuffers library follows any offset; here each is checked first."""

    def __init__(self, content: bytes) -> None:
        self.tflite = extra("tflite")
        self.left = 4 * len(content)  # what may yet be read: many parts of a damaged file may claim the same bytes
        self.model = self.tflite.Model.GetRootAsModel(content, 0)
        if self.model.SubgraphsLength() != 1:
            raise ModelFileError(f"{self.model.SubgraphsLength()} subgraphs: a MobileNet has one")
        self.graph = self.model.Subgraphs(0)
        self.tensors = self.spend(self.graph.TensorsLength())
        self.buffers = self.spend(self.model.BuffersLength())
        self.codes = self.spend(self.model.OperatorCodesLength())
        self.kinds = {n: name for name, n in vars(self.tflite.BuiltinOperator).items() if isinstance(n, int)}

    def spend(self, count: int) -> int:
        """Count `count` bytes or values that the file claims against the bound."""
        self.left -= count
        if self.left < 0:
            raise ModelFileError("damaged: it claims more values than its bytes can hold")
        return count

    def ends(self) -> tuple[int, int]:
        """Return the tensors that the whole graph takes and gives."""
        ends = self.spend(self.graph.InputsLength()), self.spend(self.graph.OutputsLength())
        if ends[1] > 1 and self._boxes():
            raise ModelFileError(f"{ends[1]} outputs, boxes among them: {DETECTOR}")
        if ends != (1, 1):
            raise ModelFileError(f"{ends[0]} inputs and {ends[1]} outputs: one of each is read")
        return self.graph.Inputs(0), self.graph.Outputs(0)

    def _boxes(self) -> bool:
        """Return whether an output holds boxes, four numbers each, or is an output of TensorFlow's detection."""
        custom = [self.model.OperatorCodes(number).CustomCode() for number in range(self.codes)]
        outputs = [self.shape(self.graph.Outputs(number)) for number in range(self.graph.OutputsLength())]
        return b"TFLite_Detection_PostProcess" in custom or any(len(s) > 1 and s[-1] == 4 for s in outputs)

    def metadata(self) -> dict[str, bytes]:
        """Return the metadata buffers by name."""
        found = {}
        count = self.spend(self.model.MetadataLength())
        if count > _MOST_ENTRIES:
            raise ModelFileError(f"its metadata: {count} entries: at most {_MOST_ENTRIES} are read")
        for number in range(count):
            entry = self.model.Metadata(number)
            if entry.Buffer() >= self.buffers:
                raise ModelFileError(f"its metadata: buffer {entry.Buffer()} of {self.buffers}: there is none")
            buffer, name = self.model.Buffers(entry.Buffer()), entry.Name() or b""
            content = bytes(buffer.DataAsNumpy()) if self.spend(len(name) + buffer.DataLength()) else b""
            found[name.decode("utf-8", "replace")] = content
        return found

    def operators(self) -> Iterator[Operator]:
        """Yield the operators in order."""
        count = self.graph.OperatorsLength()
        if not 0 < count <= _MOST_OPERATORS:
            raise ModelFileError(f"{count} operators: a MobileNet has 1 to {_MOST_OPERATORS}")
        for number in range(count):
            operator = self.graph.Operators(number)
            kind = self._kind(operator)
            inputs, outputs = self.spend(operator.InputsLength()), operator.OutputsLength()
            if not inputs or outputs != 1:
                raise ModelFileError(f"operator {number} ({kind}) has {inputs} inputs and {outputs} outputs")
            takes, *others = operator.InputsAsNumpy().tolist()
            yield Operator(number, kind, takes, others, operator.Outputs(0), self._options(operator, number, kind))

    def _kind(self, operator: Any) -> str:
        index = operator.OpcodeIndex()
        if index >= self.codes:
            raise ModelFileError(f"operator code {index} of {self.codes}: there is none")
        code = self.model.OperatorCodes(index)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return str(self.kinds.get(number, f"operator code {number}"))

    def _options(self, operator: Any, number: int, kind: str) -> Any:
        name = _OPTIONS.get(kind) or _FUSING.get(kind)
        if name is None:
            return None
        table = operator.BuiltinOptions()
        if table is None and kind in _FUSING:
            return None
        if table is None or operator.BuiltinOptionsType() != getattr(self.tflite.BuiltinOptions, name):
            raise ModelFileError(f"operator {number} ({kind}) lacks its {name}")
        options = getattr(self.tflite, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def tensor(self, index: int) -> Any:
        """Return a tensor by index."""
        if not 0 <= index < self.tensors:
            raise ModelFileError(f"tensor {index} of {self.tensors}: there is none")
        return self.graph.Tensors(index)

    def name(self, index: int) -> str:
        """Return the first part of the tensor's name; converters join those of all ops that they fused."""
        name = self.tensor(index).Name() or b"?"
        self.spend(len(name))
        return str(name.decode("utf-8", "replace").split(";")[0][:_LONGEST_NAME])

    def shape(self, index: int) -> list[int]:
        """Return the shape of a tensor."""
        tensor = self.tensor(index)
        axes = self.spend(tensor.ShapeLength())
        if axes > _MOST_AXES:
            raise ModelFileError(f"{self.name(index)}: {axes} axes: at most {_MOST_AXES} are read")
        return [int(n) for n in tensor.ShapeAsNumpy()] if axes else []

    def buffer(self, index: int) -> Any:
        """Return the buffer of a constant tensor; None for a computed one."""
        number = self.tensor(index).Buffer()
        if number >= self.buffers:
            raise ModelFileError(f"{self.name(index)}: buffer {number} of {self.buffers}: there is none")
        buffer = self.model.Buffers(number)
        return buffer if buffer.DataLength() else None

    def constant(self, index: int) -> np.ndarray[Any, Any]:
        """Return the stored values of a constant tensor."""
        buffer, shape, dtype = self.buffer(index), self.shape(index), _DTYPES.get(self.tensor(index).Type())
        if buffer is None or dtype is None:
            raise ModelFileError(f"{self.name(index)}: not a constant of a known number format")
        if min(shape, default=1) < 0 or math.prod(shape) * np.dtype(dtype).itemsize != buffer.DataLength():
            raise ModelFileError(f"{self.name(index)}: {buffer.DataLength()} bytes for shape {tuple(shape)} of {dtype}")
        self.spend(math.prod(shape))
        values: np.ndarray[Any, Any] = buffer.DataAsNumpy().view(dtype).reshape(shape)
        return values

    def scales(self, index: int, shape: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return (scale, zero point) of a quantised tensor in float64, to be broadcast over `shape`."""
        quantisation, name = self.tensor(index).Quantization(), self.name(index)
        count = self.spend(quantisation.ScaleLength()) if quantisation else 0
        if not count:
            raise ModelFileError(f"{name}: integers without a scale")
        axis = quantisation.QuantizedDimension() if len(shape) > 1 else 0  # a bias has one axis, whatever the file says
        if count > 1 and not (0 <= axis < len(shape) and shape[axis] == count):
            raise ModelFileError(f"{name}: {count} scales along axis {axis} of shape {shape}")
        scale = quantisation.ScaleAsNumpy().astype(np.float64)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise ModelFileError(f"{name}: scale {scale[~(np.isfinite(scale) & (scale > 0))][0]:g}: must be above 0")
        zeros = self.spend(quantisation.ZeroPointLength())
        if zeros not in (0, 1, count):
            raise ModelFileError(f"{name}: {zeros} zero points for {count} scales")
        zero = quantisation.ZeroPointAsNumpy().astype(np.float64) if zeros else np.zeros(1)
        along = [-1 if count > 1 and at == axis else 1 for at in range(len(shape))]
        return scale.reshape(along), zero.reshape(along if zeros > 1 else [1] * len(shape))

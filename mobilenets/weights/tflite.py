"""TensorFlow Lite: float, float16, uint8 and int8 files, dequantised to float. Read by the published flatbuffer schema
(the `tflite` package); nothing of the file is run.
"""

import struct
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import MobilenetsError, ModelFileError
from .layers import Array, Content, Layer, Number, convolution, extra

__all__ = ["read_tflite"]

_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 9: "i1"}  # TensorType
_TYPE_NAMES = {0: "float", 1: "float16", 3: "uint8", 9: "int8"}
_NO_LAYER = ("RESHAPE", "SQUEEZE", "SOFTMAX", "QUANTIZE", "DEQUANTIZE")  # they change no value that matters here


def read_tflite(content: bytes) -> Content:
    """The layers of the file's one subgraph. `ModelFileError` for what is damaged or no chain of layers."""
    tflite = extra("tflite")
    if content[4:8] != b"TFL3":
        raise ModelFileError("not a TensorFlow Lite file: it lacks the mark TFL3")
    try:
        return _Reader(content, tflite.Model.GetRootAsModel(content, 0)).read()
    except MobilenetsError:
        raise
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError) as exc:
        raise ModelFileError(f"damaged: {str(exc) or type(exc).__name__}") from exc


class _Reader:
    """One file, its operators in the order in which they run."""

    def __init__(self, content: bytes, model: Any) -> None:
        self.content, self.model = content, model
        if model.SubgraphsLength() != 1:
            raise ModelFileError(f"{model.SubgraphsLength()} subgraphs: a MobileNet v1 has one")
        self.graph = model.Subgraphs(0)
        self.unpacked: dict[int, int] = {}  # a float tensor -> the constant that DEQUANTIZE makes it from
        options = vars(extra("tflite").BuiltinOperator)
        self.kinds = {value: name for name, value in options.items() if isinstance(value, int)}

    def read(self) -> Content:
        graph, layers = self.graph, list[Layer]()
        if (graph.InputsLength(), graph.OutputsLength()) != (1, 1):
            raise ModelFileError(
                f"{graph.InputsLength()} inputs and {graph.OutputsLength()} outputs: one of each is read"
            )
        current = graph.Inputs(0)
        pads: tuple[int, int, int, int] | None = None
        for number in range(self._count(graph.OperatorsLength())):
            operator = graph.Operators(number)
            kind, takes, gives = self._kind(operator), operator.Inputs(0), operator.Outputs(0)
            if kind == "DEQUANTIZE" and self._data(takes) is not None:
                self.unpacked[gives] = takes
                continue
            if takes != current:
                raise ModelFileError(f"operator {number} ({kind}) does not take what the one before it gives")
            current = gives
            if kind == "PAD":
                pads = self._pads(operator)
                continue
            if layer := self._layer(operator, kind, number):
                layers.append(replace(layer, padding=pads) if pads else layer)
            elif kind in ("RELU", "RELU6") and layers:
                layers[-1] = replace(layers[-1], activation=kind.lower())
            pads = None
        return self._content(layers)

    def _layer(self, operator: Any, kind: str, number: int) -> Layer | None:
        """The layer that an operator is; None for what only reshapes, activates or changes the number format."""
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return self._convolution(operator, kind)
        if kind in ("AVERAGE_POOL_2D", "MEAN"):
            return Layer("pool", self._name(operator))
        if kind == "FULLY_CONNECTED":
            bias, activation = self._bias(operator), self._activation(self._options(operator, "FullyConnectedOptions"))
            return Layer(
                "fully_connected", self._name(operator), self._array(operator.Inputs(1)), bias, None, activation
            )
        if kind not in (*_NO_LAYER, "RELU", "RELU6"):
            raise ModelFileError(f"operator {number} is a {kind}, which no MobileNet v1 has; it is none from there on")
        return None

    def _convolution(self, operator: Any, kind: str) -> Layer:
        name, depthwise = self._name(operator), kind == "DEPTHWISE_CONV_2D"
        options = self._options(operator, "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions")
        kernel = self._array(operator.Inputs(1))
        if kernel.ndim != 4:
            raise ModelFileError(f"{name}: a kernel of shape {kernel.shape}")
        stride = self._stride(options, name)
        shape = self._shape(operator.Inputs(0))
        inputs = int(shape[3]) if len(shape) == 4 else 0
        if depthwise:  # (1, k, k, out) -> (out, 1, k, k)
            kernel = kernel.transpose(3, 0, 1, 2)
        else:  # (out, k, k, in) -> (out, in, k, k)
            kernel = kernel.transpose(0, 3, 1, 2)
        return convolution(
            name,
            kernel,
            groups=inputs if depthwise else 1,
            bias=self._bias(operator),
            activation=self._activation(options),
            stride=stride,
            padding="same" if options.Padding() == 0 else "valid",
        )

    def _stride(self, options: Any, name: str) -> int:
        height, width = options.StrideH(), options.StrideW()
        if height != width or (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            raise ModelFileError(f"{name}: stride {height}x{width} or a dilation, which no MobileNet v1 has")
        return int(height)

    def _activation(self, options: Any) -> str:
        number = options.FusedActivationFunction()
        return {0: "none", 1: "relu", 3: "relu6"}.get(number, f"activation {number}")

    def _pads(self, operator: Any) -> tuple[int, int, int, int]:
        pads = self._constant(operator.Inputs(1)).tolist()
        if np.shape(pads) != (4, 2) or pads[0] != [0, 0] or pads[3] != [0, 0]:
            raise ModelFileError(f"{self._name(operator)}: padding {pads}, which no MobileNet v1 has")
        return pads[1][0], pads[2][0], pads[1][1], pads[2][1]

    def _bias(self, operator: Any) -> Array | None:
        if operator.InputsLength() < 3 or operator.Inputs(2) < 0:
            return None
        return self._array(operator.Inputs(2))

    def _array(self, index: int) -> Array:
        """A constant tensor in float32: scale x (value - zero point), per tensor or per channel."""
        index = self.unpacked.get(index, index)
        values = self._constant(index)
        quantisation = self.graph.Tensors(index).Quantization()
        if values.dtype.kind == "f" or quantisation is None or not quantisation.ScaleLength():
            return values.astype(np.float32)
        scale, zero = quantisation.ScaleAsNumpy(), quantisation.ZeroPointAsNumpy()
        shape = [1] * values.ndim
        if len(scale) > 1:
            shape[quantisation.QuantizedDimension() if values.ndim > 1 else 0] = len(scale)  # a bias has one axis only
        scale, zero = scale.astype(np.float64).reshape(shape), np.asarray(zero, np.float64).reshape(shape)
        array: Array = ((values - zero) * scale).astype(np.float32)
        return array

    def _constant(self, index: int) -> np.ndarray[Any, Any]:
        data, shape = self._data(index), self._shape(index)
        tensor = self.graph.Tensors(index)
        dtype = _DTYPES.get(tensor.Type())
        name = tensor.Name().decode("utf-8", "replace")
        if data is None or dtype is None:
            raise ModelFileError(f"{name}: not a constant of a known number format")
        wanted = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if wanted != len(data) or min(shape, default=1) < 0:
            raise ModelFileError(f"{name}: {len(data)} bytes for shape {tuple(shape)}")
        return np.frombuffer(data, dtype).reshape(shape)

    def _data(self, index: int) -> bytes | None:
        """The bytes of a constant tensor; None for one that is computed."""
        if not 0 <= index < self.graph.TensorsLength():
            raise ModelFileError(f"tensor {index} of {self.graph.TensorsLength()}: there is none")
        buffer = self.model.Buffers(self.graph.Tensors(index).Buffer())
        return bytes(buffer.DataAsNumpy()) if self._count(buffer.DataLength()) else None

    def _shape(self, index: int) -> list[int]:
        tensor = self.graph.Tensors(index)
        return [int(n) for n in tensor.ShapeAsNumpy()] if self._count(tensor.ShapeLength()) else []

    def _count(self, number: int) -> int:
        """A length that the file claims: it cannot have more parts than bytes."""
        if not 0 <= number <= len(self.content):
            raise ModelFileError(f"damaged: it claims {number} parts in {len(self.content)} bytes")
        return number

    def _kind(self, operator: Any) -> str:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return str(self.kinds.get(number, f"operator code {number}"))

    def _options(self, operator: Any, kind: str) -> Any:
        table = operator.BuiltinOptions()
        if table is None:
            raise ModelFileError(f"{self._name(operator)}: lacks its {kind}")
        options = getattr(extra("tflite"), kind)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _name(self, operator: Any) -> str:
        """The last part of the output's name; converters join those of all that they fused."""
        name = self.graph.Tensors(operator.Outputs(0)).Name() or b"?"
        return str(name.decode("utf-8", "replace").split(";")[0])

    def _content(self, layers: list[Layer]) -> Content:
        start = self.graph.Tensors(self.graph.Inputs(0))
        shape = self._shape(self.graph.Inputs(0))
        spatial = len(shape) == 4 and min(shape[1:3]) > 1
        kinds = {self.graph.Tensors(i).Type() for i in range(self._count(self.graph.TensorsLength())) if self._data(i)}
        quantised = next((kind for kind in (3, 9, 1) if kind in kinds), 0)
        if len(shape) == 4 and not spatial:  # the second of two files: what it takes has been pooled
            layers = [Layer("pool", "input"), *layers]
        return Content(
            format=f"TensorFlow Lite {_TYPE_NAMES[quantised]}",
            layers=tuple(layers),
            size=(shape[1], shape[2]) if spatial else None,
            pixels=_pixels(start.Type(), start.Quantization()),
            quantised=quantised in (3, 9),
        )


def _pixels(kind: int, quantisation: Any) -> tuple[Number, Number] | None:
    """(mean, std) of a quantised input, of which the integers are the pixels (less 128 for int8)."""
    if kind not in (3, 9) or quantisation is None or quantisation.ScaleLength() != 1:
        return None
    scale, zero = float(quantisation.Scale(0)), int(quantisation.ZeroPoint(0))
    if not scale > 0:
        raise ModelFileError(f"its input has scale {scale}")
    std = 1 / scale
    return float(zero + (128 if kind == 9 else 0)), round(std) if abs(std - round(std)) < 1e-3 else std

"""TensorFlow Lite: float, float16, uint8 and int8 files, dequantised to float.

Read by the published flatbuffer schema (the `tflite` package); nothing in the file is run.
"""

import struct
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import MobilenetsError, ModelFileError
from ...model import PREFIX
from ..layers import Content, FileLayer, Pads, UnreadError, convolution, extra
from . import tflite_metadata
from .exported import stated
from .flow import IMAGE, Value
from .tflite_file import FLOAT, FLOAT16, INT8, UINT8, File, Operator
from .tflite_integers import integer_layer, quant_params
from .tflite_values import ARITHMETIC, CLIPS, FUSED, Values, fused

__all__ = ["read_tflite"]

_ENDS = {"SOFTMAX": "softmax", "LOG_SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
_OF_SIZES = ("CAST", "CONCATENATION", "GATHER", "PACK", "REDUCE_PROD", "STRIDED_SLICE")
_NAMES = {UINT8: "uint8", INT8: "int8", FLOAT16: "float16", FLOAT: "float"}


def read_tflite(content: bytes) -> Content:
    """Return the layers of the file's one subgraph.

    Raises `ModelFileError` for a file that is damaged, or whose operators are no layers of a MobileNet.
    """
    extra("tflite")
    if content[4:8] != b"TFL3":
        raise ModelFileError("not a TensorFlow Lite file: it lacks the mark TFL3")
    try:
        return _Reader(File(content), content).read()
    except MobilenetsError:
        raise
    except struct.error as exc:
        raise ModelFileError(f"damaged or cut off: it points outside its {len(content)} bytes") from exc
    except (IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError) as exc:
        raise ModelFileError(f"damaged: {str(exc) or type(exc).__name__}") from exc


class _Reader:
    """Reads the operators of one file in execution order into layers."""

    def __init__(self, file: File, content: bytes) -> None:
        self.file = file
        self.archive = content  # the labels may follow the model
        self.values = Values(file)
        self.flow = self.values.flow
        self.padded: dict[int, Pads] = {}  # what a PAD gives
        self.types: set[int] = set()  # of the kernels
        self.ends: str | None = None  # a SOFTMAX or LOGISTIC has been
        self.sizes: set[int] = set()  # tensors that hold sizes, for a RESHAPE

    def read(self) -> Content:
        """Read all operators in order."""
        first, last = self.file.ends()
        shape = self.file.shape(first)
        # the second of two files: what it takes has been pooled
        pooled = len(shape) == 4 and min(shape[1:3]) == 1
        self.values.known[first] = self.flow.add(FileLayer("pool", "input"), IMAGE) if pooled else IMAGE
        current, seen = first, {first}
        for operator in self.file.operators():
            if operator.gives in seen:
                raise ModelFileError(f"{operator} gives an earlier tensor")
            seen.add(operator.gives)
            if operator.kind == "DEQUANTIZE" and self.file.buffer(operator.takes) is not None:
                self.values.unpacked[operator.gives] = operator.takes
                continue
            if self._is_size(operator, seen):
                self.sizes.add(operator.gives)
                continue
            current = operator.gives
            try:
                self.values.known[operator.gives] = self._follow(operator)
            except ModelFileError as exc:
                raise UnreadError(str(exc), partial(self._content, first)) from exc
        if current != last:
            raise ModelFileError(f"its output is tensor {last}, but the last operator gives {current}")
        return self._content(first)

    def _is_size(self, operator: Operator, seen: set[int]) -> bool:
        """Return whether the operator computes the shape of a RESHAPE, which the tensors themselves state."""
        if operator.kind == "SHAPE":
            return operator.takes in seen
        parts = [operator.takes, *operator.others]
        return operator.kind in _OF_SIZES and any(part in self.sizes for part in parts)

    def _follow(self, operator: Operator) -> Value:
        """Return the value that the operator gives."""
        kind = operator.kind
        if operator.takes in self.padded and kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            raise ModelFileError(f"{operator} after a PAD, which MobileNet has before convolutions only")
        if kind in ARITHMETIC and not self.ends:
            return self.values.arithmetic(operator)
        value = self.values.of(operator, operator.takes)
        if kind == "PAD":
            self.padded[operator.gives] = self._pads(operator)
        elif kind in (*CLIPS, "HARD_SWISH"):
            return self.values.activate(operator, value)
        elif kind in ("RESHAPE", "SQUEEZE"):
            self._check_flat(operator)
        elif kind in _ENDS and self._classified:
            self.ends = _ENDS[kind]
        elif kind not in ("QUANTIZE", "DEQUANTIZE", "CAST"):  # which change the number format only
            if self.ends:
                raise ModelFileError(f"{operator} after the {self.ends}")
            return self._layer(operator)
        return value

    @property
    def _classified(self) -> bool:
        """Return whether an output of the network may follow: the last layer is a matrix after the pool."""
        return bool(self.flow.layers) and self.flow.layers[-1].weight is not None

    def _layer(self, operator: Operator) -> Value:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return self._convolution(operator)
        if operator.kind in ("AVERAGE_POOL_2D", "MEAN"):
            return self._pool(operator)
        if operator.kind == "FULLY_CONNECTED":
            return self._fully_connected(operator)
        raise ModelFileError(f"{operator}: no MobileNet has one; it is not a MobileNet from there on")

    def _convolution(self, operator: Operator) -> Value:
        options, name = operator.options, self.file.name(operator.gives)
        stride, dilation = (
            (options.StrideH(), options.StrideW()),
            (options.DilationHFactor(), options.DilationWFactor()),
        )
        if stride[0] != stride[1] or dilation != (1, 1):
            raise ModelFileError(f"{name}: stride {stride} with dilation {dilation}: MobileNet has neither such")
        pads = self.padded.get(operator.takes)
        if pads and options.Padding() != 1:
            raise ModelFileError(f"{name}: padded twice, by a PAD and by itself")
        padding = pads or ("valid" if options.Padding() else "same")
        kernel, shape = self._kernel(operator, 4), self.file.shape(operator.takes)
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"  # (1, k, k, out); else (out, k, k, in)
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        kernel = kernel.transpose(order)
        if len(shape) != 4 or (not depthwise and shape[3] != kernel.shape[1]):
            raise ModelFileError(f"{name}: a kernel for {kernel.shape[1]} channels takes shape {tuple(shape)}")
        value = self.values.settled(operator, operator.takes)
        if self._ends_pooled(value, kernel, shape, options):
            value = self.flow.add(FileLayer("pool", name), value)
        layer = convolution(
            name,
            kernel,
            groups=shape[3] if depthwise else 1,
            bias=self._bias(operator),
            stride=int(stride[0]),
            padding=padding,
            integers=integer_layer(self.file, operator, order),
            gives=quant_params(self.file, operator.gives),
        )
        return self._activated(layer, value, options)

    def _activated(self, layer: FileLayer, value: Value, options: Any) -> Value:
        """Append a layer that takes `value`; return its value after the activation that is a part of it."""
        kind, given = fused(options), self.flow.add(layer, value)
        if kind not in FUSED:
            self.flow.change(given, activation=kind)
            self.flow.settled[given.at] = given
            return given
        return given.clipped(*FUSED[kind])

    def _ends_pooled(self, value: Value, kernel: Floats, shape: list[int], options: Any) -> bool:
        """Return whether this is the classifier of 1x1 maps whose pool the converter has removed."""
        single = shape[1:3] == [1, 1] and kernel.shape[2:] == (1, 1) and fused(options) == "none"
        if not single or value.at < 0 or value.plain or self.flow.layers[value.at].kind != "pointwise":
            return False
        return not self.flow.pooled(value)

    def _fully_connected(self, operator: Operator) -> Value:
        name = self.file.name(operator.gives)
        if operator.options.WeightsFormat():
            raise ModelFileError(f"{name}: a shuffled kernel, which is not read")
        kernel, bias = self._kernel(operator, 2), self._bias(operator)
        layer = FileLayer(
            "fully_connected",
            name,
            kernel,
            bias,
            integers=integer_layer(self.file, operator, (0, 1)),
            gives=quant_params(self.file, operator.gives),
        )
        return self._activated(layer, self.values.settled(operator, operator.takes), operator.options)

    def _pool(self, operator: Operator) -> Value:
        name, shape = self.file.name(operator.gives), self.file.shape(operator.takes)
        if operator.options is None:  # MEAN
            axes = {axis % 4 for index in operator.others for axis in self.file.constant(index).ravel().tolist()}
            fits = len(shape) == 4 and axes == {1, 2}
        else:
            size = [operator.options.FilterHeight(), operator.options.FilterWidth()]
            fits = shape[1:3] == size and self.file.shape(operator.gives)[1:3] == [1, 1]
        if not fits:
            raise ModelFileError(f"{name}: a pool over a part of {tuple(shape)}: that of MobileNet is over all of it")
        layer, value = (
            FileLayer("pool", name, gives=quant_params(self.file, operator.gives)),
            self.values.of(operator, operator.takes),
        )
        if shape[1:3] == [1, 1] and self.flow.pooled(value):
            return value
        return self.flow.add(layer, self.values.settled(operator, operator.takes))

    def _check_flat(self, operator: Operator) -> None:
        before, after = self.file.shape(operator.takes), self.file.shape(operator.gives)
        if [n for n in before if n != 1] != [n for n in after if n != 1]:
            raise ModelFileError(f"{operator} from {tuple(before)} to {tuple(after)}: MobileNet drops only ones")

    def _pads(self, operator: Operator) -> Pads:
        pads = self.file.constant(operator.others[0]) if operator.others else np.zeros(0)
        if pads.shape != (4, 2) or pads[[0, 3]].any():
            found = pads.tolist() if pads.shape == (4, 2) else f"of shape {pads.shape}"
            raise ModelFileError(f"{operator}: padding {found}: MobileNet pads height and width")
        (top, bottom), (left, right) = pads[1:3].tolist()
        return top, left, bottom, right

    def _kernel(self, operator: Operator, axes: int) -> Floats:
        if not operator.others:
            raise ModelFileError(f"{operator} lacks its kernel")
        kernel = self.values.real(operator.others[0])
        if kernel.ndim != axes:
            raise ModelFileError(f"{operator}: a kernel of shape {kernel.shape}")
        self.types.add(self.file.tensor(self.values.unpacked.get(operator.others[0], operator.others[0])).Type())
        return kernel

    def _bias(self, operator: Operator) -> Floats | None:
        return self.values.real(operator.others[1]) if len(operator.others) > 1 and operator.others[1] >= 0 else None

    def _content(self, first: int) -> Content:
        shape = self.file.shape(first)
        spatial = len(shape) == 4 and min(shape[1:3]) > 1
        for tensor, value in reversed(list(self.values.known.items())):
            if not value.plain:
                self.values.note_integers(value, tensor)
        kernels = next(kind for kind in _NAMES if kind in self.types or kind == FLOAT)
        content = Content(
            format=f"TensorFlow Lite {_NAMES[kernels]}",
            layers=self.flow.finished(self.values.known.values()),
            size=(shape[1], shape[2]) if spatial else None,
            quantised=kernels in (UINT8, INT8),
            ends=self.ends,
            image=None if self.values.image.rescales else quant_params(self.file, first),
        )
        metadata = self.file.metadata()
        texts = {name: text.decode("utf-8", "replace") for name, text in metadata.items()}
        own = metadata.get(tflite_metadata.NAME, b"")
        settings = {"labels": tflite_metadata.labels_of(self.file, own, self.archive)} | stated(texts, PREFIX)
        if pixels := self.values.image.pixels(first, tflite_metadata.normalisation_of(self.file, own)):
            settings["pixels"] = pixels  # the scale of the integers takes precedence over rounded metadata
        return replace(content, **settings)

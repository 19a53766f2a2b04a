"""TensorFlow Lite: float, float16, uint8 and int8 files, dequantised to float.

Read by the published flatbuffer schema (the `tflite` package); nothing in the file is run.
"""

import math
import struct
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import MobilenetsError, ModelFileError
from ..layers import Array, Content, FileLayer, Number, Pads, UnreadError, convolution, extra, one_or_all
from . import tflite_metadata
from .exported import stated
from .tflite_file import FLOAT, FLOAT16, INT8, UINT8, File, Operator
from .tflite_integers import integer_layer, quant_params

__all__ = ["read_tflite"]

_ENDS = {"SOFTMAX": "softmax", "LOG_SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
_ARITHMETIC = ("ADD", "DIV", "MUL", "SUB")
_OF_SIZES = ("CAST", "CONCATENATION", "GATHER", "PACK", "REDUCE_PROD", "STRIDED_SLICE")
_NAMES = {UINT8: "uint8", INT8: "int8", FLOAT16: "float16", FLOAT: "float"}


def read_tflite(content: bytes) -> Content:
    """Return the layers of the file's one subgraph.

    Raises `ModelFileError` for a file that is damaged or not a chain of layers.
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
        self.layers: list[FileLayer] = []
        self.unpacked: dict[int, int] = {}  # a float tensor -> the constant that DEQUANTIZE makes it from
        self.types: set[int] = set()  # of the kernels
        self.pads: Pads | None = None  # of a PAD, for the convolution after it
        self.ends: str | None = None  # a SOFTMAX or LOGISTIC has been
        self.sizes: set[int] = set()  # tensors that hold sizes, for a RESHAPE
        self.scale, self.shift = np.ones(1), np.zeros(1)  # the first layer takes scale x the file's input + shift

    def read(self) -> Content:
        """Read all operators in order."""
        first, last = self.file.ends()
        current, seen = first, {first}
        for operator in self.file.operators():
            if operator.gives in seen:
                raise ModelFileError(f"{operator} gives an earlier tensor")
            seen.add(operator.gives)
            if operator.kind == "DEQUANTIZE" and self.file.buffer(operator.takes) is not None:
                self.unpacked[operator.gives] = operator.takes
                continue
            if self._is_size(operator, seen):
                self.sizes.add(operator.gives)
                continue
            if operator.takes != current:
                raise ModelFileError(f"{operator} does not take what the one before it gives")
            current = operator.gives
            try:
                self._follow(operator)
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

    def _follow(self, operator: Operator) -> None:
        kind = operator.kind
        if self.pads and kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            raise ModelFileError(f"{operator} after a PAD, which MobileNet v1 has before convolutions only")
        if kind == "PAD":
            self.pads = self._pads(operator)
        elif kind in ("RELU", "RELU6"):
            self._activate(operator)
        elif kind in ("RESHAPE", "SQUEEZE"):
            self._check_flat(operator)
        elif kind in _ENDS:
            self.ends = _ENDS[kind]
        elif kind in _ARITHMETIC and not self.layers:
            self._rescale(operator)
        elif kind not in ("QUANTIZE", "DEQUANTIZE", "CAST"):  # which change the number format only
            layer = self._layer(operator)
            if self.ends:
                raise ModelFileError(f"{operator} after the {self.ends}")
            self.layers.append(layer)

    def _rescale(self, operator: Operator) -> None:
        """Apply a Rescaling or Normalization of the image: arithmetic with one number, or one per channel."""
        values = self._real(operator.others[0]).astype(np.float64).ravel() if operator.others else np.zeros(0)
        if values.size not in (1, 3) or (operator.kind == "DIV" and not values.all()):
            raise ModelFileError(f"{operator}: not a change of the image by one number per channel")
        if operator.kind in ("ADD", "SUB"):
            self.shift = self.shift + (values if operator.kind == "ADD" else -values)
        else:
            factor = values if operator.kind == "MUL" else 1 / values
            self.scale, self.shift = self.scale * factor, self.shift * factor

    def _layer(self, operator: Operator) -> FileLayer:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return self._convolution(operator)
        if operator.kind in ("AVERAGE_POOL_2D", "MEAN"):
            return self._pool(operator)
        if operator.kind == "FULLY_CONNECTED":
            return self._fully_connected(operator)
        raise ModelFileError(f"{operator}: no MobileNet v1 has one; it is not a MobileNet v1 from there on")

    def _convolution(self, operator: Operator) -> FileLayer:
        options, name = operator.options, self.file.name(operator.gives)
        stride, dilation = (
            (options.StrideH(), options.StrideW()),
            (options.DilationHFactor(), options.DilationWFactor()),
        )
        if stride[0] != stride[1] or dilation != (1, 1):
            raise ModelFileError(f"{name}: stride {stride} with dilation {dilation}: MobileNet v1 has neither such")
        if self.pads and options.Padding() != 1:
            raise ModelFileError(f"{name}: padded twice, by a PAD and by itself")
        padding = self.pads or ("valid" if options.Padding() else "same")
        self.pads = None
        kernel, shape = self._kernel(operator, 4), self.file.shape(operator.takes)
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"  # (1, k, k, out); else (out, k, k, in)
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        kernel = kernel.transpose(order)
        if self._ends_pooled(kernel, shape, options):
            self.layers.append(FileLayer("pool", name))
        if len(shape) != 4 or (not depthwise and shape[3] != kernel.shape[1]):
            raise ModelFileError(f"{name}: a kernel for {kernel.shape[1]} channels takes shape {tuple(shape)}")
        return convolution(
            name,
            kernel,
            groups=shape[3] if depthwise else 1,
            bias=self._bias(operator),
            activation=_activation(options),
            stride=int(stride[0]),
            padding=padding,
            integers=integer_layer(self.file, operator, order),
            gives=quant_params(self.file, operator.gives),
        )

    def _ends_pooled(self, kernel: Array, shape: list[int], options: Any) -> bool:
        """Return whether this is the classifier of 1x1 maps whose pool the converter has removed."""
        before = self.layers[-1] if self.layers else None
        single = shape[1:3] == [1, 1] and kernel.shape[2:] == (1, 1) and _activation(options) == "none"
        return before is not None and single and before.kind == "pointwise" and before.activation != "none"

    def _fully_connected(self, operator: Operator) -> FileLayer:
        name = self.file.name(operator.gives)
        if operator.options.WeightsFormat():
            raise ModelFileError(f"{name}: a shuffled kernel, which is not read")
        kernel, bias = self._kernel(operator, 2), self._bias(operator)
        return FileLayer(
            "fully_connected",
            name,
            kernel,
            bias,
            activation=_activation(operator.options),
            integers=integer_layer(self.file, operator, (0, 1)),
            gives=quant_params(self.file, operator.gives),
        )

    def _pool(self, operator: Operator) -> FileLayer:
        name, shape = self.file.name(operator.gives), self.file.shape(operator.takes)
        if operator.options is None:  # MEAN
            axes = {axis % 4 for index in operator.others for axis in self.file.constant(index).ravel().tolist()}
            fits = len(shape) == 4 and axes == {1, 2}
        else:
            size = [operator.options.FilterHeight(), operator.options.FilterWidth()]
            fits = shape[1:3] == size and self.file.shape(operator.gives)[1:3] == [1, 1]
        if not fits:
            raise ModelFileError(
                f"{name}: a pool over a part of {tuple(shape)}: that of MobileNet v1 is over all of it"
            )
        return FileLayer("pool", name, gives=quant_params(self.file, operator.gives))

    def _activate(self, operator: Operator) -> None:
        if not self.layers or self.layers[-1].activation != "none":
            raise ModelFileError(f"{operator} follows no convolution that lacks one")
        gives = quant_params(self.file, operator.gives)
        same = gives == self.layers[-1].gives  # integers rounded twice do not follow the specification
        self.layers[-1] = replace(self.layers[-1], activation=operator.kind.lower(), gives=gives if same else None)

    def _check_flat(self, operator: Operator) -> None:
        before, after = self.file.shape(operator.takes), self.file.shape(operator.gives)
        if [n for n in before if n != 1] != [n for n in after if n != 1]:
            raise ModelFileError(f"{operator} from {tuple(before)} to {tuple(after)}: MobileNet v1 drops only ones")

    def _pads(self, operator: Operator) -> Pads:
        pads = self.file.constant(operator.others[0]) if operator.others else np.zeros(0)
        if pads.shape != (4, 2) or pads[[0, 3]].any():
            found = pads.tolist() if pads.shape == (4, 2) else f"of shape {pads.shape}"
            raise ModelFileError(f"{operator}: padding {found}: MobileNet v1 pads height and width")
        (top, bottom), (left, right) = pads[1:3].tolist()
        return top, left, bottom, right

    def _kernel(self, operator: Operator, axes: int) -> Array:
        if not operator.others:
            raise ModelFileError(f"{operator} lacks its kernel")
        kernel = self._real(operator.others[0])
        if kernel.ndim != axes:
            raise ModelFileError(f"{operator}: a kernel of shape {kernel.shape}")
        self.types.add(self.file.tensor(self.unpacked.get(operator.others[0], operator.others[0])).Type())
        return kernel

    def _bias(self, operator: Operator) -> Array | None:
        return self._real(operator.others[1]) if len(operator.others) > 1 and operator.others[1] >= 0 else None

    def _real(self, index: int) -> Array:
        """Return a constant tensor in float32: scale x (value - zero point), per tensor or per channel."""
        index = self.unpacked.get(index, index)
        values = self.file.constant(index)
        if values.dtype.kind != "f":
            scale, zero = self.file.scales(index, values.shape)
            values = (values - zero) * scale
        with np.errstate(over="ignore"):  # what is not finite is refused later, for all formats
            return values.astype(np.float32)

    def _content(self, first: int) -> Content:
        shape = self.file.shape(first)
        spatial = len(shape) == 4 and min(shape[1:3]) > 1
        if len(shape) == 4 and not spatial:  # the second of two files: what it takes has been pooled
            self.layers.insert(0, FileLayer("pool", "input"))
        kernels = next(kind for kind in _NAMES if kind in self.types or kind == FLOAT)
        content = Content(
            format=f"TensorFlow Lite {_NAMES[kernels]}",
            layers=tuple(self.layers),
            size=(shape[1], shape[2]) if spatial else None,
            quantised=kernels in (UINT8, INT8),
            ends=self.ends,
            image=None if self._rescales else quant_params(self.file, first),
        )
        metadata = self.file.metadata()
        texts = {name: text.decode("utf-8", "replace") for name, text in metadata.items()}
        own = metadata.get(tflite_metadata.NAME, b"")
        settings = {"labels": tflite_metadata.labels_of(self.file, own, self.archive)} | stated(texts, "mobilenets_")
        if pixels := self._pixels(first, tflite_metadata.normalisation_of(self.file, own)):
            settings["pixels"] = pixels  # the scale of the integers takes precedence over rounded metadata
        return replace(content, **settings)

    def _pixels(self, first: int, normalised: tuple[Any, Any] | None) -> tuple[Number, Number] | None:
        """Return (mean, std) of pixels for the first layer; the integers of a quantised input are pixels (int8: less
        128).
        """
        quantised = self._quantised_pixels(first)
        mean, std = quantised or normalised or (np.zeros(1), np.ones(1))
        if self._rescales:
            with np.errstate(all="ignore"):  # what is not finite is refused below
                mean, std = _decimal(mean - self.shift * std / self.scale), _decimal(std / self.scale)
        elif not quantised and not normalised:
            return None
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ModelFileError(f"its input is normalised by mean {mean.tolist()} and std {std.tolist()}")
        if quantised is None and normalised is None and max(mean.max(), std.max()) <= 1:  # of an image in [0, 1]
            mean, std = mean * 255, std * 255
        return one_or_all(mean), one_or_all(std)

    @property
    def _rescales(self) -> bool:
        return bool((self.scale != 1).any() or self.shift.any())

    def _quantised_pixels(self, first: int) -> tuple[Any, Any] | None:
        kind, quantisation = self.file.tensor(first).Type(), self.file.tensor(first).Quantization()
        if kind not in (UINT8, INT8) or quantisation is None or quantisation.ScaleLength() != 1:
            return None
        scale, zero = (float(array.ravel()[0]) for array in self.file.scales(first, (1,)))
        std = 1 / scale
        near = round(std, 1)  # 127.5 is stored as the float32 next to 1 / 127.5
        std = near if math.isclose(near, std, rel_tol=1e-6) else std
        return np.array([zero + (128 if kind == INT8 else 0)]), np.array([std])


def _decimal(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number to the digits of float32."""
    return np.array([float(f"{value:.6g}") + 0.0 for value in values])


def _activation(options: Any) -> str:
    number = options.FusedActivationFunction()
    return {0: "none", 1: "relu", 3: "relu6"}.get(number, f"activation {number}")

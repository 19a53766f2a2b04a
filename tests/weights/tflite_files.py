"""TensorFlow Lite files written by the published schema, without TensorFlow: MobileNets of every number format.

`File` holds what a file says; a test may change anything of it before `write` makes bytes of it.
"""

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.graph import same_padding
from mobilenets.arch.ops import Op
from mobilenets.model import Model

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
RELU6 = 6.0  # the largest activation that these files can hold
# scale and zero point as of uint8: before a hard swish or a hard sigmoid, and after it and a gate
RANGES = {"hard_swish": (0.04, 120), "hard_sigmoid": (0.03, 131)}
GATED = 0.025, 16  # an even zero point: see docs/quantization.md, rule 8


@dataclass
class Tensor:
    """A tensor; a constant where it has values."""

    name: str
    shape: list[int]
    type: str = "float32"
    values: np.ndarray | None = None
    scale: list[float] | None = field(default_factory=list)  # None: it is said nothing of quantisation
    zero: list[int] = field(default_factory=list)
    axis: int = 0  # quantised dimension
    buffer: int | None = None  # another tensor's; by default its own


@dataclass
class Operator:
    kind: str  # a name of BuiltinOperator
    inputs: list[int]
    outputs: list[int]
    options: str = ""  # a table of the schema, such as Conv2DOptions
    fields: dict[str, Any] = field(default_factory=dict)
    code: int | None = None  # index among the operator codes; by default its own


@dataclass
class File:
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    subgraphs: int = 1

    def add(self, *args: Any, **kwargs: Any) -> int:
        self.tensors.append(Tensor(*args, **kwargs))
        return len(self.tensors) - 1

    def named(self, part: str) -> Tensor:
        """The first tensor with `part` in its name."""
        return next(tensor for tensor in self.tensors if part in tensor.name)


def write(file: File) -> bytes:
    """The bytes of `file`."""
    build = flatbuffers.Builder(1024)
    codes = []
    for operator in file.operators:
        number = getattr(tflite.BuiltinOperator, operator.kind)
        codes.append(
            table(build, "OperatorCode", DeprecatedBuiltinCode=min(number, 127), BuiltinCode=number, Version=1)
        )
    subgraphs = [_subgraph(build, file) for _ in range(file.subgraphs)]
    buffers = [table(build, "Buffer")]
    for tensor in file.tensors:
        data = None if tensor.values is None else np.frombuffer(tensor.values.tobytes(), np.uint8)
        buffers.append(table(build, "Buffer", **({} if data is None else {"Data": build.CreateNumpyVector(data)})))
    lists = {
        "OperatorCodes": offsets(build, codes),
        "Subgraphs": offsets(build, subgraphs),
        "Buffers": offsets(build, buffers),
    }
    build.Finish(table(build, "Model", Version=3, **lists), b"TFL3")
    return bytes(build.Output())


def table(build: flatbuffers.Builder, kind: str, **fields: Any) -> int:
    getattr(tflite, f"{kind}Start")(build)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(build, value)
    return getattr(tflite, f"{kind}End")(build)


def offsets(build: flatbuffers.Builder, values: list[int]) -> int:
    build.StartVector(4, len(values), 4)
    for value in reversed(values):
        build.PrependUOffsetTRelative(value)
    return build.EndVector()


def numbers(build: flatbuffers.Builder, values: list[Any], dtype: type) -> int:
    return build.CreateNumpyVector(np.array(values, dtype))


def _subgraph(build: flatbuffers.Builder, file: File) -> int:
    lists = {
        "Tensors": offsets(build, [_tensor(build, at, tensor) for at, tensor in enumerate(file.tensors)]),
        "Inputs": numbers(build, file.inputs, np.int32),
        "Outputs": numbers(build, file.outputs, np.int32),
        "Operators": offsets(build, [_operator(build, at, operator) for at, operator in enumerate(file.operators)]),
    }
    return table(build, "SubGraph", **lists)


def _tensor(build: flatbuffers.Builder, at: int, tensor: Tensor) -> int:
    name, shape = build.CreateString(tensor.name), numbers(build, tensor.shape, np.int32)
    buffer = at + 1 if tensor.buffer is None else tensor.buffer
    known = {"Name": name, "Shape": shape, "Type": TYPES[tensor.type], "Buffer": buffer}
    if tensor.scale is not None:
        lists = {"Scale": numbers(build, tensor.scale, np.float32), "ZeroPoint": numbers(build, tensor.zero, np.int64)}
        known["Quantization"] = table(build, "QuantizationParameters", **lists, QuantizedDimension=tensor.axis)
    return table(build, "Tensor", **known)


def _operator(build: flatbuffers.Builder, at: int, operator: Operator) -> int:
    lists = {"Inputs": numbers(build, operator.inputs, np.int32), "Outputs": numbers(build, operator.outputs, np.int32)}
    if operator.options:
        lists["BuiltinOptions"] = table(build, operator.options, **operator.fields)
        lists["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.options)
    return table(build, "Operator", OpcodeIndex=at if operator.code is None else operator.code, **lists)


@dataclass
class Form:
    """How a converter may put the same network."""

    kind: str = "float32"  # float16: constants only, behind DEQUANTIZE; uint8: per tensor; int8: per channel
    pad: bool = False  # a PAD before every convolution, which is then VALID; else only where SAME means another padding
    fused: bool = True  # the activation is a part of the convolution
    mean: bool = False  # MEAN instead of AVERAGE_POOL_2D
    pointwise_classifier: bool = False  # a 1x1 convolution and RESHAPE instead of FULLY_CONNECTED
    softmax: bool = True
    pixels: tuple[float, int] = (1 / 127.5, 127)  # scale and zero point of a quantised input, as of uint8


def mobilenet(model: Model, form: Form = Form(), logits: float = 8.0) -> File:  # noqa: B008
    """`model`, folded, as a converter would write it; quantised outputs span -`logits` to `logits`."""
    return _Writer(model, form, logits).file


class _Writer:
    """Writes one network, op for op; `current` is the tensor that the next takes."""

    def __init__(self, model: Model, form: Form, logits: float) -> None:
        self.file, self.form, self.logits = File(), form, logits
        self.graph, self.weights = fold_batch_norm(model.graph, model.weights)
        self.quantised = form.kind in ("uint8", "int8")
        scale, zero = form.pixels
        network = model.network
        shape = [1, network.height, network.width, network.channels]
        self.current = self.activation("image", shape, scale, zero)
        self.file.inputs = [self.current]
        written = []  # of each op
        for at, op in enumerate(self.graph.ops):
            inputs = [written[i] for i in op.inputs]
            self.current = inputs[0] if inputs else self.current
            self.op(op, self.graph.ops[at + 1].kind if at + 1 < len(self.graph.ops) else "", inputs)
            written.append(self.current)
        self.file.outputs = [self.current]

    def activation(self, name: str, shape: list[int], scale: float = RELU6 / 255, zero: int = 0) -> int:
        """A computed tensor; `zero` as of uint8."""
        if not self.quantised:
            return self.file.add(name, shape)
        return self.file.add(
            name, shape, self.form.kind, None, [scale], [zero - (128 if self.form.kind == "int8" else 0)]
        )

    def add(self, kind: str, inputs: list[int], output: int, options: str = "", **fields: Any) -> None:
        self.file.operators.append(Operator(kind, inputs, [output], options, fields))
        self.current = output

    def op(self, op: Op, after: str, inputs: list[int]) -> None:
        """Activations are written with the convolution before them."""
        shape = [1, *op.shape_out]
        if op.kind in ("conv", "depthwise", "pointwise"):
            self.convolution(op, after)
        elif op.kind == "global_average_pool":
            self.pool(op)
        elif op.kind == "multiply":
            self.add("MUL", inputs, self.activation(op.name, shape, *GATED), "MulOptions")
        elif op.kind == "fully_connected":
            self.classifier(op)
        elif op.kind == "softmax" and self.form.softmax:
            self.add(
                "SOFTMAX",
                [self.current],
                self.activation("softmax", shape[:1] + shape[3:], 1 / 256),
                "SoftmaxOptions",
                Beta=1.0,
            )

    def convolution(self, op: Op, activation: str) -> None:
        (top, left, bottom, right), (h, w, c) = op.padding, op.shape_in
        same = (*same_padding(h, op.kernel, op.stride), *same_padding(w, op.kernel, op.stride)) == (
            top,
            bottom,
            left,
            right,
        )
        explicit = op.kernel > 1 and (self.form.pad or not same)
        if explicit:
            pads = self.file.add(
                f"{op.name}/pads", [4, 2], "int32", np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
            )
            source = self.file.tensors[self.current]
            padded = self.activation(f"{op.name}/padded", [1, h + top + bottom, w + left + right, c])
            self.file.tensors[padded].scale, self.file.tensors[padded].zero = source.scale, source.zero
            self.add("PAD", [self.current, pads], padded)
        depthwise = op.kind == "depthwise"
        kernel = self.weights[f"{op.name}.weight"].transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        constants = self.constants(op.name, kernel, 3 if depthwise else 0)
        fused = {"relu": 1, "relu6": 3}.get(activation, 0) if self.form.fused else 0
        scale = RANGES.get(activation, (RELU6 / 255, 0))
        fields = {
            "Padding": int(explicit),
            "StrideW": op.stride,
            "StrideH": op.stride,
            "FusedActivationFunction": fused,
        }
        if depthwise:
            self.add(
                "DEPTHWISE_CONV_2D",
                [self.current, *constants],
                self.activation(op.name, [1, *op.shape_out], *scale),
                "DepthwiseConv2DOptions",
                DepthMultiplier=1,
                **fields,
            )
        else:
            self.add(
                "CONV_2D",
                [self.current, *constants],
                self.activation(op.name, [1, *op.shape_out], *scale),
                "Conv2DOptions",
                **fields,
            )
        if activation in RANGES:
            self.in_parts(op, activation == "hard_swish")
        elif not self.form.fused:
            self.add(activation.upper(), [self.current], self.activation(f"{op.name}/act", [1, *op.shape_out]))

    def in_parts(self, op: Op, swish: bool) -> None:
        """relu6(x + 3) * 1/6, by two operators; of a hard swish times x, by a third."""
        x, shape = self.current, [1, *op.shape_out]
        most = 255 if self.form.kind == "uint8" else 127
        three, sixth = (
            self.file.add(f"{op.name}/{n}", [], self.form.kind, np.array(most, self.form.kind), [n / 255], [most - 255])
            for n in (3, 1 / 6)
        )
        clipped = self.activation(f"{op.name}/clipped", shape)
        self.add("ADD", [x, three], clipped, "AddOptions", FusedActivationFunction=3)
        self.add("MUL", [clipped, sixth], self.activation(f"{op.name}/gate", shape, 1 / 255), "MulOptions")
        if swish:
            self.add("MUL", [x, self.current], self.activation(f"{op.name}/swish", shape, *GATED), "MulOptions")

    def pool(self, op: Op) -> None:
        h, w, c = op.shape_in
        source = self.file.tensors[self.current]
        if self.form.mean:
            axes = self.file.add("axes", [2], "int32", np.array([1, 2], np.int32))
            keep = op.name != "pool"
            shape = [1, 1, 1, c] if keep else [1, c]
            self.add("MEAN", [self.current, axes], self.activation(op.name, shape), "ReducerOptions", KeepDims=keep)
        else:
            fields = {"Padding": 1, "StrideW": w, "StrideH": h, "FilterWidth": w, "FilterHeight": h}
            self.add(
                "AVERAGE_POOL_2D", [self.current], self.activation(op.name, [1, 1, 1, c]), "Pool2DOptions", **fields
            )
        self.file.tensors[self.current].scale, self.file.tensors[self.current].zero = source.scale, source.zero

    def classifier(self, op: Op) -> None:
        scale, classes = 2 * self.logits / 255, op.shape_out[2]
        kernel = self.weights["fc.weight"]
        if not self.form.pointwise_classifier:
            constants = self.constants("fc", kernel, 0)
            self.add(
                "FULLY_CONNECTED",
                [self.current, *constants],
                self.activation("fc", [1, classes], scale, 128),
                "FullyConnectedOptions",
            )
            return
        constants = self.constants("fc", kernel[:, None, None, :], 0)
        fields = {"Padding": 0, "StrideW": 1, "StrideH": 1}
        self.add(
            "CONV_2D",
            [self.current, *constants],
            self.activation("fc", [1, 1, 1, classes], scale, 128),
            "Conv2DOptions",
            **fields,
        )
        self.add(
            "RESHAPE",
            [self.current, self.file.add("fc/shape", [2], "int32", np.array([1, classes], np.int32))],
            self.activation("fc/flat", [1, classes], scale, 128),
        )

    def constants(self, name: str, kernel: np.ndarray, axis: int) -> list[int]:
        """Kernel and bias in the form's number format; `axis` has the output channels."""
        bias = self.weights[f"{name}.bias"]
        if self.quantised:
            return self.integers(name, kernel, bias, axis)
        if self.form.kind == "float32":
            return [
                self.file.add(f"{name}/{part}", [*a.shape], values=a)
                for part, a in (("kernel", kernel), ("bias", bias))
            ]
        made = []
        for part, array in (("kernel", kernel), ("bias", bias)):
            half = self.file.add(f"{name}/{part}/half", [*array.shape], "float16", array.astype(np.float16))
            made.append(self.file.add(f"{name}/{part}", [*array.shape]))
            self.file.operators.append(Operator("DEQUANTIZE", [half], [made[-1]]))
        return made

    def integers(self, name: str, kernel: np.ndarray, bias: np.ndarray, axis: int) -> list[int]:
        taken = self.file.tensors[self.current].scale[0]
        if self.form.kind == "uint8":
            low, high = min(0.0, float(kernel.min())), max(0.0, float(kernel.max()))
            scale = np.float32([(high - low) / 255])
            zeros, shape = [round(-low / float(scale[0]))], [1] * kernel.ndim
            values = np.clip(np.round(kernel / scale) + zeros[0], 0, 255).astype(np.uint8)
            axis = 0  # which XNNPACK wants of one scale
        else:
            others = tuple(at for at in range(kernel.ndim) if at != axis)
            scale = np.float32(np.maximum(np.abs(kernel).max(others), 1e-6) / 127)
            zeros, shape = [0] * len(scale), [len(scale) if at == axis else 1 for at in range(kernel.ndim)]
            values = np.clip(np.round(kernel / scale.reshape(shape)), -127, 127).astype(np.int8)
        biases = np.round(bias / (taken * scale)).astype(np.int32)
        return [
            self.file.add(f"{name}/kernel", [*kernel.shape], self.form.kind, values, [*scale], zeros, axis),
            self.file.add(f"{name}/bias", [*bias.shape], "int32", biases, [*(taken * scale)], [0] * len(scale)),
        ]

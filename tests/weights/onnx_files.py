"""ONNX files of one small network, written in the ways that exporters have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from mobilenets.arch.ops import Op
from mobilenets.model import Model


@dataclass
class File:
    """A graph under construction: each method adds nodes and gives the name of what they compute."""

    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype, order="C"), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()} {len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def finish(self, output: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", kind, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


# one way to write a part of the network: what it takes -> what it gives
Start = Callable[[File, str], str]
Convolution = Callable[[File, str, str, Op, str], str]  # ..., image, kernel, op, bias
Activation = Callable[[File, str], str]
End = Callable[[File, str, Model], str]


def pads(file: File, x: str, kernel: str, op: Op, *bias: str, **attributes: Any) -> str:
    group = op.shape_in[2] if op.kind == "depthwise" else 1
    attributes = {"pads": op.padding, **attributes}
    return file.add("Conv", x, kernel, *bias, strides=[op.stride] * 2, group=group, **attributes)


def clip(file: File, x: str) -> str:
    return file.add("Clip", x, file.constant(0), file.constant(6))


def relu(file: File, x: str) -> str:
    return file.add("Relu", x)


def nothing(file: File, x: str) -> str:
    return x


def gemm(file: File, x: str, model: Model) -> str:
    x = file.add("Flatten", file.add("GlobalAveragePool", x))
    return file.add("Gemm", x, *(file.constant(model.weights[f"fc.{part}"]) for part in ("weight", "bias")), transB=1)


def network(
    model: Model,
    *,
    start: Start = nothing,
    convolution: Convolution = pads,
    activation: Activation = relu,
    end: End = gemm,
    opset: int = 17,
    channels_last: bool = False,
    kind: int = TensorProto.FLOAT,
    bias: bool = False,
) -> onnx.ModelProto:
    """`model` with its batch norms; `bias`: convolutions have one as well, of nothing."""
    file, value = File(opset), ""
    for op in model.graph.ops:
        arrays = [file.constant(array) for name, array in model.weights.items() if name.rpartition(".")[0] == op.name]
        if op.kind == "input":
            value = start(file, "image")
        elif op.kind in ("conv", "depthwise", "pointwise"):
            extra = [file.constant(np.zeros(op.shape_out[2]))] if bias else []
            value = convolution(file, value, *arrays, op, *extra)
        elif op.kind == "batch_norm":
            value = file.add("BatchNormalization", value, *arrays, epsilon=model.network.epsilon)
        elif op.kind in ("relu", "relu6"):
            value = activation(file, value)
    h, w, c = model.network.height, model.network.width, model.network.channels
    shape = ["N", h, w, c] if channels_last else ["N", c, h, w]
    return file.finish(end(file, value, model), shape, kind)


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    """The file's last output, by ONNX Runtime."""
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]

"""ONNX, written from the graph: batch norm folded, normalisation inside, labels and the rest in the metadata.

Input `image`: uint8 (N, H, W, C), RGB or grey, as `image.prepare` makes it. Outputs: `logits` and what becomes of
them (`probabilities` or `embedding`), float32 (N, classes). N is dynamic. Metadata: network, preprocess, labels, task,
decoding, version.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..arch.fold import fold_batch_norm
from ..arch.graph import Op
from ..image import Preprocess
from ..model import Described, Model

__all__ = ["NODES", "Writer", "finish", "geometry", "to_onnx"]

OPSET = 17
IR_VERSION = 9  # what runtimes from 2023 on read


@dataclass(slots=True)
class Writer:
    """Nodes and constants as they come."""

    weights: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _input(write: Writer, op: Op, x: str, preprocess: Preprocess) -> str:
    x = write.node("Cast", [x], "image_float", to=TensorProto.FLOAT)
    mean, std = (write.constant(name, np.atleast_1d(np.float32(getattr(preprocess, name)))) for name in ("mean", "std"))
    x = write.node("Sub", [x, mean], "image_centred")
    x = write.node("Div", [x, std], "image_normalised")
    return write.node("Transpose", [x], "image_nchw", perm=[0, 3, 1, 2])


def _convolution(write: Writer, op: Op, x: str) -> str:
    arrays = [write.constant(name, write.weights[name]) for name in (f"{op.name}.weight", f"{op.name}.bias")]
    return write.node("Conv", [x, *arrays], op.name, **geometry(op))


def geometry(op: Op) -> dict[str, Any]:
    """The attributes of a Conv."""
    return {
        "kernel_shape": [op.kernel] * 2,
        "strides": [op.stride] * 2,
        "pads": list(op.padding),
        "group": op.shape_in[2] if op.kind == "depthwise" else 1,
    }


def _relu6(write: Writer, op: Op, x: str) -> str:
    low, high = (write.constant(f"{op.name}_{v}", np.array(v, np.float32)) for v in (0, 6))
    return write.node("Clip", [x, low, high], op.name)


def _fully_connected(write: Writer, op: Op, x: str) -> str:
    x = write.node("Flatten", [x], f"{op.name}_in")
    arrays = [write.constant(name, write.weights[name]) for name in (f"{op.name}.weight", f"{op.name}.bias")]
    return write.node("Gemm", [x, *arrays], "logits", transB=1)


NODES: dict[str, Callable[[Writer, Op, str], str]] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "pointwise": _convolution,
    "relu": lambda write, op, x: write.node("Relu", [x], op.name),
    "relu6": _relu6,
    "global_average_pool": lambda write, op, x: write.node("GlobalAveragePool", [x], op.name),
    "fully_connected": _fully_connected,
    "softmax": lambda write, op, x: write.node("Softmax", [x], "probabilities", axis=1),
    "sigmoid": lambda write, op, x: write.node("Sigmoid", [x], "probabilities"),
    "l2_normalise": lambda write, op, x: write.node("LpNormalization", [x], "embedding", axis=1, p=2),
}


def to_onnx(model: Model) -> bytes:
    """The serialised ONNX model, checked by ONNX's own checker."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    write = Writer(weights)
    outputs: list[str] = []
    for op in graph.ops:
        if op.kind == "input":
            outputs.append(_input(write, op, "image", model.preprocess))
        else:
            outputs.append(NODES[op.kind](write, op, outputs[op.inputs[0]]))
    return finish(write, model, outputs[-1])


def finish(write: Writer, model: Described, answer: str) -> bytes:
    """The file of all that was written, from `image` to `logits` and `answer`, with what `model` says of itself."""
    network = model.network
    image: list[str | int] = ["N", network.height, network.width, network.channels]
    proto = helper.make_model(
        helper.make_graph(
            write.nodes,
            f"mobilenet_{network.name}",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, image)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", network.classes])
                for name in ("logits", answer)
            ],
            write.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mobilenets",
    )
    helper.set_model_props(
        proto,
        {
            "format": "mobilenets.onnx",
            "version": "1",
            "network": network.to_json(),
            "preprocess": json.dumps(model.preprocess.to_dict()),
            "labels": json.dumps(list(model.labels)),
            "task": model.task,
            "decoding": json.dumps(model.decoding),
        },
    )
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())

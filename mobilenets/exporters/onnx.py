"""ONNX, written from the graph: batch norm folded, normalisation inside, labels and other settings in the metadata.

Input `image`: uint8 (N, H, W, C), RGB or grey, as `image.prepare` makes it. Outputs: `logits` and `probabilities` or
`embedding`, float32 (N, classes); for a detector see ssd.py. N is dynamic. Metadata: network, preprocess, labels, task,
decoding, version.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..arch.fold import fold_batch_norm
from ..arch.ops import Consumer, Op
from ..image import Preprocess
from ..model import AnyModel, Model, use_to_metadata
from .writer import Writer

__all__ = ["NODES", "Writer", "finish", "geometry", "to_onnx"]

Shape = tuple[int, ...]

OPSET = 17
IR_VERSION = 9  # what runtimes from 2023 on read


def _input(write: Writer, op: Op, x: str, preprocess: Preprocess) -> str:
    x = write.node("Cast", [x], "image_float", to=TensorProto.FLOAT)
    mean, std = (write.constant(name, np.atleast_1d(np.float32(getattr(preprocess, name)))) for name in ("mean", "std"))
    x = write.node("Sub", [x, mean], "image_centred")
    x = write.node("Div", [x, std], "image_normalised")
    return write.node("Transpose", [x], "image_nchw", perm=[0, 3, 1, 2])


Node = Callable[..., str]  # (write, op, *inputs) -> output


def _convolution(write: Writer, op: Op, x: str) -> str:
    arrays = [write.constant(name, write.weights[name]) for name in (f"{op.name}.weight", f"{op.name}.bias")]
    return write.node("Conv", [x, *arrays], op.name, **geometry(op))


def geometry(op: Op) -> dict[str, Any]:
    """Return the attributes of a Conv."""
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


NODES: dict[str, Node] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "pointwise": _convolution,
    "relu": lambda write, op, x: write.node("Relu", [x], op.name),
    "relu6": _relu6,
    "hard_swish": lambda write, op, x: write.node("HardSwish", [x], op.name),
    "hard_sigmoid": lambda write, op, x: write.node("HardSigmoid", [x], op.name, alpha=1 / 6, beta=0.5),
    "add": lambda write, op, x, y: write.node("Add", [x, y], op.name),
    "multiply": lambda write, op, x, gate: write.node("Mul", [x, gate], op.name),
    "global_average_pool": lambda write, op, x: write.node("GlobalAveragePool", [x], op.name),
    "fully_connected": _fully_connected,
    "softmax": lambda write, op, x: write.node("Softmax", [x], "probabilities", axis=1),
    "sigmoid": lambda write, op, x: write.node("Sigmoid", [x], "probabilities"),
    "l2_normalise": lambda write, op, x: write.node("LpNormalization", [x], "embedding", axis=1, p=2),
}
ONNX = Consumer("export to ONNX", handles=["input", *NODES], refuses=["batch_norm"])  # which is folded before


def to_onnx(model: Model) -> bytes:
    """Return the serialised ONNX model, checked by ONNX's own checker."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    ONNX.check(graph.ops)
    write = Writer(weights)

    def run(ops: Sequence[Op], x: str) -> dict[str, str]:
        """Write `ops`, the first of which takes `x`; return what each gives, by its name."""
        values: dict[str, str] = {}
        for op in ops:
            inputs = [values.get(graph.ops[i].name, x) for i in op.inputs]
            node = _input(write, op, x, model.preprocess) if op.kind == "input" else NODES[op.kind](write, op, *inputs)
            values[op.name] = node
        return values

    if model.network.output != "features":
        return finish(write, model, run(graph.ops, "image")[graph.ops[-1].name])
    from .faster_rcnn import faster_rcnn
    from .ssd import ssd

    detector = {"ssd": ssd, "faster-rcnn": faster_rcnn}[model.head_config["detector"]]
    return finish(write, model, *detector(write, model, graph.ops, run))


def finish(write: Writer, model: AnyModel, answer: str, shapes: Sequence[Shape] = ()) -> bytes:
    """Return the ONNX file of the nodes written, from `image` to `logits` and `answer`, with the metadata of `model`.

    `shapes` are those of these two outputs for one image, (classes,) by default.
    """
    network = model.network
    image: list[str | int] = ["N", network.height, network.width, network.channels]
    proto = helper.make_model(
        helper.make_graph(
            write.nodes,
            f"mobilenet_{network.name}",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, image)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
                for name, shape in zip(("logits", answer), shapes or [(network.classes,)] * 2, strict=True)
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
            **use_to_metadata(model),
            "task": model.task,
            "decoding": json.dumps(model.head_config),
        },
    )
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())

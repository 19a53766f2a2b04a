"""The ops of a MobileNet as TensorFlow Lite operators, for any number format (`Numbers`).

Activations are fused into convolutions, a PAD is written where SAME would pad differently, and the classifier is a 1x1
convolution as in Google's own files, because every runtime takes per-class scales for that.
"""

from typing import Any, Protocol

import numpy as np

from ..arch.graph import Graph, same_padding
from ..arch.layers import Layer, layers
from ..arch.ops import CONVOLUTIONS, Consumer, Op
from .tflite_file import File

__all__ = ["OPERATORS", "Numbers", "write_ops"]

SAME, VALID = 0, 1
ELEMENTWISE = {"add": "ADD", "multiply": "MUL"}
FUSED = {None: 0, "relu": 1, "relu6": 3}  # schema's ActivationFunctionType
# function of the logits: operator and options
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {"softmax": ("SOFTMAX", {"beta": 1.0})}
TFLITE = Consumer(
    "export to TensorFlow Lite",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax".split(),
    refuses="batch_norm sigmoid l2_normalise".split(),
    activations=dict.fromkeys(CONVOLUTIONS, (None, "relu", "relu6", "hard_swish", "hard_sigmoid")),
)
POOLED_AXES = np.array([1, 2], np.int32)


class Numbers(Protocol):
    """The number format of a file: how tensors and constants are stored in `file`."""

    file: File
    versions: dict[str, int]  # of operators whose version for this number format is not 1
    gates_in_weights: bool  # whether a hard sigmoid is part of the layer before it

    def output(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the output tensor of op `name`."""

    def padded(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the padded input tensor of op `name`."""

    def arrays(self, name: str, layout: tuple[int, ...]) -> list[int]:
        """Return the kernel of op `name`, its axes (out, in / groups, k, k) in the order of `layout`, and its bias."""


def write_ops(graph: Graph, numbers: Numbers, image: int) -> int:
    """Write all from the image to the logits (1, classes); return their tensor."""
    TFLITE.check(graph.ops)
    values = [image]  # of each layer
    for layer in layers(graph)[1:]:
        inputs = [values[i] for i in layer.sources]
        values.append(_layer(numbers, layer, *inputs))
    return values[-1]


def _layer(numbers: Numbers, layer: Layer, x: int, *others: int) -> int:
    op, activation = layer.op, layer.activation
    if op.kind in CONVOLUTIONS:
        return _activated(numbers, activation, _convolution(numbers, op, x, activation))
    if op.kind == "global_average_pool":
        axes = numbers.file.constant("pool/axes" if op.name == "pool" else f"{op.name}/axes", POOLED_AXES)
        return _run(numbers, "MEAN", [x, axes], numbers.output(op.name, (1, *op.shape_out)), keep_dims=True)
    if op.kind == "fully_connected":
        return _classifier(numbers, op, x)
    if op.kind in ELEMENTWISE:
        return _run(numbers, ELEMENTWISE[op.kind], [x, *others], numbers.output(op.name, (1, *op.shape_out)))
    return x  # the function of the logits is not written here


def _activated(numbers: Numbers, activation: Op | None, x: int) -> int:
    """Write an activation that is no part of the convolution before it."""
    folded = numbers.gates_in_weights and activation is not None and activation.kind == "hard_sigmoid"
    if activation is None or activation.kind in FUSED or folded:
        return x
    name, shape = activation.name, (1, *activation.shape_out)
    if activation.kind == "hard_swish":
        return _run(numbers, "HARD_SWISH", [x], numbers.output(name, shape))
    three, sixth = (
        numbers.file.constant(f"{name}/{n}", np.asarray(v, np.float32)) for n, v in (("three", 3), ("sixth", 1 / 6))
    )
    clipped = _run(numbers, "ADD", [x, three], numbers.output(f"{name}/clipped", shape), activation=FUSED["relu6"])
    return _run(numbers, "MUL", [clipped, sixth], numbers.output(name, shape))


def _run(numbers: Numbers, kind: str, inputs: list[int], output: int, **options: Any) -> int:
    return numbers.file.run(kind, inputs, output, numbers.versions.get(kind, 1), **options)


def _convolution(numbers: Numbers, op: Op, x: int, activation: Op | None) -> int:
    (top, left, bottom, right), (h, w, c) = op.padding, op.shape_in
    pads = (*same_padding(h, op.kernel, op.stride), *same_padding(w, op.kernel, op.stride))
    same = pads == (top, bottom, left, right)
    if not same:
        border = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        padded = numbers.padded(op.name, (1, h + top + bottom, w + left + right, c))
        x = _run(numbers, "PAD", [x, numbers.file.constant(f"{op.name}/pads", border)], padded)
    options = {"padding": SAME if same else VALID, "stride_w": op.stride, "stride_h": op.stride}
    options["activation"] = FUSED.get(activation.kind if activation else None, FUSED[None])
    output = numbers.output(op.name, (1, *op.shape_out))
    if op.kind == "depthwise":
        inputs = [x, *numbers.arrays(op.name, (1, 2, 3, 0))]
        return _run(numbers, "DEPTHWISE_CONV_2D", inputs, output, **options, multiplier=1)
    return _run(numbers, "CONV_2D", [x, *numbers.arrays(op.name, (0, 2, 3, 1))], output, **options)


def _classifier(numbers: Numbers, op: Op, x: int) -> int:
    classes = op.shape_out[2]
    inputs = [x, *numbers.arrays(op.name, (0, 2, 3, 1))]
    maps = _run(numbers, "CONV_2D", inputs, numbers.output(op.name, (1, 1, 1, classes)), stride_w=1, stride_h=1)
    shape = np.array([-1, classes], np.int32)
    inputs = [maps, numbers.file.constant("logits/shape", shape)]
    return _run(numbers, "RESHAPE", inputs, numbers.output("logits", (1, classes)), new_shape=shape)

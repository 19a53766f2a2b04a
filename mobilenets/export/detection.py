"""SSD in ONNX: extra layers and heads, boxes decoded, the best kept. Written from the arrays "task.*", without torch.

`logits` (N, anchors, 4 + classes + 1): offsets of a box, then background and classes. `detections` (N, boxes, 6): left,
top, right, bottom as fractions of the image, score, class; best first, -1 where there is no box.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from ..arch.network import Network
from ..model import Model
from .writer import Writer

__all__ = ["detector"]

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]

EPSILON = 1e-5  # of the head's batch norms
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # by which offsets were multiplied for learning (torchvision's box coder)
LARGEST = math.log(1000 / 16)  # of an offset of a size, before its exponential


def detector(write: Writer, model: Model, values: Mapping[str, str]) -> tuple[str, tuple[Shape, Shape]]:
    """Nodes from the body's maps (`values`: by the op's name) to `logits` and the answer: its name, both shapes."""
    decoding, arrays = model.decoding, model.weights
    maps = [values[name] for name in decoding["maps"]]
    for i in range(len(decoding["ratios"]) - len(maps)):
        maps.append(_extra(write, arrays, maps[-1], f"task.backbone.layers.{i}"))
    columns = {"regression": 4, "classification": model.network.classes + 1}
    raw = [_head(write, arrays, maps, f"task.head.{name}_head", count) for name, count in columns.items()]
    write.node("Concat", raw, "logits", axis=2)
    anchors = arrays["task.anchor_generator.boxes"] / sides(model.network)
    boxes = decoded(write, raw[0], anchors, WEIGHTS, "box")
    scores = write.node("Softmax", [raw[1]], "scores", axis=2)
    scores = write.node("Transpose", [sliced(write, scores, 2, 1, None)], "scores_by_class", perm=[0, 2, 1])
    scores = _candidates(write, scores, min(decoding["candidates"], len(anchors)))
    size = len(anchors), model.network.classes
    found = suppressed(write, boxes, scores, size, decoding, "detections")
    return found, ((len(anchors), 5 + model.network.classes), (decoding["boxes"], 6))


def sides(network: Network) -> Array:
    """(width, height, width, height)."""
    return np.array([network.width, network.height] * 2, np.float32)


def _extra(write: Writer, arrays: Mapping[str, Array], x: str, name: str) -> str:
    """The blocks of one extra layer; the one of 3x3 halves the map."""
    for i in range(sum(1 for array in arrays if array.startswith(f"{name}.") and array.endswith(".0.weight"))):
        stride = 2 if arrays[f"{name}.{i}.0.weight"].shape[-1] == 3 else 1
        x = block(write, arrays, x, f"{name}.{i}", stride)
    return x


def block(write: Writer, arrays: Mapping[str, Array], x: str, name: str, stride: int = 1) -> str:
    """A convolution with its batch norm folded into it, and ReLU6: torchvision's Conv2dNormActivation."""
    gamma, beta, mean, var = (
        arrays[f"{name}.1.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + EPSILON)
    weight = (arrays[f"{name}.0.weight"] * scale[:, None, None, None]).astype(np.float32)
    x = convolution(write, weight, (beta - mean * scale).astype(np.float32), x, name, stride)
    low, high = (write.constant(f"{name}.{v}", np.array(v, np.float32)) for v in (0, 6))
    return write.node("Clip", [x, low, high], f"{name}.act")


def convolution(write: Writer, weight: Array, bias: Array, x: str, name: str, stride: int = 1) -> str:
    """With padding that keeps the size at stride 1; depthwise where a filter sees one of several channels."""
    kernel = weight.shape[-1]
    inputs = [x, write.constant(f"{name}.weight", weight), write.constant(f"{name}.bias", bias)]
    group = weight.shape[0] if weight.shape[1] == 1 else 1
    sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
    return write.node("Conv", inputs, name, group=group, **sizes)


def _head(write: Writer, arrays: Mapping[str, Array], maps: list[str], name: str, columns: int) -> str:
    """(N, anchors, columns): the predictors of all maps, anchors in torchvision's order: row, column, shape."""
    parts = []
    for i, x in enumerate(maps):
        layer = f"{name}.module_list.{i}"
        if f"{layer}.weight" not in arrays:  # depthwise separable
            x, layer = block(write, arrays, x, f"{layer}.0"), f"{layer}.1"
        x = convolution(write, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"], x, layer)
        shapes = arrays[f"{layer}.weight"].shape[0] // columns
        x = reshaped(write, x, [0, shapes, columns, -1], f"{layer}.by_shape")
        x = write.node("Transpose", [x], f"{layer}.by_place", perm=[0, 3, 1, 2])
        parts.append(reshaped(write, x, [0, -1, columns], f"{layer}.rows"))
    return write.node("Concat", parts, name, axis=1)


def reshaped(write: Writer, x: str, shape: list[int], name: str) -> str:
    return write.node("Reshape", [x, write.constant(f"{name}.shape", np.array(shape, np.int64))], name)


def sliced(write: Writer, x: str, axis: int, start: int, end: int | None) -> str:
    """x[start:end] along one axis."""
    bounds = {"start": start, "end": np.iinfo(np.int64).max if end is None else end, "axis": axis}
    name = f"{x}_{start}_{end}"
    inputs = [write.constant(f"{name}.{what}", np.array([value], np.int64)) for what, value in bounds.items()]
    return write.node("Slice", [x, *inputs], name)


def decoded(write: Writer, offsets: str, anchors: Array, weights: tuple[float, ...], name: str) -> str:
    """Boxes (N, A, 4) cut at the edges of the image, from offsets (N, A, 4) of `anchors` (A, 4), both as fractions."""

    def constant(what: str, values: Any) -> str:
        return write.constant(f"{name}_{what}", np.asarray(values, np.float32))

    middle, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    sizes = constant("sizes", size)
    moved = write.node("Mul", [sliced(write, offsets, 2, 0, 2), constant("step", size / weights[:2])], f"{name}_moved")
    centre = write.node("Add", [moved, constant("middle", middle)], f"{name}_centre")
    grown = write.node("Div", [sliced(write, offsets, 2, 2, 4), constant("weights", weights[2:])], f"{name}_grown")
    grown = write.node("Min", [grown, constant("largest", LARGEST)], f"{name}_bounded")
    extent = write.node("Mul", [write.node("Exp", [grown], f"{name}_factor"), sizes], f"{name}_extent")
    half = write.node("Mul", [extent, constant("half", 0.5)], f"{name}_half_extent")
    corners = [write.node(kind, [centre, half], f"{name}_{kind}") for kind in ("Sub", "Add")]
    edges = write.node("Concat", corners, f"{name}_edges", axis=2)
    return write.node("Clip", [edges, constant("zero", 0), constant("one", 1)], name)


def _candidates(write: Writer, scores: str, most: int) -> str:
    """Scores (N, C, A) with zeros but for the `most` best of each class."""
    count = write.constant("candidates", np.array([most], np.int64))
    best, _ = write.nodes_of("TopK", [scores, count], ["best_scores", "best_anchors"], axis=2)
    least = write.node("ReduceMin", [best], "least_score", axes=[2], keepdims=1)
    among = write.node("GreaterOrEqual", [scores, least], "among_candidates")
    return write.node("Where", [among, scores, write.constant("no_score", np.array(0, np.float32))], "candidate_scores")


def suppressed(
    write: Writer, boxes: str, scores: str, size: tuple[int, int], decoding: Mapping[str, Any], name: str
) -> str:
    """(N, decoding["boxes"], 6) of boxes (N, A, 4) and scores (N, C, A); `size`: (A, C).

    NonMaxSuppression names what it keeps in no useful order: the kept scores go back to their places among -1, of which
    the best are taken.
    """
    anchors, classes = size
    most = decoding["boxes"]

    def constant(what: str, value: Any, kind: type = np.float32) -> str:
        return write.constant(f"{name}_{what}", np.array(value, kind))

    bounds = [constant("overlap", [decoding["overlap"]]), constant("score", [decoding["score"]])]
    kept = write.node("NonMaxSuppression", [boxes, scores, constant("most", [most], np.int64), *bounds], f"{name}_kept")
    none = write.node("Expand", [constant("none", -1), write.node("Shape", [scores], f"{name}_shape")], f"{name}_blank")
    known = write.node("GatherND", [scores, kept], f"{name}_known")
    flat = reshaped(write, write.node("ScatterND", [none, kept, known], f"{name}_scores"), [0, -1], f"{name}_flat")
    if anchors * classes < most:
        pads = constant("pads", [0, 0, 0, most - anchors * classes], np.int64)
        flat = write.node("Pad", [flat, pads, f"{name}_none"], f"{name}_padded")
    outputs = [f"{name}_best", f"{name}_where"]
    best, where = write.nodes_of("TopK", [flat, constant("count", [most], np.int64)], outputs, axis=1)
    number = constant("anchors", anchors, np.int64)
    last = constant("last", [2], np.int64)
    place = write.node("Unsqueeze", [write.node("Mod", [where, number], f"{name}_anchor"), last], f"{name}_place")
    edges = write.node("GatherND", [boxes, place], f"{name}_edges", batch_dims=1)
    label = write.node(
        "Cast", [write.node("Div", [where, number], f"{name}_class")], f"{name}_label", to=TensorProto.FLOAT
    )
    columns = [write.node("Unsqueeze", [x, last], f"{x}_column") for x in (best, label)]
    rows = write.node("Concat", [edges, *columns], f"{name}_rows", axis=2)
    there = write.node("Greater", [columns[0], f"{name}_none"], f"{name}_there")
    return write.node("Where", [there, rows, f"{name}_none"], name)

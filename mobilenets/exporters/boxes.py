"""Parts of detectors in ONNX: predictions by anchor, decoding of boxes, selection of the best, as in torchvision."""

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from ..arch.network import Network
from .writer import Writer

__all__ = [
    "Array",
    "Shapes",
    "as_float",
    "best",
    "by_anchor",
    "candidates",
    "constant",
    "convolution",
    "corners",
    "decoded",
    "listed",
    "reshaped",
    "sides",
    "sliced",
]

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = tuple[tuple[int, ...], tuple[int, ...]]  # of `logits` and of the detections, for one image

LARGEST = math.log(1000 / 16)  # of an offset of a size, before its exponential


def constant(write: Writer, name: str, value: Any, kind: type = np.float32) -> str:
    """Register an array as a constant and return its name."""
    return write.constant(name, np.array(value, kind))


def sides(network: Network) -> Array:
    """Return the constant (width, height, width, height)."""
    return np.array([network.width, network.height] * 2, np.float32)


def convolution(write: Writer, weight: Array, bias: Array, x: str, name: str, stride: int = 1) -> str:
    """Return a convolution whose padding keeps the size at stride 1; depthwise where a filter has one of several
    inputs.
    """
    kernel = weight.shape[-1]
    inputs = [x, write.constant(f"{name}.weight", weight), write.constant(f"{name}.bias", bias)]
    group = weight.shape[0] if weight.shape[1] == 1 else 1
    sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
    return write.node("Conv", inputs, name, group=group, **sizes)


def by_anchor(write: Writer, x: str, columns: int, count: int, name: str) -> str:
    """Return (N, count * columns, H, W) as (N, H * W * count, columns): anchors by row, column, shape."""
    x = reshaped(write, x, [0, count, columns, -1], f"{name}.by_shape")
    x = write.node("Transpose", [x], f"{name}.by_place", perm=[0, 3, 1, 2])
    return reshaped(write, x, [0, -1, columns], f"{name}.rows")


def reshaped(write: Writer, x: str, shape: list[int], name: str) -> str:
    """Return `x` in another shape."""
    return write.node("Reshape", [x, write.constant(f"{name}.shape", np.array(shape, np.int64))], name)


def sliced(write: Writer, x: str, axis: int, start: int, end: int | None) -> str:
    """Return x[start:end] along one axis."""
    bounds = {"start": start, "end": np.iinfo(np.int64).max if end is None else end, "axis": axis}
    name = f"{x}_{start}_{end}"
    inputs = [write.constant(f"{name}.{what}", np.array([value], np.int64)) for what, value in bounds.items()]
    return write.node("Slice", [x, *inputs], name)


def corners(anchors: Array) -> tuple[Array, Array]:
    """Return centres and sizes (A, 2) of boxes (A, 4)."""
    return (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]


def decoded(
    write: Writer, offsets: str, middle: str, size: str, weights: tuple[float, ...], axis: int, name: str
) -> str:
    """Return boxes (.., 4) as fractions, clipped at the edges of the image, from their offsets (.., 4).

    The offsets are relative to boxes with this `middle` and `size` (.., 2). `weights` are the factors of the offsets in
    training; `axis` is the last axis.
    """

    def number(what: str, value: Any) -> str:
        """Return a number as a constant."""
        return constant(write, f"{name}_{what}", value)

    moved = write.node("Div", [sliced(write, offsets, axis, 0, 2), number("xy", weights[:2])], f"{name}_moved")
    moved = write.node("Mul", [moved, size], f"{name}_shift")
    centre = write.node("Add", [moved, middle], f"{name}_centre")
    grown = write.node("Div", [sliced(write, offsets, axis, 2, 4), number("wh", weights[2:])], f"{name}_grown")
    grown = write.node("Min", [grown, number("largest", LARGEST)], f"{name}_bounded")
    extent = write.node("Mul", [write.node("Exp", [grown], f"{name}_factor"), size], f"{name}_extent")
    half = write.node("Mul", [extent, number("half", 0.5)], f"{name}_half_extent")
    edges = [write.node(kind, [centre, half], f"{name}_{kind}") for kind in ("Sub", "Add")]
    return write.node(
        "Clip", [write.node("Concat", edges, f"{name}_edges", axis=axis), number("zero", 0), number("one", 1)], name
    )


def candidates(write: Writer, scores: str, most: int, name: str) -> str:
    """Return scores (N, C, A) that are zero except for the `most` best of each class."""
    count = constant(write, f"{name}_candidates", [most], np.int64)
    best, _ = write.nodes_of("TopK", [scores, count], [f"{name}_most", f"{name}_places"], axis=2)
    least = write.node("ReduceMin", [best], f"{name}_least", axes=[2], keepdims=1)
    among = write.node("GreaterOrEqual", [scores, least], f"{name}_among")
    return write.node("Where", [among, scores, constant(write, f"{name}_nothing", 0)], f"{name}_of_candidates")


def best(
    write: Writer, boxes: str, scores: str, size: int, most: int, overlap: float, least: float, name: str
) -> tuple[str, str]:
    """Return the `most` best scores (N, most) after suppression, padded with -1, and their indices in C * A (`size`).

    Boxes are (N, A, 4), scores (N, C, A). NonMaxSuppression lists what it keeps in an unsuitable order: kept scores are
    scattered back among -1, and the best of these are taken.
    """
    bounds = [constant(write, f"{name}_{what}", [value]) for what, value in (("overlap", overlap), ("score", least))]
    count = constant(write, f"{name}_most", [most], np.int64)
    kept = write.node("NonMaxSuppression", [boxes, scores, count, *bounds], f"{name}_kept")
    none = constant(write, f"{name}_none", -1)
    blank = write.node("Expand", [none, write.node("Shape", [scores], f"{name}_shape")], f"{name}_blank")
    known = write.node("GatherND", [scores, kept], f"{name}_known")
    flat = reshaped(write, write.node("ScatterND", [blank, kept, known], f"{name}_scores"), [0, -1], f"{name}_flat")
    if size < most:
        pads = constant(write, f"{name}_pads", [0, 0, 0, most - size], np.int64)
        flat = write.node("Pad", [flat, pads, none], f"{name}_padded")
    found, places = write.nodes_of("TopK", [flat, count], [f"{name}_best", f"{name}_where"], axis=1)
    return found, places


def listed(write: Writer, boxes: str, place: str, columns: list[str], name: str) -> str:
    """Return rows (N, K, 4 + columns) of the boxes (N, A, 4) at `place` (N, K); -1 where the first column (N, K) is."""
    last = constant(write, f"{name}_last", [2], np.int64)
    at = write.node("Unsqueeze", [place, last], f"{name}_at")
    edges = write.node("GatherND", [boxes, at], f"{name}_of_boxes", batch_dims=1)
    others = [write.node("Unsqueeze", [x, last], f"{x}_column") for x in columns]
    rows = write.node("Concat", [edges, *others], f"{name}_rows", axis=2)
    none = constant(write, f"{name}_no_row", -1)
    there = write.node("Greater", [others[0], none], f"{name}_there")
    return write.node("Where", [there, rows, none], name)


def as_float(write: Writer, x: str) -> str:
    """Return `x` cast to float32."""
    return write.node("Cast", [x], f"{x}_float", to=TensorProto.FLOAT)

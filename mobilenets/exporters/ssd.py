"""SSD in ONNX, from the arrays "task.*": extra layers, heads, decoding, suppression. Without torch.

`logits` (N, anchors, 4 + classes + 1): offsets of a box, then background and classes. `detections` (N, boxes, 6): left,
top, right, bottom as fractions of the image, score, class; best first, padded with -1.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..arch.ops import Op
from ..model import Model
from .boxes import (
    Array,
    Shapes,
    as_float,
    best,
    by_anchor,
    candidates,
    constant,
    convolution,
    corners,
    decoded,
    listed,
    sides,
    sliced,
)
from .writer import Writer

__all__ = ["ssd"]

EPSILON = 1e-5  # of the head's batch norms
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of torchvision's box coder


def ssd(
    write: Writer, model: Model, ops: Sequence[Op], run: Callable[[Sequence[Op], str], Mapping[str, str]]
) -> tuple[str, Shapes]:
    """Write the nodes to `logits` and `detections` and return their names and shapes; `run` writes ops."""
    head_config, arrays = model.head_config, model.weights
    values = run(ops, "image")
    maps = [values[name] for name in head_config["maps"]]
    for i in range(len(head_config["ratios"]) - len(maps)):
        maps.append(_extra(write, arrays, maps[-1], f"task.backbone.layers.{i}"))
    classes = model.network.classes
    columns = {"regression": 4, "classification": classes + 1}
    raw = [_head(write, arrays, maps, f"task.head.{name}_head", count) for name, count in columns.items()]
    write.node("Concat", raw, "logits", axis=2)
    anchors = arrays["task.anchor_generator.boxes"] / sides(model.network)
    middle, size = (constant(write, f"anchor_{i}", part) for i, part in enumerate(corners(anchors)))
    boxes = decoded(write, raw[0], middle, size, WEIGHTS, 2, "box")
    scores = write.node("Softmax", [raw[1]], "scores", axis=2)
    scores = write.node("Transpose", [sliced(write, scores, 2, 1, None)], "scores_by_class", perm=[0, 2, 1])
    scores = candidates(write, scores, min(head_config["candidates"], len(anchors)), "scores")
    bounds = head_config["boxes"], head_config["overlap"], head_config["score"]
    found, where = best(write, boxes, scores, len(anchors) * classes, *bounds, "detection")
    number = constant(write, "anchors", len(anchors), np.int64)
    label = as_float(write, write.node("Div", [where, number], "label"))
    answer = listed(write, boxes, write.node("Mod", [where, number], "anchor"), [found, label], "detections")
    return answer, ((len(anchors), 5 + classes), (head_config["boxes"], 6))


def _extra(write: Writer, arrays: Mapping[str, Array], x: str, name: str) -> str:
    """Return the blocks of one extra layer; the 3x3 one halves the map."""
    for i in range(sum(1 for array in arrays if array.startswith(f"{name}.") and array.endswith(".0.weight"))):
        stride = 2 if arrays[f"{name}.{i}.0.weight"].shape[-1] == 3 else 1
        x = block(write, arrays, x, f"{name}.{i}", stride)
    return x


def block(write: Writer, arrays: Mapping[str, Array], x: str, name: str, stride: int = 1) -> str:
    """Return a convolution with folded batch norm and ReLU6: torchvision's Conv2dNormActivation."""
    gamma, beta, mean, var = (
        arrays[f"{name}.1.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + EPSILON)
    weight = (arrays[f"{name}.0.weight"] * scale[:, None, None, None]).astype(np.float32)
    x = convolution(write, weight, (beta - mean * scale).astype(np.float32), x, name, stride)
    low, high = (write.constant(f"{name}.{v}", np.array(v, np.float32)) for v in (0, 6))
    return write.node("Clip", [x, low, high], f"{name}.act")


def _head(write: Writer, arrays: Mapping[str, Array], maps: list[str], name: str, columns: int) -> str:
    """Return (N, anchors, columns): the predictors of all maps, anchors in torchvision's order (row, column, shape)."""
    parts = []
    for i, x in enumerate(maps):
        layer = f"{name}.module_list.{i}"
        if f"{layer}.weight" not in arrays:  # depthwise separable
            x, layer = block(write, arrays, x, f"{layer}.0"), f"{layer}.1"
        x = convolution(write, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"], x, layer)
        count = arrays[f"{layer}.weight"].shape[0] // columns
        parts.append(by_anchor(write, x, columns, count, layer))
    return write.node("Concat", parts, name, axis=1)

"""Faster R-CNN in ONNX, from the arrays "task.*": proposals, the body's end for each, decoding, suppression.

`logits` (N, anchors, 5) are the first stage's box offsets and objectness of every anchor. `detections` as in ssd.py.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..arch.ops import Op
from ..model import Model
from .boxes import (
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
    reshaped,
    sides,
    sliced,
)
from .writer import Writer

__all__ = ["faster_rcnn"]

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of torchvision's box coder in the second stage; 1 in the first
SMALLEST = 1e-3, 1e-2  # least side in pixels that each stage keeps, as in torchvision

Run = Callable[[Sequence[Op], str], Mapping[str, str]]


def faster_rcnn(write: Writer, model: Model, ops: Sequence[Op], run: Run) -> tuple[str, Shapes]:
    """Write the nodes to `logits` and `detections` and return their names and shapes; `run` writes ops."""
    name = model.head_config["maps"][0]
    cut = next(i for i, op in enumerate(ops) if op.name == name) + 1
    features = run(ops[:cut], "image")[name]
    proposals, anchors = _proposals(write, model, features)
    things, edges = sliced(write, proposals, 2, 4, 5), sliced(write, proposals, 2, 0, 4)
    scale = 2.0 ** round(np.log2(ops[cut - 1].shape_out[0] / model.network.height))
    regions = _regions(write, model, features, edges, scale)
    end = run(ops[cut:], regions)[ops[-1].name]
    answer = _answer(write, model, write.node("GlobalAveragePool", [end], "region"), edges, things)
    return answer, ((anchors, 5), (model.head_config["boxes"], 6))


def _proposals(write: Writer, model: Model, features: str) -> tuple[str, int]:
    """Return (N, proposals, 5), edges as fractions and a score, padded with -1; and the number of anchors."""
    head_config, arrays = model.head_config, model.weights
    rpn = "task.rpn.head"

    def layer(name: str, x: str) -> str:
        """Return one convolution of the proposal head."""
        return convolution(write, arrays[f"{name}.weight"], arrays[f"{name}.bias"], x, name)

    x = write.node("Relu", [layer(f"{rpn}.conv.0.0", features)], "rpn")
    shapes = len(head_config["sizes"]) * len(head_config["ratios"])
    offsets, things = (
        by_anchor(write, layer(f"{rpn}.{name}", x), columns, shapes, name)
        for name, columns in (("bbox_pred", 4), ("cls_logits", 1))
    )
    write.node("Concat", [offsets, things], "logits", axis=2)
    anchors = arrays["task.rpn.anchor_generator.boxes"] / sides(model.network)
    middle, size = (constant(write, f"anchor_{i}", part) for i, part in enumerate(corners(anchors)))
    boxes = decoded(write, offsets, middle, size, (1.0,) * 4, 2, "proposed")
    scores = write.node("Transpose", [write.node("Sigmoid", [things], "thing")], "things", perm=[0, 2, 1])
    scores = candidates(write, scores, min(head_config["candidates"], len(anchors)), "things")
    scores = _of_some_size(write, model, scores, boxes, SMALLEST[0], "proposed")
    bounds = head_config["proposals"], head_config["proposal_overlap"], 0.0
    found, where = best(write, boxes, scores, len(anchors), *bounds, "proposal")
    # with fewer anchors than proposals the indices exceed the anchors
    place = write.node("Mod", [where, constant(write, "anchors", len(anchors), np.int64)], "proposal_anchor")
    return listed(write, boxes, place, [found], "proposals"), len(anchors)


def _regions(write: Writer, model: Model, features: str, edges: str, scale: float) -> str:
    """Return (N * proposals, C, cells, cells) cut out of the map (N, C, H, W); `scale` is cells per pixel."""
    cells, proposals = model.head_config["cells"], model.head_config["proposals"]
    pixels = write.node("Mul", [edges, constant(write, "sides", sides(model.network))], "proposal_pixels")
    count = sliced(write, write.node("Shape", [edges], "proposals_shape"), 0, 0, 1)
    zero, one = (constant(write, f"range_{value}", value, np.int64) for value in (0, 1))
    number = write.node("Range", [zero, write.node("Squeeze", [count], "images"), one], "image_numbers")
    column = write.node("Unsqueeze", [number, constant(write, "column", [1], np.int64)], "image_column")
    spread = write.node("Expand", [column, constant(write, "spread", [1, proposals], np.int64)], "image_of_proposal")
    return write.node(
        "RoiAlign",
        [features, reshaped(write, pixels, [-1, 4], "rois"), reshaped(write, spread, [-1], "roi_images")],
        "regions",
        output_height=cells,
        output_width=cells,
        sampling_ratio=2,
        spatial_scale=scale,
        mode="avg",
        coordinate_transformation_mode="output_half_pixel",
    )


def _answer(write: Writer, model: Model, region: str, edges: str, things: str) -> str:
    """Return the detections of the last two layers: class-specific boxes, of which the best are kept."""
    head_config, arrays, classes = model.head_config, model.weights, model.network.classes
    proposals = head_config["proposals"]
    flat = write.node("Flatten", [region], "region_vector")
    scores, offsets = (
        write.node("Gemm", [flat, *_arrays(write, arrays, f"task.roi_heads.box_predictor.{name}")], name, transB=1)
        for name in ("cls_score", "bbox_pred")
    )
    scores = write.node(
        "Softmax", [reshaped(write, scores, [-1, proposals, classes + 1], "region_logits")], "p", axis=2
    )
    scores = sliced(write, scores, 2, 1, None)
    nobody = write.node("Less", [things, constant(write, "no_thing", 0)], "no_proposal")
    scores = write.node("Where", [nobody, constant(write, "no_p", 0), scores], "region_scores")
    offsets = sliced(write, reshaped(write, offsets, [-1, proposals, classes + 1, 4], "region_offsets"), 2, 1, None)
    middle, size = _corners(write, edges)
    boxes = reshaped(write, decoded(write, offsets, middle, size, WEIGHTS, 3, "box"), [0, -1, 4], "boxes")
    # offsets per class keep classes from suppressing each other, as in torchvision
    apart = np.repeat(np.arange(classes, dtype=np.float32)[None] * 2, proposals, 0).reshape(1, -1, 1)
    shifted = write.node("Add", [boxes, constant(write, "apart", apart)], "boxes_apart")
    bounds = head_config["boxes"], head_config["overlap"], head_config["score"]
    scores = reshaped(write, scores, [0, 1, -1], "scores")
    scores = _of_some_size(write, model, scores, boxes, SMALLEST[1], "found")
    found, where = best(write, shifted, scores, proposals * classes, *bounds, "detection")
    number = constant(write, "classes", classes, np.int64)
    place = write.node("Mod", [where, constant(write, "boxes_count", proposals * classes, np.int64)], "place")
    label = as_float(write, write.node("Mod", [where, number], "label"))
    return listed(write, boxes, place, [found, label], "detections")


def _of_some_size(write: Writer, model: Model, scores: str, boxes: str, least: float, name: str) -> str:
    """Return scores (N, 1, A), zero for boxes (N, A, 4) that clipping has reduced to less than `least` pixels."""
    extent = write.node("Sub", [sliced(write, boxes, 2, 2, 4), sliced(write, boxes, 2, 0, 2)], f"{name}_sides")
    extent = write.node("Mul", [extent, constant(write, f"{name}_scale", sides(model.network)[:2])], f"{name}_pixels")
    shorter = write.node("ReduceMin", [extent], f"{name}_shorter", axes=[2], keepdims=1)
    small = write.node("Less", [shorter, constant(write, f"{name}_least", least)], f"{name}_small")
    small = write.node("Transpose", [small], f"{name}_small_row", perm=[0, 2, 1])
    return write.node("Where", [small, constant(write, f"{name}_nobody", 0), scores], f"{name}_large_scores")


def _arrays(write: Writer, arrays: Mapping[str, np.ndarray], name: str) -> list[str]:
    return [write.constant(f"{name}.{part}", arrays[f"{name}.{part}"]) for part in ("weight", "bias")]


def _corners(write: Writer, edges: str) -> tuple[str, str]:
    """Return centres and sizes (N, K, 1, 2) of boxes (N, K, 4)."""
    low, high = sliced(write, edges, 2, 0, 2), sliced(write, edges, 2, 2, 4)
    size = write.node("Sub", [high, low], "proposal_size")
    half = write.node("Mul", [size, constant(write, "half", 0.5)], "proposal_half")
    middle = write.node("Add", [low, half], "proposal_middle")
    axis = constant(write, "classes_axis", [2], np.int64)
    return write.node("Unsqueeze", [middle, axis], "middle"), write.node("Unsqueeze", [size, axis], "size")

"""Compute COCO's mean average precision with COCO's evaluator (pycocotools)."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtraError
from .boxes import Boxes

__all__ = ["ClassPrecision", "Precision", "average_precision"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class ClassPrecision:
    """The average precision of one class; None if the split has no box of it."""

    label: str
    boxes: int
    ap: float | None  # mean over the overlaps .50, .55, .. .95
    ap50: float | None


@dataclass(frozen=True, slots=True)
class Precision:
    """Means over the classes with a box in the split, as fractions."""

    ap: float  # mAP@[.5:.05:.95]
    ap50: float  # mAP@.5
    per_class: tuple[ClassPrecision, ...]


def average_precision(outputs: Array, targets: Sequence[Boxes], labels: Sequence[str]) -> Precision:
    """Return the average precision of the predictions (N, K, 6), see `parts.Detector`, against the boxes `targets`.

    Overlaps are computed in pixels of the images. Raises `DataError` without a box, `MissingExtraError` without
    pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as exc:
        raise MissingExtraError("average precision needs pycocotools", "train") from exc
    counts = np.bincount(np.concatenate([t.labels[~t.ignored] for t in targets]), minlength=len(labels))
    if not counts.sum():
        raise DataError("no box to evaluate on")
    with redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = _dataset(targets, labels, [_true(target) for target in targets])
        found.dataset = _dataset(targets, labels, [_found(rows, t) for rows, t in zip(outputs, targets, strict=True)])
        truth.createIndex()
        found.createIndex()
        evaluator = COCOeval(truth, found, "bbox")
        evaluator.params.areaRng, evaluator.params.areaRngLbl, evaluator.params.maxDets = (
            [[0, 1e10]],
            ["all"],
            [outputs.shape[1]],
        )
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, 0]  # overlaps, recalls, classes; -1 where there is no box
    per_class = tuple(
        ClassPrecision(label, int(counts[i]), _mean(precision[:, :, i]), _mean(precision[0, :, i]))
        for i, label in enumerate(labels)
    )
    return Precision(_mean(precision) or 0.0, _mean(precision[0]) or 0.0, per_class)


def _mean(precision: Array) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _dataset(targets: Sequence[Boxes], labels: Sequence[str], boxes: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a data set in COCO's layout, with ids from 1."""
    images = [{"id": i, "width": t.size[0], "height": t.size[1]} for i, t in enumerate(targets, 1)]
    rows = [{**box, "image_id": i} for i, of_image in enumerate(boxes, 1) for box in of_image]
    for number, row in enumerate(rows, 1):
        row["id"] = number
    return {
        "images": images,
        "categories": [{"id": i, "name": label} for i, label in enumerate(labels, 1)],
        "annotations": rows,
    }


def _true(target: Boxes) -> list[dict[str, Any]]:
    return [
        {**_box(edges, label, target), "iscrowd": int(ignored)}
        for edges, label, ignored in zip(target.edges, target.labels, target.ignored, strict=True)
    ]


def _found(rows: Array, target: Boxes) -> list[dict[str, Any]]:
    return [{**_box(row[:4], row[5], target), "iscrowd": 0, "score": float(row[4])} for row in rows if row[5] >= 0]


def _box(edges: Array, label: float, target: Boxes) -> dict[str, Any]:
    left, top, right, bottom = (float(edge) for edge in edges * np.array(target.size * 2))
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height], "area": width * height, "category_id": int(label) + 1}

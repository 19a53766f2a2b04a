"""Represent the detections in an image and the metrics of a detector."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...arrays import Array
from ...data.cache import Images
from ...image import Size, as_image
from ..result import Picture, Section, Table
from .average_precision import Precision
from .boxes import Boxes

__all__ = ["SHOWN", "Detected", "DetectedBox", "Detections", "boxed", "found"]

SHOWN = 0.5  # least score of a box that is printed and drawn, unless the user says another
PICTURES = 8  # images in the report, evenly spaced
_SIDE = 256
Edges = tuple[float, float, float, float]
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


@dataclass(frozen=True, slots=True)
class DetectedBox:
    """One detected box; `edges` are left, top, right, bottom as fractions of the image or in its pixels."""

    label: str
    number: int  # class index
    score: float
    edges: Edges


@dataclass(frozen=True, slots=True)
class Detected:
    """The detected boxes of one image with a score of at least `least`, best first."""

    boxes: tuple[DetectedBox, ...]
    least: float = SHOWN

    def on(self, size: Size) -> "Detected":
        """Convert edges from fractions to pixels of an image of `size` (width, height)."""
        width, height = size
        return replace(self, boxes=tuple(replace(box, edges=_scaled(box.edges, width, height)) for box in self.boxes))

    def to_dict(self) -> dict[str, Any]:
        return {"boxes": [{"label": b.label, "score": b.score, "box": list(b.edges)} for b in self.boxes]}

    def line(self) -> str:
        if not self.boxes:
            return f"no boxes with a score of at least {100 * self.least:.4g}%"
        return "  ".join(f"{b.label} {b.score:.1%} ({', '.join(f'{e:g}' for e in b.edges)})" for b in self.boxes)

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Return a row per box, or one row of rank 0 without boxes, so that every image has a row."""
        if not self.boxes:
            return (("0", self.line(), *("" for _ in range(5))),)
        rows = enumerate(self.boxes, 1)
        return tuple((str(i), b.label, f"{b.score:.6f}", *(f"{e:g}" for e in b.edges)) for i, b in rows)


def _scaled(edges: Edges, width: int, height: int) -> Edges:
    left, top, right, bottom = edges
    return round(left * width, 1), round(top * height, 1), round(right * width, 1), round(bottom * height, 1)


def found(output: Array, labels: Sequence[str], most: int, least: float = SHOWN) -> Detected:
    """Return the `most` best boxes of an output (K, 6) with a score of at least `least`; edges are fractions."""
    rows = output[(output[:, 5] >= 0) & (output[:, 4] >= least)]
    best = rows[np.argsort(-rows[:, 4], kind="stable")][:most].tolist()
    boxes = (DetectedBox(labels[int(c)], int(c), score, tuple(edges)) for *edges, score, c in best)
    return Detected(tuple(boxes), least)


def boxed(image: Image.Image, detected: Detected, names: bool = True) -> Image.Image:
    """Return the image with the boxes drawn on it, coloured by class; edges are in its pixels."""
    drawn = image.convert("RGB")
    pen, width = ImageDraw.Draw(drawn), max(1, max(image.size) // 250)
    font = ImageFont.load_default(max(9, max(image.size) // 50))
    for box in reversed(detected.boxes):
        colour = _COLOURS[box.number % len(_COLOURS)]
        pen.rectangle(box.edges, outline=colour, width=width)
        if names:
            text = f"{box.label} {box.score:.0%}"
            corner = _corner(box.edges, pen.textbbox((0, 0), text, font), image.width)
            pen.rectangle(pen.textbbox(corner, text, font), fill=colour)
            pen.text(corner, text, "white", font)
    return drawn


def _corner(edges: Edges, text: Edges, width: int) -> tuple[float, float]:
    """Return the corner of a label with extent `text`: above the box, or inside it at the top of the image."""
    left, top, _, _ = edges
    above = top - text[3]
    return max(0.0, min(left, width - text[2])), above if above >= 0 else max(0.0, top)


@dataclass(frozen=True, slots=True)
class Detections:
    """The metrics of a detector on one split."""

    images: int
    precision: Precision
    outputs: Array  # (N, K, 6)
    labels: tuple[str, ...]

    @property
    def score(self) -> float:
        return self.precision.ap50

    def headline(self) -> str:
        p = self.precision
        return f"mAP at 0.5 {p.ap50:.2%}, mAP {p.ap:.2%} (COCO's, 0.5 to 0.95), {self.images:,} images"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        return (
            ("mAP at 0.5", f"{self.precision.ap50:.1%}", "mean average precision at an IoU of 0.5"),
            ("mAP", f"{self.precision.ap:.1%}", "COCO's: mean over IoU thresholds .50, .55, ..., .95"),
        )

    def metrics(self) -> dict[str, Any]:
        return {"images": self.images, "map50": self.precision.ap50, "map": self.precision.ap}

    def to_dict(self) -> dict[str, Any]:
        return {**self.metrics(), "per_class": [asdict(one) for one in self.precision.per_class]}

    def tables(self) -> tuple[Table, ...]:
        return (
            Table(
                "average precision",
                ("class", "boxes", "AP at 0.5", "AP"),
                tuple(
                    (one.label, str(one.boxes), _rate(one.ap50), _rate(one.ap))
                    for one in self.precision.per_class
                    if one.boxes
                ),
            ),
        )

    def sections(self, images: Images) -> tuple[Section, ...]:
        chosen = range(0, len(images), max(1, -(-len(images) // PICTURES)))
        pictures = [picture for i in chosen for picture in self._pictures(images, i)]
        caption = f"Pairs of detected boxes, with a score of at least {SHOWN:.0%}, and annotated boxes."
        return Section("Average precision", tables=self.tables()), Section(
            "Images", caption, pictures=tuple(pictures), width=400
        )

    def _pictures(self, images: Images, i: int) -> tuple[Picture, Picture]:
        """Return image `i` with the detected boxes and with the annotated boxes, in its own aspect ratio."""
        target: Boxes = images.targets[i]
        scale = _SIDE / max(target.size)
        size = max(1, round(target.size[0] * scale)), max(1, round(target.size[1] * scale))
        image = as_image(images.pixels(i)).resize(size)
        detected = found(self.outputs[i], self.labels, len(self.outputs[i])).on(size)
        ones = np.ones((len(target.labels), 1), np.float32)
        rows = np.concatenate([target.edges, ones, target.labels[:, None].astype(np.float32)], 1)
        true = found(rows, self.labels, len(rows)).on(size)
        counts = [f"{len(boxes.boxes)} box{'es' if len(boxes.boxes) != 1 else ''}" for boxes in (detected, true)]
        return (
            Picture(np.asarray(boxed(image, detected, names=False)), f"{images.names[i]}: {counts[0]} detected"),
            Picture(np.asarray(boxed(image, true, names=False)), f"{counts[1]} annotated"),
        )


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"

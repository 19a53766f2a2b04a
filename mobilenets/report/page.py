"""Write the report of a network as one HTML file without external resources."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arch.zoo import named
from ..costs import Cost, Latency
from ..errors import MissingExtraError
from ..files import write_atomic
from ..image import Pixels
from ..model import Model
from ..quant.scheme import QuantModel
from ..tasks.evaluation import ClassScore, Evaluation, Mistake
from ..tasks.result import Result, Section, figure_name
from . import text
from .pictures import heat_map, picture

if TYPE_CHECKING:
    import jinja2

__all__ = ["PriorPoint", "Report", "write_report"]

MATRIX_CLASSES = 30  # most classes for which the confusion matrix shows numbers
MOST_PAIRS = 12
MOST_NOTES = 12

PriorPoint = tuple[str, int, float, str]  # name as `Network.name`, mult-adds, ImageNet top-1 (%), source


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the page. Sections without data are left out."""

    title: str
    model: Model | QuantModel
    cost: Cost
    evaluation: Result
    sections: Sequence[Section] = ()  # sections of the task
    history: Sequence[Mapping[str, Any]] = ()  # rows of results.csv, as numbers or text; scores as fractions
    settings: Mapping[str, Any] = field(default_factory=dict)
    latency: Latency | None = None
    images_per_second: float | None = None  # of the evaluation, decoding included
    mistakes_pictures: Sequence[tuple[Mistake, Pixels]] = ()  # pixels (H, W, C) uint8, C 1 or 3
    prior_points: Sequence[PriorPoint] = ()
    notes: Sequence[str] = ()  # notes on the data, such as skipped images
    command: str = ""  # the command that reproduces the network


def write_report(path: Path, report: Report) -> Path:
    """Write the page to `path` atomically and return `path`; raise `MissingExtraError` without jinja2 or matplotlib."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as exc:
        raise MissingExtraError(f"a report needs {exc.name}", "train") from exc
    return write_atomic(path, _template().render(_context(report)))


@cache
def _template() -> "jinja2.Template":
    """Return the template of the page, which takes longer to compile than to render."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(text.FILTERS, picture=picture)
    return environment.get_template("report.html.j2")


def _context(report: Report) -> dict[str, Any]:
    """Return the variables of the template, with all figures and sums."""
    score = report.evaluation
    integral = report.model.precision == "int8"
    return {
        "precision": "int8" if integral else "fp32",
        "other": "fp32" if integral else "int8",
        "report": report,
        "model": report.model,
        "network": report.model.network,
        "cost": report.cost,
        "score": score,
        "latency": report.latency,
        "notes": report.notes[:MOST_NOTES],
        "more_notes": report.notes[MOST_NOTES:],
        "training": _training(report.history, report.settings, {} if integral else report.model.metrics),
        "classifier": isinstance(score, Evaluation),
        "sections": report.sections,
        **(_classifier(score) if isinstance(score, Evaluation) else {}),
        "mistakes": [(mistake, picture(pixels)) for mistake, pixels in report.mistakes_pictures],
        "largest_layer": max(layer.mult_adds for layer in report.cost.layers),
        "plane": _plane(report),
        "settings": _flat(report.settings),
        "data": _flat(report.model.data),
        "preprocess": _flat(asdict(report.model.preprocess)),
    }


def _classifier(score: Evaluation) -> dict[str, Any]:
    few = len(score.per_class) <= MATRIX_CLASSES
    return {
        "matrix": _matrix(score) if few else None,
        "heat_map": None if few else heat_map(score.confusion),
        "pairs": score.confused,
        "worst_classes": () if few else _worst(score.per_class),
        "macro": _macro(score.per_class),
        "calibration": _calibration(score),
    }


def _training(
    history: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, Any] | None:
    rows = [{name: _number(value) for name, value in row.items()} for row in history]
    rows = [row for row in rows if row.get("epoch") is not None]
    if not rows:
        return None
    column = next((name for name in rows[0] if name.startswith("val_") and name != "val_loss"), "val_top1")
    scored = [(row.get(column) or -1.0, -(row.get("val_loss") or 0.0), -i) for i, row in enumerate(rows)]
    floats = int(settings["epochs"]) if settings.get("quantize") else len(rows)
    best = -max(scored[:floats])[2]
    return {
        "epochs": len(rows),
        "integers_from": floats + 1 if floats < len(rows) else None,
        "best": rows[best],
        "name": figure_name(column),
        "score": rows[best].get(column),
        "settled": _settled(rows[best].get(column), metrics.get(column)),
        "figures": _curves(rows, best, column) if len(rows) > 1 else (),
        "seconds": sum(row.get("seconds") or 0.0 for row in rows),
        "images_per_second": _median([row.get("images_per_second") for row in rows]),
    }


def _settled(epoch: float | None, model: Any) -> float | None:
    """Return the model's validation score if re-estimated batch-norm statistics made it higher than its epoch's."""
    if epoch is None or not isinstance(model, float):
        return None
    return model if model > epoch + 1e-5 else None  # results.csv keeps six digits


def _curves(rows: Sequence[Mapping[str, float | None]], best: int, score: str) -> tuple[tuple[str, str], ...]:
    """Return (title, SVG) of each figure for which `rows` has data."""
    from .figures import curves

    figures = []
    name = figure_name(score)
    both = (("Loss", "loss", "loss", 1), (name, score.removeprefix("val_"), f"{name}, %", 100))
    for title, column, label, scale in both:
        train, val = f"train_{column}", f"val_{column}"
        if any(row.get(train) is not None or row.get(val) is not None for row in rows):
            figures.append((title, curves(rows, train, val, label, scale, best)))
    return tuple(figures)


def _number(value: Any) -> float | None:
    """Return a number or text as a finite float, or None for empty cells of a CSV file."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


def _matrix(score: Evaluation) -> list[tuple[str, list[tuple[int, float]], int]]:
    """Return one row per true class: label, (images, share of the row) per predicted class, images."""
    rows = []
    for one, counts in zip(score.per_class, score.confusion, strict=True):
        rows.append((one.label, [(count, count / max(one.images, 1)) for count in counts], one.images))
    return rows


def _worst(per_class: Sequence[ClassScore]) -> list[ClassScore]:
    known = [one for one in per_class if one.f1 is not None]
    return sorted(known, key=lambda one: one.f1 or 0.0)[:MOST_PAIRS]


def _macro(per_class: Sequence[ClassScore]) -> dict[str, float | None]:
    """Return unweighted means over the classes for which the figure is known."""
    means: dict[str, float | None] = {}
    for name in ("precision", "recall", "f1"):
        known = [value for one in per_class if (value := getattr(one, name)) is not None]
        means[name] = sum(known) / len(known) if known else None
    return means


def _calibration(score: Evaluation) -> dict[str, Any]:
    from .figures import reliability

    confidence = sum(b.images * b.confidence for b in score.calibration) / score.images
    return {
        "figure": reliability(score.calibration),
        "confidence": confidence,
        "bins": len(score.calibration),
    }


def _plane(report: Report) -> str | None:
    if not report.prior_points or not isinstance(report.evaluation, Evaluation):
        return None
    from .figures import plane

    networks = [(named(name), mult_adds, top1) for name, mult_adds, top1, _ in report.prior_points]
    paper = [(network.alpha, network.height, float(x), float(y)) for network, x, y in networks]
    own = (float(report.cost.mult_adds), 100 * report.evaluation.top1)
    return plane(paper, own)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted name, value as text) of all values in a nested mapping."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, str):
            rows.append((f"{prefix}{name}", value or "–"))
        else:
            rows.append((f"{prefix}{name}", json.dumps(value, ensure_ascii=False, default=str)))
    return rows

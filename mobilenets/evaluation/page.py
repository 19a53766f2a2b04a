"""The HTML report of an evaluation: its sections, pictures and near-duplicates."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..costs import cost
from ..data.near_duplicates import NearDuplicate, near_duplicates, note_on
from ..data.sources import Dataset, Sample
from ..designs.points import points_beside
from ..image import Pixels, decode
from ..model import TASK, Model
from ..progress import Watch
from ..quant.scheme import QuantModel
from ..tasks.evaluation import Evaluation, Mistake
from ..tasks.result import Picture, Result, Section
from .evaluated import Measured

if TYPE_CHECKING:
    from ..training.run import Run

__all__ = ["find_near_duplicates", "section_of", "write_page"]

MOST_PAIRS, PAIR = 12, 280  # near-duplicates in a report, and their width in pixels


def find_near_duplicates(dataset: Dataset, watch: Watch) -> tuple[NearDuplicate, ...]:
    """Return the near-duplicates of the data set, see `data.near_duplicates`; `watch` is given one note."""
    pairs = near_duplicates(dataset, lambda done, total: watch.decoded("pairs", done, total))
    if pairs:
        watch.note(note_on(pairs))
    return pairs


def section_of(pairs: Sequence[NearDuplicate], dataset: Dataset) -> list[Section]:
    """Return the report's section on near-duplicates, or nothing without pairs."""
    if not pairs:
        return []
    caption = (
        "Near-duplicates in two splits make the score too high, those with two labels make it too low. Their files "
        "differ, but their thumbnails are much more similar than others of this data set."
    )
    if len(pairs) > MOST_PAIRS:
        caption += f" The {MOST_PAIRS} most similar of {len(pairs)} pairs are shown."
    pictures = tuple(_side_by_side(pair, dataset) for pair in pairs[:MOST_PAIRS])
    return [Section("Near-duplicates", caption, pictures=pictures, width=PAIR)]


def _side_by_side(pair: NearDuplicate, dataset: Dataset) -> Picture:
    """Return both images and their names; where their labels differ, these are shown in red."""
    a, b = pair.samples
    labels = "" if pair.across else f"{dataset.labels[a.target]}, {dataset.labels[b.target]}"
    caption = " ~ ".join(f"{sample.name} ({split})" for split, sample in zip(pair.splits, pair.samples, strict=True))
    return Picture(np.concatenate([_square(a), _square(b)], axis=1), caption, labels)


def _square(sample: Sample) -> Pixels:
    """Return the image, stretched to (PAIR, PAIR, 3)."""
    image = decode(sample.read(), 3, at_least=(PAIR, PAIR)).resize((PAIR, PAIR))
    return np.asarray(image)


def write_page(
    path: Path,
    model: Model | QuantModel,
    measured: Measured,
    run: "Run | None" = None,
    more: Sequence[Section] = (),
) -> Path:
    """Write the HTML report, with the curves and settings of `run` where the model comes from one.

    The sections `more` stand before the task's own.
    """
    from ..report import Report, write_report

    evaluated, evaluation = measured.evaluated, measured.evaluated.evaluation
    history: list[dict[str, float]] = []
    if run is not None:
        with (run.path / "results.csv").open(newline="") as file:
            history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    content = Report(
        title=f"{model.name} on {evaluated.data} ({evaluated.split})",
        model=model,
        cost=cost(model.network),
        evaluation=evaluation,
        history=history,
        settings=run.settings.recipe.to_dict() if run else {},
        latency=evaluated.latency,
        images_per_second=evaluated.images_per_second,
        command=run.settings.command if run else "",
        sections=[*more, *evaluation.sections(measured.images)],
        mistakes_pictures=[(m, measured.images.pixels(m.index)) for m in _mistakes(evaluation)],
        prior_points=[
            (p.network.name, cost(p.network).mult_adds, p.top1, p.source) for p in points_beside(model.network)
        ],
        notes=[*_head(model), *(f"skipped {bad.name}: {bad.reason}" for bad in evaluated.bad)],
    )
    return write_report(path, content)


def _head(model: Model | QuantModel) -> list[str]:
    """Return a note on the arrays of the task's head, which the costs of the network leave out."""
    arrays = model.weights if model.precision == "fp32" else {}
    extra = sum(array.size for name, array in arrays.items() if name.startswith(TASK))
    of = f"mult-adds, parameters and memory are the body's: the head of task {model.task} has {extra:,} numbers more"
    return [of] if extra else []


def _mistakes(evaluation: Result) -> tuple[Mistake, ...]:
    return evaluation.mistakes if isinstance(evaluation, Evaluation) else ()

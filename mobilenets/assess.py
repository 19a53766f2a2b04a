"""A model judged on images, in the runtime that will serve it: the same figures for train, evaluate and demo."""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cost import Latency, cost
from .data.cache import BadImage, Images, decode_split
from .data.near_duplicates import NearDuplicate, near_duplicates, note_on
from .data.sources import Dataset, Sample
from .design.prior import POINTS
from .errors import UsageError
from .image import Pixels, decode
from .model import TASK, Model
from .quant.scheme import QuantModel
from .runtime import Runner, Runtime, measure_sessions, open_session, outputs_of
from .tasks import task_type
from .tasks.evaluation import Evaluation, Mistake, wilson
from .tasks.result import Picture, Result, Section
from .train.watch import Watch

if TYPE_CHECKING:
    from .train.run import Run

__all__ = ["Evaluated", "Judged", "answers", "default_split", "few_images", "judge", "nearly_equal", "report"]

BATCH = 64
FEW = 50  # images, of which a perfect rate may be 93% (95% interval)
MOST_PAIRS, PAIR = 12, 280  # pairs of nearly equal images that a report shows, and how wide


@dataclass(frozen=True, slots=True, repr=False)
class Evaluated:
    """A model measured on one split of a data set, in the runtime that serves it."""

    model: str
    network: str
    data: str  # name of the data set
    split: str
    task: str
    evaluation: Result
    latency: Latency
    images_per_second: float  # decoding included, all cores
    bad: tuple[BadImage, ...]

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value!r}" for name, value in self.evaluation.metrics().items())
        return f"Evaluated({self.network} on {self.split} of {self.data}: {figures})"

    def to_dict(self) -> dict[str, Any]:
        """JSON's view; keys as docs/json.md lists them."""
        values: dict[str, Any] = {"model": self.model, "network": self.network, "task": self.task}
        values |= {"data": self.data, "split": self.split}
        values |= self.evaluation.to_dict()
        values["images_per_second"] = self.images_per_second
        values["latency_ms"] = asdict(self.latency)
        values["bad_images"] = [{"name": bad.name, "reason": bad.reason} for bad in self.bad]
        return values

    def metrics(self) -> dict[str, Any]:
        """What of it goes into the model file: nothing that a second run would measure otherwise."""
        return {"split": self.split, **self.evaluation.metrics()}


@dataclass(frozen=True, slots=True)
class Judged:
    """The figures, and the images they come from (for the report's pictures)."""

    evaluated: Evaluated
    images: Images


def default_split(dataset: Dataset) -> str:
    """test where there is one, else val; all of what is not split."""
    return next((split for split in ("test", "val", "all") if dataset.splits.get(split)), "val")


def few_images(dataset: Dataset, *splits: str) -> list[str]:
    """Return a note on each of `splits` that is so small that even a perfect rate says little."""
    notes = []
    for split in dict.fromkeys(splits):
        count = len(dataset.splits.get(split, ()))
        if 0 < count < FEW:
            images = f"{count} image{'s' if count > 1 else ''}"
            least = f"{wilson(count, count)[0]:.0%}"
            notes.append(f"{split} has {images}: a rate of 100% on so few may be {least} on others (95% interval)")
    return notes


def judge(
    model: Path | Model | QuantModel,
    dataset: Dataset,
    split: str,
    max_bad: float,
    threads: int,
    progress: Callable[[str, int, int], None] | None = None,
    runtime: Runtime = "auto",
) -> Judged:
    """Run a model, or the file of one, on `split`: figures over all cores, latency for one image on `threads` threads.

    `UsageError` for a split that the data does not have, `DataError` where its labels are not the model's.
    """
    if not dataset.splits.get(split):
        raise UsageError(f"{dataset.root} has no split {split!r}, it has {', '.join(dataset.splits)}")
    session = open_session(model, runtime=runtime)
    task = task_type(session.task)()
    start = time.perf_counter()
    images = decode_split(
        task.align_labels(dataset, session.labels, session.head_config).splits[split],
        session.preprocess,
        short_side=None,
        max_bad=max_bad,
        progress=progress and (lambda done, total: progress(split, done, total)),
    )
    outputs = answers(session, images)
    seconds = time.perf_counter() - start
    evaluated = Evaluated(
        model=str(model) if isinstance(model, Path) else session.name,
        network=session.name,
        data=dataset.root.resolve().name,
        split=split,
        task=task.name,
        evaluation=task.evaluate(outputs, images, session.labels, session.head_config),
        latency=measure_sessions([open_session(model, threads, runtime)])[0],
        images_per_second=len(images) / seconds,
        bad=images.bad,
    )
    return Judged(evaluated, images)


def answers(session: Runner, images: Images) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(N, ...): what the runtime gives for each image."""
    parts = [
        outputs_of(session, np.stack([images.pixels(i) for i in range(start, min(start + BATCH, len(images)))]))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(session.labels)), np.float32)


def nearly_equal(dataset: Dataset, watch: Watch) -> list[Section]:
    """Return the report's section on images that are there twice, nearly; the watcher hears of them in one line."""
    pairs = near_duplicates(dataset, lambda done, total: watch.decoded("pairs", done, total))
    if not pairs:
        return []
    watch.note(note_on(pairs))
    caption = (
        "One picture in two splits makes the score better than it is, one with two labels makes it worse. Their files "
        "differ, but their thumbnails are much nearer to each other than others of this data set."
    )
    if len(pairs) > MOST_PAIRS:
        caption += f" The {MOST_PAIRS} most alike of {len(pairs)} pairs."
    pictures = tuple(_side_by_side(pair, dataset) for pair in pairs[:MOST_PAIRS])
    return [Section("Nearly equal images", caption, pictures=pictures, width=PAIR)]


def _side_by_side(pair: NearDuplicate, dataset: Dataset) -> Picture:
    """Both images, and their names; in red their labels where these differ."""
    a, b = pair.samples
    labels = "" if pair.across else f"{dataset.labels[a.target]}, {dataset.labels[b.target]}"
    caption = " ~ ".join(f"{sample.name} ({split})" for split, sample in zip(pair.splits, pair.samples, strict=True))
    return Picture(np.concatenate([_square(a), _square(b)], axis=1), caption, labels)


def _square(sample: Sample) -> Pixels:
    """(PAIR, PAIR, 3): the image, its sides stretched to the square."""
    image = decode(sample.read(), 3, at_least=(PAIR, PAIR)).resize((PAIR, PAIR))
    return np.asarray(image)


def report(
    path: Path,
    model: Model | QuantModel,
    judged: Judged,
    run: "Run | None" = None,
    more: Sequence[Section] = (),
) -> Path:
    """Write the HTML report; with the curves and settings of `run` where the model comes from one.

    `more`: sections that stand before the task's own.
    """
    from .report import Report, write_report

    evaluated, evaluation = judged.evaluated, judged.evaluated.evaluation
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
        sections=[*more, *evaluation.sections(judged.images)],
        mistakes_pictures=[(m, judged.images.pixels(m.index)) for m in _mistakes(evaluation)],
        prior_points=[(p.network.name, cost(p.network).mult_adds, p.top1, p.source) for p in POINTS],
        notes=[*_head(model), *(f"skipped {bad.name}: {bad.reason}" for bad in evaluated.bad)],
    )
    return write_report(path, content)


def _head(model: Model | QuantModel) -> list[str]:
    """What the costs of the network leave out: the arrays of a task."""
    arrays = model.weights if isinstance(model, Model) else {}
    extra = sum(array.size for name, array in arrays.items() if name.startswith(TASK))
    of = f"mult-adds, parameters and memory are the body's: the head of task {model.task} has {extra:,} numbers more"
    return [of] if extra else []


def _mistakes(evaluation: Result) -> tuple[Mistake, ...]:
    return evaluation.mistakes if isinstance(evaluation, Evaluation) else ()

"""Figures of a model on one split of a data set, in the runtime that serves it."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arrays import Floats
from ..costs import Latency
from ..data.cache import BadImage, Images, decode_split
from ..data.near_duplicates import NearDuplicate
from ..data.shared import shared
from ..data.sources import Dataset
from ..errors import UsageError
from ..model import Model
from ..opening import Opened
from ..progress import Watch
from ..quant.scheme import QuantModel
from ..runtime import Runner, measure_sessions, on_threads, open_session, outputs_of
from ..tasks import task_type
from ..tasks.evaluation import wilson
from ..tasks.result import Result

__all__ = ["Evaluated", "Measured", "Served", "default_split", "evaluate_split", "notes_on_few_images", "serve"]

BATCH = 64
FEW = 50  # images, of which a perfect rate may be 93% (95% interval)


@dataclass(frozen=True, slots=True, repr=False)
class Evaluated:
    """Figures of a model on one split of a data set, in the runtime that serves it."""

    model: str
    network: str
    data: str  # name of the data set
    split: str
    task: str
    evaluation: Result
    latency: Latency
    images_per_second: float  # decoding included, all cores
    bad: tuple[BadImage, ...]
    near_duplicates: tuple[NearDuplicate, ...] | None = None  # of all splits; None if not searched

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value!r}" for name, value in self.evaluation.metrics().items())
        return f"Evaluated({self.network} on {self.split} of {self.data}: {figures})"

    def __str__(self) -> str:
        return f"{self.network}: {self.split} {self.evaluation.headline()}; {self.speed()}"

    def speed(self) -> str:
        """Return the latency in words."""
        t = self.latency
        threads = f"{t.threads} thread{'s' if t.threads != 1 else ''}"
        return f"{t.median:.2f} ms an image (p10 {t.p10:.2f}, p90 {t.p90:.2f}; {t.runtime}, {threads})"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets evaluate`, whose keys docs/json.md lists."""
        values: dict[str, Any] = {"model": self.model, "network": self.network, "task": self.task}
        values |= {"data": self.data, "split": self.split}
        values |= self.evaluation.to_dict()
        values["images_per_second"] = self.images_per_second
        values["latency_ms"] = asdict(self.latency)
        values["bad_images"] = [{"name": bad.name, "reason": bad.reason} for bad in self.bad]
        pairs = self.near_duplicates
        values["near_duplicates"] = None if pairs is None else [pair.to_dict() for pair in pairs]
        return values

    def metrics(self) -> dict[str, Any]:
        """Return the figures that go into the model file: none that a second run would measure otherwise."""
        return {"split": self.split, **self.evaluation.metrics()}


@dataclass(frozen=True, slots=True)
class Served:
    """A model, its open session and the outputs that it computed for some images."""

    model: Model | QuantModel
    session: Runner
    outputs: Floats


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of an evaluation with the images and outputs that they come from."""

    evaluated: Evaluated
    images: Images
    session: Runner
    outputs: Floats


def default_split(dataset: Dataset) -> str:
    """Return test where there is one, else val; all where the images are not split."""
    return next((split for split in ("test", "val", "all") if dataset.splits.get(split)), "val")


def notes_on_few_images(dataset: Dataset, *splits: str) -> list[str]:
    """Return a note on each of `splits` that is so small that even a perfect rate says little."""
    notes = []
    for split in dict.fromkeys(splits):
        count = len(dataset.splits.get(split, ()))
        if 0 < count < FEW:
            images = f"{count} image{'s' if count > 1 else ''}"
            least = f"{wilson(count, count)[0]:.0%}"
            notes.append(f"{split} has {images}: a rate of 100% on so few may be {least} on others (95% interval)")
    return notes


def evaluate_split(
    opened: Opened,
    session: Runner,
    dataset: Dataset,
    split: str,
    *,
    max_bad: float,
    threads: int = 1,
    watch: Watch,
) -> Measured:
    """Run `session`, which was opened from `opened`, on `split`.

    Throughput is measured over all cores, latency for one image on `threads` threads.
    Raises `UsageError` for a split that the data do not have, `DataError` where their labels are not the model's.
    """
    if not dataset.splits.get(split):
        raise UsageError(f"{dataset.root} has no split {split!r}, it has {', '.join(dataset.splits)}")
    task = task_type(session.task)()
    start = time.perf_counter()
    aligned = task.align_labels(dataset, session.labels, session.head_config)
    images = shared(
        aligned,
        split,
        session.preprocess,
        None,
        lambda: decode_split(
            aligned.splits[split],
            session.preprocess,
            short_side=None,
            max_bad=max_bad,
            progress=lambda done, total: watch.decoded(split, done, total),
        ),
    )
    outputs = _outputs(session, images)
    seconds = time.perf_counter() - start
    evaluated = Evaluated(
        model=str(opened.path),
        network=session.name,
        data=dataset.root.resolve().name,
        split=split,
        task=task.name,
        evaluation=task.evaluate(outputs, images, session.labels, session.head_config),
        latency=measure_sessions([on_threads(session, threads, opened.model)])[0],
        images_per_second=len(images) / seconds,
        bad=images.bad,
    )
    return Measured(evaluated, images, session, outputs)


def serve(model: Model | QuantModel, images: Images) -> Served:
    """Open a session for `model` and run it on `images`."""
    session = open_session(model)
    return Served(model, session, _outputs(session, images))


def _outputs(session: Runner, images: Images) -> Floats:
    """Return the outputs (N, ...) of the network for each image."""
    parts = [
        outputs_of(session, np.stack([images.pixels(i) for i in range(start, min(start + BATCH, len(images)))]))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(session.labels)), np.float32)

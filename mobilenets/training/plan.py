"""A dry run: the settings of a run and its expected time, measured on a few batches; nothing is kept."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ..costs import cost
from ..data.sources import Dataset, Sample
from ..model import Model
from ..progress import Watch
from .group import Group
from .interrupt import Interrupts
from .loop import Loop, prepare
from .run import Run, Settings

__all__ = ["Plan", "plan"]

BATCHES = 6  # decoded and trained; the first is not counted
VALIDATION = 3.0  # times as fast as training: no backward pass, no augmentation


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was not started: its resolved settings, its images, and its expected time."""

    settings: Settings
    images: dict[str, int]
    labels: tuple[str, ...]
    epochs: int | None  # None: the classifier alone is fitted, without epochs
    images_per_second: float | None
    seconds: float | None  # decoding, training and validation

    def __str__(self) -> str:
        network, time = self.settings.network, "" if self.seconds is None else f" in about {self.seconds:,.0f} s"
        return f"{network.name}, {len(self.labels)} labels, {sum(self.images.values()):,} images: trained{time}"

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON takes it."""
        network = self.settings.network
        return {
            "network": network.name,
            "mult_adds": cost(network).mult_adds,
            "params": cost(network).params,
            "task": self.settings.task.name,
            "pretrained": self.settings.pretrained or None,
            "labels": list(self.labels),
            "images": self.images,
            "recipe": self.settings.recipe.to_dict(),
            "epochs": self.epochs,
            "images_per_second": self.images_per_second,
            "seconds": self.seconds,
        }


def plan(dataset: Dataset, settings: Settings, initial: Model | None) -> Plan:
    """Return what a run with these settings would be; its speed is measured on `BATCHES` batches of `dataset`.

    Raises what the run would raise before its first epoch: `DataError`, `TrainingError`, `UsageError`.
    """
    dataset = replace(dataset, head_config=settings.task.head_config(settings.network, dataset))
    images = {split: len(samples) for split, samples in dataset.splits.items()}
    labels = settings.task.outputs(dataset)
    if settings.recipe.freeze:
        return Plan(settings, images, labels, None, None, None)
    few = {split: _few(samples, BATCHES * settings.recipe.batch_size) for split, samples in dataset.splits.items()}
    with TemporaryDirectory(prefix="mobilenets-") as folder, Interrupts() as interrupts:
        run = Run.create(Path(folder) / "run", settings, labels, unique=False)
        if initial:
            initial.save(run.initial)
        started = time.monotonic()
        loop = prepare(replace(dataset, splits=few), run, Watch(), interrupts, Group())
        decoding = (time.monotonic() - started) / sum(map(len, few.values()))
        speed = _speed(loop)
        epochs = loop.epochs
    learned = epochs * (images["train"] + images["val"] / VALIDATION) / speed
    return Plan(settings, images, labels, epochs, speed, decoding * sum(images.values()) + learned)


def _few(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """Return about `count` of the samples, and two of each class in any case: a run is refused without them."""
    seen: Counter[int] = Counter()
    first: list[Sample] = []
    others: list[Sample] = []
    for sample in samples:
        of_class = sample.target if isinstance(sample.target, int) else -1
        seen[of_class] += 1
        (first if seen[of_class] <= 2 else others).append(sample)
    return (*first, *others[: max(0, count - len(first))])


def _speed(loop: Loop) -> float:
    """Return images a second of training, decoded images given."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the replicas are the parallelism, as in a run
    seen, started = 0, 0.0
    try:
        with loop.replicas:
            for epoch in range(BATCHES + 1):
                for batch in loop.train.epoch(epoch, 0):
                    loop.replicas.gradients(batch, loop.objective)
                    loop.state.optimiser.step()
                    loop.state.average(0)
                    seen += len(batch.targets) if started else 0
                    started = started or time.monotonic()
                if seen >= (BATCHES - 1) * loop.recipe.batch_size:
                    break
    finally:
        torch.set_num_threads(threads)
    return seen / (time.monotonic() - started)

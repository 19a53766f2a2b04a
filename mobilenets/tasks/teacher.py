"""Distil a teacher network. Its outputs for the training images are computed once and stored in the run folder.

A teacher is a model of this package, any ONNX file, or a torch module in a file (TorchScript or `torch.export`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from ..data.cache import Images
from ..data.contents import fingerprint, hash_all
from ..data.parallel import ordered
from ..data.sources import Dataset, Sample
from ..errors import DataError, ModelFileError, TrainingError, UsageError, printable
from ..files import write_atomic
from ..image import Preprocess, prepare, read
from ..runtime import find_images
from .external_teacher import ExternalTeacher, open_external
from .task import Array, Task

if TYPE_CHECKING:
    from ..runtime import Runner

__all__ = ["Distilled", "with_unlabelled"]

BATCH = 32
FILE = "teacher.safetensors"  # in the run folder


@dataclass(frozen=True, slots=True)
class Distilled(Task):
    """A task that can be trained on a teacher's outputs instead of labels."""

    teacher: Annotated[
        Path | None,
        "train on the outputs of this network instead of the labels: a model or run folder of this package, an .onnx "
        "file, or a torch module (.pt2 of torch.export, .pt of TorchScript).",
    ] = None
    teacher_size: Annotated[
        int | None, "input size (H = W) of the teacher in pixels, if its file does not state it."
    ] = None
    teacher_mean: Annotated[
        tuple[float, ...],
        "with --teacher-std: a third-party teacher takes (pixel - mean) / std of pixels from 0 to 255.",
    ] = ()
    teacher_std: Annotated[tuple[float, ...], "see --teacher-mean; one number, or one per channel."] = ()
    unlabelled: Annotated[Path | None, "a folder of additional images, trained with the teacher's outputs."] = None

    def __post_init__(self) -> None:
        if self.teacher is None:
            for name in ("teacher_size", "teacher_mean", "teacher_std", "unlabelled"):
                if getattr(self, name):
                    raise UsageError(f"{name} (={getattr(self, name)}) needs a teacher: set teacher")
        if bool(self.teacher_mean) != bool(self.teacher_std):
            raise UsageError("teacher_mean and teacher_std must be set together")

    def teacher_targets(self, outputs: Array, names: tuple[str, ...] | None, dataset: Dataset) -> Array:
        """Return a teacher's `outputs` (N, ...), named `names` if known, as targets; raises `DataError`."""
        raise NotImplementedError

    def with_teacher_targets(
        self, train: Images, dataset: Dataset, folder: Path, note: Callable[[str], None]
    ) -> Images:
        if self.teacher is None:
            return train
        kept = folder / FILE
        if not kept.is_file():
            _ask(self, train, dataset, kept, note)
        from safetensors.numpy import load_file

        targets = load_file(kept)["outputs"]
        if len(targets) != len(train):
            raise TrainingError(f"{kept}: {len(targets)} targets for {len(train)} images: the data have changed")
        return replace(train, targets=targets)


def _ask(task: Distilled, train: Images, dataset: Dataset, kept: Path, note: Callable[[str], None]) -> None:
    """Run the teacher on every training image, with its own preprocessing, and store the targets in `kept`."""
    from safetensors.numpy import save

    assert task.teacher is not None
    teacher = _open(task)
    by_name = {sample.name: sample for sample in dataset.splits["train"]}
    outputs = _outputs(teacher, [by_name[name] for name in train.names])
    if not np.isfinite(outputs).all():
        raise ModelFileError(f"teacher {task.teacher}: its outputs must be finite numbers")
    names = None if isinstance(teacher, ExternalTeacher) else teacher.labels
    targets = task.teacher_targets(outputs, names, dataset)
    write_atomic(kept, save({"outputs": np.ascontiguousarray(targets, np.float32)}))
    note(f"teacher {task.teacher}: its outputs replace the labels of {len(targets):,} training images")


def _open(task: Distilled) -> Runner | ExternalTeacher:
    """Open the teacher of `task`; raises `ModelFileError` and `UsageError`."""
    from ..runtime import open_session

    path, given = task.teacher, (task.teacher_size, task.teacher_mean, task.teacher_std)
    assert path is not None
    if not path.exists():
        raise ModelFileError(f"teacher {path}: no such file or run folder")
    external = open_external(path, *given)
    if external is not None:
        return external
    if any(given):
        raise UsageError(f"teacher {path} states its preprocessing: do not set size, mean or std")
    session = open_session(path)
    if session.task != task.name:
        raise ModelFileError(f"teacher {path}: its task is {session.task}, must be {task.name}")
    return session


def _outputs(teacher: Runner | ExternalTeacher, samples: Sequence[Sample]) -> Array:
    """Return the teacher's outputs (N, ...) for all samples, decoded on all cores in bounded memory."""
    preprocess: Preprocess = teacher.preprocess
    pixels = ordered(lambda sample: prepare(sample.read(), preprocess), samples)
    found = []
    while batch := list(islice(pixels, BATCH)):
        found.append(teacher.run(np.stack(batch)))
    return np.concatenate(found)


def with_unlabelled(dataset: Dataset, folder: Path, target: Any) -> Dataset:
    """Return `dataset` with the images below `folder` added to train with target `target`.

    Images that the data set has already, in any split, are left out. Raises `DataError` if none is left.
    """
    reads = [Sample(printable(str(path)), target, _reader(path)) for path in find_images([folder])]
    here = [sample for samples in dataset.splits.values() for sample in samples]
    seen = set(hash_all([sample.read for sample in here]))
    contents = hash_all([sample.read for sample in reads])
    more = []
    for sample, content in zip(reads, contents, strict=True):
        if content is not None and content not in seen:
            seen.add(content)
            more.append((sample, content))
    if not more:
        raise DataError(f"unlabelled {folder}: has no image that is not in the data already")
    left = f", {len(reads) - len(more)} left out (duplicates or unreadable)" * (len(more) < len(reads))
    whole = fingerprint([("all", dataset.fingerprint, None), *(("unlabelled", "", content) for _, content in more)])
    return replace(
        dataset,
        splits={**dataset.splits, "train": (*dataset.splits["train"], *(sample for sample, _ in more))},
        fingerprint=whole,
        notes=(*dataset.notes, f"unlabelled: {len(more)} images of {folder}{left}"),
    )


def _reader(path: Path) -> Callable[[], bytes]:
    return lambda: read(path)

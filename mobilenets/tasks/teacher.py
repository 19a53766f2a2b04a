"""Teachers: networks whose outputs another one learns. What they say of the training images is computed once and kept.

A teacher is a model of ours, anyone's ONNX file, or a torch module in a file: TorchScript, or of `torch.export`.
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
    """A task that can be learned from a teacher's outputs instead of from labels."""

    teacher: Annotated[
        Path | None,
        "learn what this network says, instead of the labels: a model or run folder of this package, an .onnx file, "
        "or a torch module (.pt2 of torch.export, .pt of TorchScript).",
    ] = None
    teacher_size: Annotated[int | None, "pixels (H = W) that the teacher takes, where its file does not say."] = None
    teacher_mean: Annotated[
        tuple[float, ...],
        "with --teacher-std: a teacher of another make takes (pixel - mean) / std of pixels from 0 to 255.",
    ] = ()
    teacher_std: Annotated[tuple[float, ...], "see --teacher-mean; one number, or one a channel."] = ()
    unlabelled: Annotated[Path | None, "a folder of more images to learn from the teacher."] = None

    def __post_init__(self) -> None:
        if self.teacher is None:
            for name in ("teacher_size", "teacher_mean", "teacher_std", "unlabelled"):
                if getattr(self, name):
                    raise UsageError(f"{name} (={getattr(self, name)}) is said of a teacher: give one with teacher")
        if bool(self.teacher_mean) != bool(self.teacher_std):
            raise UsageError("teacher_mean and teacher_std: give both or neither")

    def teacher_targets(self, outputs: Array, names: tuple[str, ...] | None, dataset: Dataset) -> Array:
        """A teacher's `outputs` (N, ...), the names of which are known or not, as targets; `DataError`."""
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
            raise TrainingError(f"{kept}: {len(targets)} answers for {len(train)} images: of other data, not resumed")
        return replace(train, targets=targets)


def _ask(task: Distilled, train: Images, dataset: Dataset, kept: Path, note: Callable[[str], None]) -> None:
    """Run the teacher on every training image, as it wants to see it, and keep what it says."""
    from safetensors.numpy import save

    assert task.teacher is not None
    teacher = _open(task)
    by_name = {sample.name: sample for sample in dataset.splits["train"]}
    outputs = _answers(teacher, [by_name[name] for name in train.names])
    if not np.isfinite(outputs).all():
        raise ModelFileError(f"{task.teacher}: it gives numbers that are not finite")
    names = None if isinstance(teacher, ExternalTeacher) else teacher.labels
    targets = task.teacher_targets(outputs, names, dataset)
    write_atomic(kept, save({"outputs": np.ascontiguousarray(targets, np.float32)}))
    note(f"teacher {task.teacher}: asked about {len(targets):,} training images, whose labels are not used")


def _open(task: Distilled) -> Runner | ExternalTeacher:
    """The session of a model of ours, or what another make's file needs to run; `ModelFileError`, `UsageError`."""
    from ..runtime import open_session

    path, given = task.teacher, (task.teacher_size, task.teacher_mean, task.teacher_std)
    assert path is not None
    if not path.exists():
        raise ModelFileError(f"teacher {path}: no such file or run folder")
    external = open_external(path, *given)
    if external is not None:
        return external
    if any(given):
        raise UsageError(f"teacher {path} says itself what images it takes: give no size, mean or std")
    session = open_session(path)
    if session.task != task.name:
        raise ModelFileError(f"teacher {path}: its task is {session.task}, must be {task.name}")
    return session


def _answers(teacher: Runner | ExternalTeacher, samples: Sequence[Sample]) -> Array:
    """(N, ...): the teacher's outputs for all samples, decoded on all cores, in bounded memory."""
    preprocess: Preprocess = teacher.preprocess
    pixels = ordered(lambda sample: prepare(sample.read(), preprocess), samples)
    found = []
    while batch := list(islice(pixels, BATCH)):
        found.append(teacher.run(np.stack(batch)))
    return np.concatenate(found)


def with_unlabelled(dataset: Dataset, folder: Path, target: Any) -> Dataset:
    """`dataset` with the images below `folder` in train, of which `target` is said; those that it holds are left out.

    `DataError` where none is left.
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
        raise DataError(f"unlabelled {folder}: holds no image that the data do not have")
    left = f", {len(reads) - len(more)} left out, which are there already or cannot be read" * (len(more) < len(reads))
    whole = fingerprint([("all", dataset.fingerprint, None), *(("unlabelled", "", content) for _, content in more)])
    return replace(
        dataset,
        splits={**dataset.splits, "train": (*dataset.splits["train"], *(sample for sample, _ in more))},
        fingerprint=whole,
        notes=(*dataset.notes, f"unlabelled: {len(more)} images of {folder}{left}"),
    )


def _reader(path: Path) -> Callable[[], bytes]:
    return lambda: read(path)

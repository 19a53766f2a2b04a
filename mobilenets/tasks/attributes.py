"""Attributes: multi-label classification. Its metrics are in `multilabel.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..arch.network import Network, Output
from ..arrays import Array
from ..data.attributes import list_attributes
from ..data.cache import Images
from ..data.sources import Dataset, assemble
from ..errors import DataError, UsageError
from .multilabel import AttributeScores, average_precisions, evaluate_attributes
from .task import Objective, TrainingOptions
from .teacher import Distilled, with_unlabelled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Attributes", "Shown", "known_cross_entropy"]


@dataclass(frozen=True, slots=True)
class Shown:
    """Every attribute with its probability, the most probable first; `line` shows `top` of them."""

    attributes: tuple[tuple[str, float], ...]
    top: int

    def to_dict(self) -> dict[str, Any]:
        return {"attributes": dict(self.attributes)}

    def line(self) -> str:
        return "  ".join(f"{label} {p:.0%}" for label, p in self.attributes[: self.top])

    def rows(self) -> tuple[tuple[str, ...], ...]:
        return tuple((label, f"{p:.6f}") for label, p in self.attributes)


@dataclass(frozen=True, slots=True)
class Attributes(Distilled):
    """Multi-label classification: which of several independent attributes an image has."""

    name: ClassVar[str] = "attributes"
    label_noun: ClassVar[str] = "attributes"
    output: ClassVar[Output] = "sigmoid"
    score: ClassVar[str] = "mean_ap"
    columns: ClassVar[tuple[str, ...]] = ("attribute", "probability")

    def open(self, path: str | Path, val_fraction: float | None = 0.1, max_bad: float = 0.01) -> Dataset:
        """Open a CSV file of 0 and 1, or CelebA's files, see `data.attributes`."""
        marked = list_attributes(Path(path))
        target_texts = ["".join("?" if np.isnan(v) else f"{v:.0f}" for v in row) for row in marked.values]
        values = list(marked.values)
        dataset = assemble(
            Path(path), marked.listing, marked.names, values, target_texts, val_fraction, max_bad=max_bad
        )
        dataset = replace(dataset, notes=(*dataset.notes, *_unlearnable(dataset)))
        if self.unlabelled is None or "train" not in dataset.splits:
            return dataset
        return with_unlabelled(dataset, self.unlabelled, np.full(len(marked.names), np.nan, np.float32))

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        """Reorder attributes as in the model; those absent from the data are missing (NaN) for all images."""
        unknown = [label for label in dataset.labels if label not in labels]
        if unknown:
            raise DataError(f"{dataset.root}: the model does not have the attributes {', '.join(unknown[:5])}")
        at = [labels.index(label) for label in dataset.labels]

        def moved(target: Array) -> Array:
            values = np.full(len(labels), np.nan, np.float32)
            values[at] = target
            return values

        splits = {
            split: tuple(replace(sample, target=moved(sample.target)) for sample in samples)
            for split, samples in dataset.splits.items()
        }
        return replace(dataset, labels=labels, splits=splits)

    def check(self, dataset: Dataset, train: Images) -> None:
        if not np.isfinite(train.targets).any():
            raise DataError(f"{dataset.root}: no training image has an attribute label")

    def teacher_targets(self, outputs: Array, names: tuple[str, ...] | None, dataset: Dataset) -> Array:
        """Return probabilities (N, A) in the order of the data's attributes; outputs beyond 0 to 1 are logits."""
        labels = dataset.labels
        if names is not None:
            lacking = [label for label in labels if label not in names]
            if lacking:
                raise DataError(f"the teacher {self.teacher} does not have the attributes {', '.join(lacking[:5])}")
            outputs = outputs[:, [names.index(label) for label in labels]]
        if outputs.shape[1] != len(labels):
            raise DataError(f"the teacher {self.teacher} has {outputs.shape[1]} outputs for {len(labels)} attributes")
        logits = outputs.min() < 0 or outputs.max() > 1
        return 1 / (1 + np.exp(-outputs.astype(np.float64))) if logits else outputs

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        if options.smoothing:
            raise UsageError(f"smoothing (={options.smoothing}) must be 0 with the task {self.name}")
        return Objective(known_cross_entropy)

    def order(
        self, targets: Array, batch_size: int, options: TrainingOptions
    ) -> Callable[[np.random.Generator], Array] | None:
        if options.balance != "none":
            raise UsageError(f"balance (={options.balance}) must be none with the task {self.name}")
        return None

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        import torch

        found = average_precisions(outputs.sigmoid().numpy(), targets)
        loss = float(known_cross_entropy(outputs, torch.from_numpy(targets)))
        return float(np.nanmean(found)) if np.isfinite(found).any() else 0.0, loss

    def evaluate(
        self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]
    ) -> AttributeScores:
        return evaluate_attributes(outputs, images.targets, labels, images.names)

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> Shown:
        best = np.argsort(-output, kind="stable")
        return Shown(tuple((labels[i], float(output[i])) for i in best), top)


def known_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of logits (N, A) and probabilities (N, A); missing targets (NaN) count as 0.

    The sum is divided by N A, not by the number of known targets, so that the losses of parts of a batch add up.
    """
    from torch.nn import functional

    known = ~target.isnan()
    value = functional.binary_cross_entropy_with_logits(logits, target.nan_to_num(), reduction="none")
    return (value * known).sum() / target.numel()


def _unlearnable(dataset: Dataset) -> list[str]:
    """Return a note on attributes that have the same value in all training images."""
    train = dataset.splits.get("train")
    if not train:
        return []
    targets = np.stack([sample.target for sample in train])
    alike = [name for at, name in enumerate(dataset.labels) if not {0.0, 1.0} <= set(targets[:, at].tolist())]
    return [f"all training images have the same value of {', '.join(alike[:5])}: it is not learned"] if alike else []

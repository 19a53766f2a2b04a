"""Embeddings: unit vectors that are close for photos of the same identity, including identities unseen in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ..arch.network import Network, Output
from ..arrays import Array
from ..data.cache import Images
from ..data.identities import list_identities, list_pairs
from ..data.sources import Dataset, assemble
from ..errors import DataError, UsageError
from ..image import Preprocess
from .task import Objective, TrainingOptions
from .teacher import Distilled, with_unlabelled
from .verification.metrics import EmbeddingScores, evaluate_embeddings, verification_auc
from .verification.triplets import imitation_loss, photos_of_each, triplet_loss

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

__all__ = ["Embed", "Vector"]

STRANGER = -1  # the identity of an unlabelled image
VALIDATED = 128  # batch size of the triplets of the validation loss


@dataclass(frozen=True, slots=True)
class Vector:
    """An image's embedding, of length 1."""

    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"embedding": list(self.values)}

    def line(self) -> str:
        return " ".join(f"{value:.3f}" for value in self.values)

    def rows(self) -> tuple[tuple[str, ...], ...]:
        return tuple((str(at), f"{value:.6f}") for at, value in enumerate(self.values))


@dataclass(frozen=True, slots=True)
class Embed(Distilled):
    """Metric learning: unit vectors, close for photos of the same identity and distant for others."""

    name: ClassVar[str] = "embed"
    label_noun: ClassVar[str] = "identities"
    output: ClassVar[Output] = "l2_normalise"
    score: ClassVar[str] = "auc"
    columns: ClassVar[tuple[str, ...]] = ("dimension", "value")

    dimensions: Annotated[int, "length of the vector (128: FaceNet gained nothing from more)."] = 128
    margin: Annotated[float, "margin of the triplet loss, in squared distances (0.2: FaceNet's)."] = 0.2
    photos: Annotated[int, "photos of the same identity in a batch (4: pairs of many identities)."] = 4

    def __post_init__(self) -> None:
        Distilled.__post_init__(self)
        for name, value, low, high in (
            ("dimensions", self.dimensions, 2, 4096),
            ("margin", self.margin, 0.001, 2),
            ("photos", self.photos, 2, 1024),
        ):
            if not low <= value <= high:
                raise UsageError(f"{name} (={value}) must be from {low:g} to {high:g}")

    def open(self, path: str | Path, val_fraction: float | None = 0.2, max_bad: float = 0.01) -> Dataset:
        """Open any layout of classes with identities as labels, or LFW's pairs (a .txt file) for evaluation."""
        root = Path(path)
        if root.suffix.lower() == ".txt":
            return _pairs(root)
        listing, names = list_identities(root, val_fraction)
        number = {name: at for at, name in enumerate(names)}
        target_texts = [str(row.label) for row in listing.rows]
        targets = [number[name] for name in target_texts]
        dataset = assemble(root, listing, names, targets, target_texts, val_fraction, max_bad=max_bad)
        if self.unlabelled is None or "train" not in dataset.splits:
            return dataset
        return with_unlabelled(dataset, self.unlabelled, STRANGER)

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        return tuple(map(str, range(self.dimensions)))

    def configure_preprocessing(self, preprocess: Preprocess) -> Preprocess:
        """Use the whole image, because photos of identities are usually cropped already."""
        return replace(preprocess, crop=1.0)

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        """Return the data set unchanged: a model has no identities."""
        return dataset

    def check(self, dataset: Dataset, train: Images) -> None:
        counts = np.unique(train.targets[train.targets != STRANGER], return_counts=True)[1]
        if self.teacher is None and (counts > 1).sum() < 2:
            raise DataError(f"{dataset.root}: at least two identities with two decodable photos each are needed")

    def teacher_targets(self, outputs: Array, names: tuple[str, ...] | None, dataset: Dataset) -> Array:
        """Return unit vectors (N, D)."""
        if outputs.shape[1] != self.dimensions:
            raise DataError(
                f"dimensions (={self.dimensions}) must be {outputs.shape[1]}, those of the teacher {self.teacher}"
            )
        lengths: Array = np.linalg.norm(outputs, axis=1, keepdims=True)
        return outputs / np.maximum(lengths, 1e-12)

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        if options.smoothing:
            raise UsageError(f"smoothing (={options.smoothing}) must be 0 with the task {self.name}")
        return Objective(imitation_loss if targets.ndim == 2 else triplet_loss(self.margin))

    def order(
        self, targets: Array, batch_size: int, options: TrainingOptions
    ) -> Callable[[np.random.Generator], Array] | None:
        if options.balance != "none":
            raise UsageError(f"balance (={options.balance}) must be none with the task {self.name}")
        return None if targets.ndim == 2 else photos_of_each(targets, self.photos)

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        import torch
        from torch.nn import functional

        loss, identity = triplet_loss(self.margin), torch.from_numpy(targets)
        parts = [
            loss(outputs[at : at + VALIDATED], identity[at : at + VALIDATED]) * len(outputs[at : at + VALIDATED])
            for at in range(0, len(outputs), VALIDATED)
        ]
        auc = verification_auc(functional.normalize(outputs).numpy(), targets)
        return auc, float(sum(parts)) / len(outputs)

    def evaluate(
        self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]
    ) -> EmbeddingScores:
        return evaluate_embeddings(outputs, images.targets, images.names)

    def draw(self, image: Image.Image, prediction: Any) -> Image.Image:
        raise UsageError("a vector cannot be drawn: mobilenets search --sheet shows the photos nearest to one")

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> Vector:
        return Vector(tuple(map(float, output)))


def _pairs(path: Path) -> Dataset:
    """Return photos whose targets are (identity, number of the pair)."""
    listing, names = list_pairs(path)
    number = {name: at for at, name in enumerate(names)}
    target_texts = [str(row.label) for row in listing.rows]
    targets = [np.array([number[name], at // 2]) for at, name in enumerate(target_texts)]
    return assemble(path, listing, names, targets, target_texts, None)

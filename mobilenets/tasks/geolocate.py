"""Geolocation as in PlaNet (Weyand, Kostrikov, Philbin 2016): classification into cells of the Earth's surface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ..arch.network import Network
from ..arrays import Array
from ..data.cache import Images
from ..data.geotags import list_geotagged
from ..data.sources import Dataset, Sample, assemble
from ..errors import DataError
from .geo.cells import ancestors, cut, distances, within
from .geo.metrics import RADII, GeolocationScores, LocationPrediction, evaluate_locations
from .task import Loss, Objective, Task, TrainingOptions

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

__all__ = ["Geolocate"]


@dataclass(frozen=True, slots=True)
class Geolocate(Task):
    """Geolocation of photos. A target is (latitude, longitude, cell) with cell -1 outside all cells."""

    name: ClassVar[str] = "geolocate"
    score: ClassVar[str] = "mean_within"  # the mean of the shares within the five distances
    label_noun: ClassVar[str] = "cells"
    columns: ClassVar[tuple[str, ...]] = ("rank", "latitude", "longitude", "cell", "probability")

    max_photos: Annotated[int, "a cell with more photos is split into four (PlaNet: 10,000 of 91 million)."] = 50
    min_photos: Annotated[int, "a cell with fewer is dropped, and so are its photos (PlaNet: 50)."] = 10
    hierarchy: Annotated[bool, "add the loss of the enclosing cells at every coarser level."] = False

    def __post_init__(self) -> None:
        if not 1 <= self.min_photos <= self.max_photos:
            raise DataError(f"min_photos (={self.min_photos}) must be from 1 to max_photos (={self.max_photos})")

    def open(self, path: str | Path, val_fraction: float | None = 0.1, max_bad: float = 0.01) -> Dataset:
        listing, locations = list_geotagged(Path(path))
        target_texts = [f"{latitude:.6f},{longitude:.6f}" for latitude, longitude in locations]
        targets = [np.array([*location, -1.0]) for location in locations]
        return assemble(Path(path), listing, (), targets, target_texts, val_fraction, max_bad=max_bad)

    def for_training(self, dataset: Dataset) -> Dataset:
        """Partition the Earth into cells by the training photos; training photos outside all cells are dropped."""
        train = dataset.splits["train"]
        cells = cut(np.array([sample.target[:2] for sample in train]), self.max_photos, self.min_photos)
        tokens = [cell.token for cell in cells]
        splits = {split: _in_cells(samples, tokens) for split, samples in dataset.splits.items()}
        kept = tuple(sample for sample in splits["train"] if sample.target[2] >= 0)
        dropped = len(train) - len(kept)
        note = f"{len(cells)} S2 cells of {self.min_photos} to {self.max_photos} photos"
        note += f"; {dropped} training photos are outside of all cells" if dropped else ""
        head_config = {"cells": [[c.token, c.latitude, c.longitude, c.photos] for c in cells]}
        return replace(
            dataset,
            labels=tuple(tokens),
            splits={**splits, "train": kept},
            notes=(*dataset.notes, note),
            head_config=head_config,
        )

    def configure_network(self, network: Network, dataset: Dataset) -> Network:
        if len(dataset.labels) < 2:
            rule = f"at least 2 with {self.min_photos} photos or more are needed (--min-photos, --max-photos)"
            raise DataError(f"{dataset.root}: {len(dataset.labels)} S2 cells, {rule}")
        return Task.configure_network(self, network, dataset)

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        return dataset  # locations do not depend on the cells

    def check(self, dataset: Dataset, train: Images) -> None:
        """Accept cells without decodable photos: they are never predicted."""

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        levels = ancestors([cell[0] for cell in dataset.head_config["cells"]]) if self.hierarchy else []
        return Objective(_cross_entropies(levels, device))

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        from torch.nn import functional

        km = distances(_centres(head_config)[outputs.argmax(1).numpy()], targets[:, :2])
        known = targets[:, 2] >= 0
        cells = outputs.new_tensor(targets[known, 2]).long()
        loss = float(functional.cross_entropy(outputs[known], cells)) if known.any() else 0.0
        return float(np.mean([(km <= radius).mean() for radius in RADII])), loss

    def evaluate(
        self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]
    ) -> GeolocationScores:
        weights = np.array([cell[3] for cell in head_config["cells"]], np.float64)
        return evaluate_locations(outputs, images.targets[:, :2], images.names, _centres(head_config), weights)

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> LocationPrediction:
        order = np.argsort(-output, kind="stable")
        cells = [head_config["cells"][i] for i in order]
        return LocationPrediction(
            tuple((c[0], c[1], c[2], float(output[i])) for c, i in zip(cells, order, strict=True)), top
        )

    def draw(self, image: Image.Image, prediction: Any) -> Image.Image:
        from .drawing import captioned, stacked
        from .geo.map import with_cells, with_points, world

        chart = with_cells(world(), [(token, p) for token, _, _, p in prediction.cells])
        chart = with_points(chart, np.array([[prediction.latitude, prediction.longitude]]), (200, 62, 44), 5)
        return captioned(stacked(image, chart), prediction.line())


def _in_cells(samples: tuple[Sample, ...], tokens: list[str]) -> tuple[Sample, ...]:
    cells = within(np.array([sample.target[:2] for sample in samples]), tokens)
    return tuple(
        replace(sample, target=np.array([*sample.target[:2], cell]))
        for sample, cell in zip(samples, cells, strict=True)
    )


def _centres(head_config: dict[str, Any]) -> Array:
    """Return (cells, 2): the mean location of each cell's training photos."""
    return np.array([cell[1:3] for cell in head_config["cells"]], np.float64)


def _cross_entropies(levels: list[Array], device: torch.device) -> Loss:
    """Return the mean, over all levels, of the cross-entropy of the cell or of the cell that encloses it."""
    import torch
    from torch.nn import functional

    groups = [torch.from_numpy(level).to(device) for level in levels]

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        cell = target[:, 2].long()
        total = functional.cross_entropy(logits, cell)
        log_p = functional.log_softmax(logits, 1)
        for group in groups:
            whole = torch.zeros(len(logits), int(group.max()) + 1, device=logits.device)
            whole = whole.index_add(1, group, log_p.exp())
            total = total + functional.nll_loss(whole.clamp_min(1e-12).log(), group[cell])
        return total / (1 + len(groups))

    return loss

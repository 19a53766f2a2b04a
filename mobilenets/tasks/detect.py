"""Object detection by SSD or Faster R-CNN on a MobileNet. The parts are in `detection/`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from ..arch.network import Network, Output
from ..arrays import Array
from ..data.augment import View
from ..data.cache import Images
from ..data.sources import Dataset, assemble
from ..errors import DataError, UsageError
from ..image import Preprocess, Size
from ..text import listed
from .detection.annotations import gathered
from .detection.average_precision import average_precision
from .detection.boxes import Boxes, agree, view
from .detection.layout import BOXES, faster_rcnn_config, smallest, ssd_config
from .detection.reading import read_boxes
from .detection.result import SHOWN, Detected, Detections, boxed, found
from .drawing import captioned
from .result import Prediction
from .task import Objective, Task, TrainingOptions

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

__all__ = ["Detect"]


@dataclass(frozen=True, slots=True)
class Detect(Task):
    """Object detection: boxes with classes and scores."""

    name: ClassVar[str] = "detect"
    output: ClassVar[Output] = "features"
    score: ClassVar[str] = "map50"
    columns: ClassVar[tuple[str, ...]] = ("rank", "label", "score", "left", "top", "right", "bottom")
    confidence: ClassVar[bool] = True
    top: ClassVar[int] = BOXES
    view: ClassVar[View] = staticmethod(view)

    detector: Annotated[
        Literal["ssd", "faster-rcnn"], "ssd, or faster-rcnn: slower, its last layers run once per proposal."
    ] = "ssd"
    lite: Annotated[bool, "SSD's head and extra layers depthwise separable (SSDLite): smaller and faster."] = False

    # data

    def open(self, path: str | Path, val_fraction: float | None = 0.1, max_bad: float = 0.01) -> Dataset:
        path = Path(path)
        annotations = read_boxes(path)
        listing, targets = gathered(path, annotations)
        target_texts = [target.text() for target in targets]
        dataset = assemble(
            path,
            listing,
            annotations.labels,
            targets,
            target_texts,
            val_fraction,
            max_bad=max_bad,
            agree=lambda one, other: agree(targets[one], targets[other]),
        )
        return replace(dataset, notes=(*dataset.notes, *_absent(dataset)))

    def configure_preprocessing(self, preprocess: Preprocess) -> Preprocess:
        return replace(preprocess, fit="stretch", crop=1.0)

    def head_config(self, network: Network, dataset: Dataset) -> dict[str, Any]:
        small = smallest([sample.target for sample in dataset.splits["train"]])
        if self.detector == "ssd":
            return ssd_config(network, small, self.lite)
        if self.lite:
            raise UsageError("lite (=True) must be False for faster-rcnn: it makes SSD's head separable")
        return faster_rcnn_config(network, small)

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        unknown = [label for label in dataset.labels if label not in labels]
        if unknown:
            raise DataError(f"{dataset.root}: the model does not have the classes {', '.join(unknown[:5])}")
        number = np.array([labels.index(label) for label in dataset.labels])
        splits = {
            split: tuple(replace(s, target=replace(s.target, labels=number[s.target.labels])) for s in samples)
            for split, samples in dataset.splits.items()
        }
        return replace(dataset, labels=labels, splits=splits)

    def check(self, dataset: Dataset, train: Images) -> None:
        if all(target.ignored.all() for target in train.targets):
            raise DataError(f"{dataset.root}: no image of train has a box")

    # learning

    def module(self, body: nn.Module, network: Network, head_config: dict[str, Any]) -> nn.Module:
        if head_config["detector"] == "faster-rcnn":
            from .detection.faster_rcnn import TwoStage

            return TwoStage(body, network, head_config)
        from .detection.ssd import SingleShot

        return SingleShot(body, network, head_config)

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        for name, plain in (("smoothing", 0.0), ("balance", "none")):
            if getattr(options, name) != plain:
                raise UsageError(f"{name} (={getattr(options, name)}) must be {plain} for a detector")
        return Objective(_sum, _losses)

    # judging

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        """Return (mAP at 0.5, NaN): the loss needs the matching of training."""
        classes = 1 + max(int(target.labels.max(initial=0)) for target in targets)
        names = [str(i) for i in range(max(classes, int(outputs[..., 5].max()) + 1))]
        precision = average_precision(outputs.numpy(), targets.tolist(), names)
        return precision.ap50, float("nan")

    def evaluate(
        self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]
    ) -> Detections:
        targets: list[Boxes] = images.targets.tolist()
        return Detections(len(images), average_precision(outputs, targets, labels), outputs, labels)

    # telling

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> Detected:
        return found(output, labels, top, SHOWN if least is None else least)

    def in_pixels(self, prediction: Prediction, size: Size) -> Detected:
        assert isinstance(prediction, Detected)
        return prediction.on(size)

    def draw(self, image: Image.Image, prediction: Prediction) -> Image.Image:
        assert isinstance(prediction, Detected)
        return boxed(image, prediction) if prediction.boxes else captioned(image, prediction.line())


def _losses(module: Any, x: Tensor, targets: list[Boxes]) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = module.losses(x, targets)
    return losses


def _sum(losses: dict[str, Tensor], targets: list[Boxes]) -> Tensor:
    """Return the sum of the losses, which are means over boxes; parts of a batch with equal box counts add up."""
    return sum(losses.values())  # type: ignore[return-value]


def _absent(dataset: Dataset) -> list[str]:
    """Return a note for each split in which classes have no box."""
    notes = []
    for split, samples in dataset.splits.items():
        present = set(np.concatenate([sample.target.labels for sample in samples]).tolist())
        lacking = [label for i, label in enumerate(dataset.labels) if i not in present]
        if lacking:
            notes.append(f"{len(lacking)} of {len(dataset.labels)} classes have no box in {split}: {listed(lacking)}")
    return notes

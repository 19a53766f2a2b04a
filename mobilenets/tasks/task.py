"""Define `Task`: its targets, loss, metrics and predictions.

The defaults suit a task with one output vector of `Network.classes` numbers per image. Only methods called in training
import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ..arch.network import Network, Output
from ..arrays import Array
from ..data.augment import View, same_target
from ..data.cache import Images
from ..data.sources import Dataset, open_dataset
from ..errors import DataError
from ..image import Preprocess
from .result import Prediction, Result

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

__all__ = ["Objective", "Task", "TrainingOptions"]

Loss = Callable[[Any, Any], "Tensor"]


class TrainingOptions(Protocol):
    """The training options that a task's loss and order depend on; tasks raise `UsageError` for unsupported values."""

    @property
    def smoothing(self) -> float: ...
    @property
    def balance(self) -> str: ...


def _call(module: nn.Module, x: Tensor, targets: Any) -> Any:
    return module(x)


@dataclass(frozen=True, slots=True)
class Objective:
    """The training objective.

    `loss` maps (outputs in float32, targets) to the mean over the images, so that the losses of parts of a batch add
    up. `forward` calls the module; it is replaced for modules whose training outputs depend on the targets.
    """

    loss: Loss
    forward: Callable[[nn.Module, Tensor, Any], Any] = _call


@dataclass(frozen=True, slots=True)
class Task:
    """A task. Its fields are its settings, which are flags of `mobilenets train` and stored with the run.

    A field is annotated `Annotated[type, "help text of the flag."]`.
    """

    name: ClassVar[str]
    label_noun: ClassVar[str] = "classes"  # what the labels of a data set are, in messages
    output: ClassVar[Output] = "softmax"
    score: ClassVar[str]  # name of the metric from 0 to 1 that selects the best epoch, and of `Result.score`
    columns: ClassVar[tuple[str, ...]]  # columns of a prediction in CSV, see `Prediction.rows`
    top: ClassVar[int] = 5  # default number of classes or boxes in a prediction
    confidence: ClassVar[bool] = False  # whether predictions take a minimum confidence

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON-compatible values for `schema.read`; paths are absolute, for resuming."""
        return {
            name: str(value.absolute()) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }

    # data

    def open(self, path: str | Path, val_fraction: float | None = 0.1, max_bad: float = 0.01) -> Dataset:
        """Open the data set at `path` with this task's targets; `val_fraction`, `max_bad` as in `open_dataset`."""
        return open_dataset(path, val_fraction, max_bad=max_bad)

    def for_training(self, dataset: Dataset) -> Dataset:
        """Return the data set with targets that are defined by the training data, such as the cells of geolocation."""
        return dataset

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the name of each output of the network."""
        return dataset.labels

    def configure_network(self, network: Network, dataset: Dataset) -> Network:
        """Return `network` with the outputs that the data need."""
        return network.replace(classes=len(self.outputs(dataset)), output=self.output)

    def configure_preprocessing(self, preprocess: Preprocess) -> Preprocess:
        """Return `preprocess` with the fit and crop that the task needs."""
        return preprocess

    def head_config(self, network: Network, dataset: Dataset) -> dict[str, Any]:
        """Return the settings of the head, which the model file stores, see `heads`."""
        return dataset.head_config

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        """Return the data set with targets numbered as in a trained model; raise `DataError` for unknown labels."""
        from .targets import renumbered

        return renumbered(dataset, labels)

    def check(self, dataset: Dataset, train: Images) -> None:
        """Raise `DataError` if the decoded training images are not sufficient."""
        seen = set(train.targets.tolist())
        lost = [label for i, label in enumerate(dataset.labels) if i not in seen]
        if lost:
            raise DataError(f"no training image of {', '.join(lost[:5])} could be decoded")

    # learning

    def with_teacher_targets(
        self, train: Images, dataset: Dataset, folder: Path, note: Callable[[str], None]
    ) -> Images:
        """Return the training images with a teacher's outputs as targets, stored in the run's `folder`."""
        return train

    def module(self, body: nn.Module, network: Network, head_config: dict[str, Any]) -> nn.Module:
        """Return the module to train: `body` (train.module.MobileNet), with a head whose arrays are named "task.*".

        A module whose output is not the `logits` of the exported network has a method `logits`, for the comparison.
        """
        return body

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        """Return the objective, given all training targets of `dataset`."""
        raise NotImplementedError

    def order(
        self, targets: Array, batch_size: int, options: TrainingOptions
    ) -> Callable[[np.random.Generator], Array] | None:
        """Return a function that gives the images of an epoch, in order; None: all images, shuffled."""
        return None

    view: ClassVar[View] = staticmethod(same_target)
    """Returns a random crop of a training image, with its target."""

    # evaluation

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        """Return (score, loss) of the outputs for all validation images, on the CPU; the loss is NaN if undefined."""
        raise NotImplementedError

    def evaluate(self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]) -> Result:
        """Return the metrics of `outputs`, which come from the runtime that serves the model."""
        raise NotImplementedError

    # prediction

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> Prediction:
        """Return the prediction for the output of one image, with at most `top` entries.

        `least` is the minimum confidence, by default the task's own; only tasks that have `confidence` take it.
        """
        raise NotImplementedError

    def in_pixels(self, prediction: Prediction, size: tuple[int, int]) -> Prediction:
        """Return the prediction in pixels of the image, whose upright `size` is (width, height)."""
        return prediction

    def draw(self, image: Image.Image, prediction: Prediction) -> Image.Image:
        """Return the image with the prediction drawn on it."""
        from .drawing import captioned

        return captioned(image, prediction.line())

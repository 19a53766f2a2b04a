"""What a task is: how data become targets, what is learned from them, how good that is, how an answer is told.

Most tasks share the defaults: an image goes in, one vector of `Network.classes` numbers comes out. torch is imported by
what training calls, never by what predicting does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ..arch.network import Network, Output
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

Array = np.ndarray[Any, np.dtype[Any]]
Loss = Callable[[Any, Any], "Tensor"]


class TrainingOptions(Protocol):
    """What of a recipe a task's loss and order follow; what a task cannot follow it refuses."""

    @property
    def smoothing(self) -> float: ...
    @property
    def balance(self) -> str: ...


def _plainly(module: nn.Module, x: Tensor, targets: Any) -> Any:
    return module(x)


@dataclass(frozen=True, slots=True)
class Objective:
    """What training makes small. `loss`: (outputs in fp32, targets) -> the mean over the images, so that shares of a
    batch add up to the batch. `forward`: of a module whose outputs depend on the targets while it learns.
    """

    loss: Loss
    forward: Callable[[nn.Module, Tensor, Any], Any] = _plainly


@dataclass(frozen=True, slots=True)
class Task:
    """A task; its fields are its settings: flags of `mobilenets train`, kept with the run.

    A field is annotated `Annotated[type, "what the flag does."]`.
    """

    name: ClassVar[str]
    label_noun: ClassVar[str] = "classes"  # what a data set's labels name
    output: ClassVar[Output] = "softmax"
    score: ClassVar[str]  # the figure from 0 to 1 that chooses the best epoch; `Result.score` is it too
    columns: ClassVar[tuple[str, ...]]  # of an answer in CSV, see `Answer.rows`
    top: ClassVar[int] = 5  # how many parts of an answer are told, where the user does not say

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON takes them, `schema.read` reads them back; paths are absolute, for resuming."""
        return {
            name: str(value.absolute()) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }

    # data

    def open(self, path: str | Path, val_fraction: float | None = 0.1, max_bad: float = 0.01) -> Dataset:
        """The data set at `path` with this task's targets; `val_fraction`, `max_bad` as in `open_dataset`."""
        return open_dataset(path, val_fraction, max_bad=max_bad)

    def for_training(self, dataset: Dataset) -> Dataset:
        """The data set as it is learned from: with what training, and no trained model, decides."""
        return dataset

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """The name of each of the network's outputs."""
        return dataset.labels

    def configure_network(self, network: Network, dataset: Dataset) -> Network:
        """`network` with the end that these data ask for."""
        return network.replace(classes=len(self.outputs(dataset)), output=self.output)

    def configure_preprocessing(self, preprocess: Preprocess) -> Preprocess:
        """What of an image the network must see."""
        return preprocess

    def head_config(self, network: Network, dataset: Dataset) -> dict[str, Any]:
        """What the model file keeps to read the outputs with, besides the labels."""
        return dataset.head_config

    def align_labels(self, dataset: Dataset, labels: tuple[str, ...], head_config: dict[str, Any]) -> Dataset:
        """The data set with its targets as a trained model counts them; `DataError` for what it does not know."""
        from .targets import renumbered

        return renumbered(dataset, labels)

    def check(self, dataset: Dataset, train: Images) -> None:
        """`DataError` where what could be decoded is not enough to learn from."""
        seen = set(train.targets.tolist())
        lost = [label for i, label in enumerate(dataset.labels) if i not in seen]
        if lost:
            raise DataError(f"no image of {', '.join(lost[:5])} could be decoded: nothing to learn it from")

    # learning

    def with_teacher_targets(
        self, train: Images, dataset: Dataset, folder: Path, note: Callable[[str], None]
    ) -> Images:
        """The training images with what a teacher says of them. The run's `folder` keeps it."""
        return train

    def module(self, body: nn.Module, network: Network, head_config: dict[str, Any]) -> nn.Module:
        """What learns: `body` (train.module.MobileNet), or it and a head whose arrays' names begin with "task.".

        One that does more than the exported network's `logits` has a method of this name for these, to be compared.
        """
        return body

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        """The loss, from all training targets of `dataset`."""
        raise NotImplementedError

    def order(
        self, targets: Array, batch_size: int, options: TrainingOptions
    ) -> Callable[[np.random.Generator], Array] | None:
        """Which images make an epoch, in turn; None: all, shuffled."""
        return None

    view: ClassVar[View] = staticmethod(same_target)
    """A random view of a training image, with its target."""

    # judging

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        """(score, loss) of the outputs for all validation images, on the CPU; NaN where there is no loss to tell."""
        raise NotImplementedError

    def evaluate(self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]) -> Result:
        """Every figure of the report; `outputs` as the runtime that serves the model gives them."""
        raise NotImplementedError

    # telling

    def prediction(self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int) -> Prediction:
        """What one image's output says."""
        raise NotImplementedError

    def in_pixels(self, prediction: Prediction, size: tuple[int, int]) -> Prediction:
        """The answer as it holds for the image itself, of `size` (width, height) pixels upright."""
        return prediction

    def draw(self, image: Image.Image, prediction: Prediction) -> Image.Image:
        """The image with the answer on it."""
        from .drawing import captioned

        return captioned(image, prediction.line())

"""Classification: one class of several. Its metrics are in `evaluation.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ..arch.network import Network
from ..arrays import Array, Floats
from ..data.cache import Images
from ..data.sources import Dataset
from ..errors import UsageError
from ..text import listed
from .evaluation import Evaluation, evaluate_probabilities
from .targets import balanced
from .task import Loss, Objective, Task, TrainingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Classify", "Top", "class_weights", "cross_entropy", "generalised_cross_entropy"]

LIGHTEST, HEAVIEST = 0.001, 1000.0  # bounds of a class weight

Q = 0.7  # exponent of the generalised cross-entropy, the value of its paper for all data sets


NONE = "none of these"


@dataclass(frozen=True, slots=True)
class Top:
    """Labels with probabilities, best first. `none`: the best probability is below the requested minimum."""

    top: tuple[tuple[str, float], ...]
    none: bool = False

    def to_dict(self) -> dict[str, Any]:
        values = {"top": [{"label": label, "probability": p} for label, p in self.top]}
        return {**values, "none": True} if self.none else values

    def line(self) -> str:
        text = "  ".join(f"{label} {p:.1%}" for label, p in self.top)
        return f"{NONE} ({text})" if self.none else text

    def rows(self) -> tuple[tuple[str, ...], ...]:
        if self.none:
            return (("0", NONE, ""),)
        return tuple((str(rank), label, f"{p:.6f}") for rank, (label, p) in enumerate(self.top, 1))


@dataclass(frozen=True, slots=True)
class Classify(Task):
    """Single-label classification."""

    name: ClassVar[str] = "classify"
    score: ClassVar[str] = "top1"
    columns: ClassVar[tuple[str, ...]] = ("rank", "label", "probability")
    confidence: ClassVar[bool] = True

    noisy_labels: Annotated[bool, "many labels are wrong: use a loss that is robust to them."] = False
    class_weight: Annotated[
        tuple[str, ...],
        "NAME=WEIGHT: the weight of a class in the loss, others have 1 (roses=2 tulips=0.5).",
    ] = ()

    def __post_init__(self) -> None:
        _ = self.named_weights

    @property
    def named_weights(self) -> dict[str, float]:
        """Return the weight of each class named in `class_weight`; raises `UsageError`."""
        weights: dict[str, float] = {}
        for text in self.class_weight:
            name, _, number = text.rpartition("=")
            if not name or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", number) or not LIGHTEST <= float(number) <= HEAVIEST:
                rule = f"must be NAME=WEIGHT with a weight from {LIGHTEST:g} to {HEAVIEST:g}, such as roses=2"
                raise UsageError(f"class_weight (={text!r}) {rule}")
            if name in weights:
                raise UsageError(f"class_weight (={text!r}) must name {name} once")
            weights[name] = float(number)
        return weights

    def for_training(self, dataset: Dataset) -> Dataset:
        for name in self.named_weights:
            if name not in dataset.labels:
                raise UsageError(f"class_weight: {name!r} is not one of the classes: {listed(dataset.labels, 10)}")
        return dataset

    def weights(self, targets: Array, labels: Sequence[str], balance: str) -> Floats | None:
        """Return class weights (classes,) float32 with mean 1 over `targets`, or None if all are equal.

        Weights of `class_weight` multiply those of `balance` "loss".
        """
        if not self.class_weight and balance != "loss":
            return None
        given = np.array([self.named_weights.get(label, 1.0) for label in labels])
        weight = given * class_weights(targets, len(labels)) if balance == "loss" else given
        return np.asarray(weight / weight[targets].mean(), np.float32)

    def objective(
        self, targets: Array, network: Network, dataset: Dataset, options: TrainingOptions, device: torch.device
    ) -> Objective:
        import torch

        counts = self.weights(targets, dataset.labels, options.balance)
        weight = None if counts is None else torch.from_numpy(counts).to(device)
        if not self.noisy_labels:
            return Objective(cross_entropy(weight, options.smoothing))
        if options.smoothing:
            raise UsageError(f"smoothing (={options.smoothing}) must be 0 with noisy_labels")
        return Objective(generalised_cross_entropy(weight))

    def order(
        self, targets: Array, batch_size: int, options: TrainingOptions
    ) -> Callable[[np.random.Generator], Array] | None:
        return balanced(targets) if options.balance == "sample" else None

    def validate(self, outputs: Tensor, targets: Array, head_config: dict[str, Any]) -> tuple[float, float]:
        import torch
        from torch.nn import functional

        labels = torch.from_numpy(targets)
        return float((outputs.argmax(1) == labels).float().mean()), float(functional.cross_entropy(outputs, labels))

    def evaluate(
        self, outputs: Array, images: Images, labels: tuple[str, ...], head_config: dict[str, Any]
    ) -> Evaluation:
        return evaluate_probabilities(outputs, images.targets, labels, images.names)

    def prediction(
        self, output: Array, labels: tuple[str, ...], head_config: dict[str, Any], top: int, least: float | None = None
    ) -> Top:
        none = least is not None and bool(output.max() < least)
        return Top(tuple((labels[i], float(output[i])) for i in best(output, top)), none)


def best(output: Array, top: int) -> Array:
    """Return the indices of the `top` largest numbers, the largest first, equal ones by index."""
    if top < len(output):
        likely = np.flatnonzero(output >= np.partition(output, -top)[-top])
        return np.asarray(likely[np.argsort(-output[likely], kind="stable")][:top])
    return np.asarray(np.argsort(-output, kind="stable"))


def class_weights(targets: Array, classes: int) -> Floats:
    """Return weights (classes,) float32, inverse to the class frequencies in `targets`, with mean 1 over `targets`."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return np.asarray(len(targets) / (classes * counts), np.float32)


def generalised_cross_entropy(weight: Tensor | None) -> Loss:
    """Return the generalised cross-entropy: the mean of (1 - p^q) / q over the label probabilities p, with q = 0.7.

    It is Equation 6 of Zhang and Sabuncu (2018): the cross-entropy for q -> 0, the mean absolute error for q = 1.
    Labels that the network considers unlikely have smaller gradients, since they may be wrong.
    """
    from torch.nn import functional

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        log_p = -functional.cross_entropy(logits, target, reduction="none")
        value = (1 - (Q * log_p).exp()) / Q
        return (value if weight is None else value * weight[target]).mean()

    return loss


def cross_entropy(weight: Tensor | None, smoothing: float) -> Loss:
    """Return the mean cross-entropy of logits (N, classes) and class indices (N,), with class weights `weight`."""
    from torch.nn import functional

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        # divided by N, not by the sum of the weights, so that the losses of parts of a batch add up
        value = functional.cross_entropy(logits, target, weight, reduction="sum", label_smoothing=smoothing)
        return value / len(target)

    return loss

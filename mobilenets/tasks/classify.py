"""Classification: one class of several. Its figures are in `evaluation.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ..arch.network import Network
from ..data.cache import Images
from ..errors import UsageError
from .evaluation import Evaluation, evaluate_probabilities
from .targets import balanced
from .task import Array, Loss, Objective, Task, Wishes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Classify", "Top", "class_weights", "cross_entropy", "generalised_cross_entropy"]

Q = 0.7  # of the generalised cross-entropy: what its authors chose for all data sets


NONE = "none of these"


@dataclass(frozen=True, slots=True)
class Top:
    """Labels with probabilities, best first. `none`: even the best is below the least confidence that was asked for."""

    top: tuple[tuple[str, float], ...]
    none: bool = False

    def to_dict(self) -> dict[str, Any]:
        told = {"top": [{"label": label, "probability": p} for label, p in self.top]}
        return {**told, "none": True} if self.none else told

    def line(self) -> str:
        told = "  ".join(f"{label} {p:.1%}" for label, p in self.top)
        return f"{NONE} ({told})" if self.none else told

    def rows(self) -> tuple[tuple[str, ...], ...]:
        if self.none:
            return (("0", NONE, ""),)
        return tuple((str(rank), label, f"{p:.6f}") for rank, (label, p) in enumerate(self.top, 1))


@dataclass(frozen=True, slots=True)
class Classify(Task):
    """Which of the classes an image shows."""

    name: ClassVar[str] = "classify"
    score: ClassVar[str] = "top1"
    columns: ClassVar[tuple[str, ...]] = ("rank", "label", "probability")

    noisy_labels: Annotated[bool, "many labels are wrong: a loss that believes unlikely ones less."] = False

    def objective(
        self, targets: Array, network: Network, decoding: dict[str, Any], wishes: Wishes, device: torch.device
    ) -> Objective:
        weight = class_weights(targets, network.classes, device) if wishes.balance == "loss" else None
        if not self.noisy_labels:
            return Objective(cross_entropy(weight, wishes.smoothing))
        if wishes.smoothing:
            raise UsageError(f"smoothing (={wishes.smoothing}) must be 0 with noisy_labels, whose loss has its own")
        return Objective(generalised_cross_entropy(weight))

    def order(self, targets: Array, batch_size: int, wishes: Wishes) -> Callable[[np.random.Generator], Array] | None:
        return balanced(targets) if wishes.balance == "sample" else None

    def validate(self, outputs: Tensor, targets: Array, decoding: dict[str, Any]) -> tuple[float, float]:
        import torch
        from torch.nn import functional

        labels = torch.from_numpy(targets)
        return float((outputs.argmax(1) == labels).float().mean()), float(functional.cross_entropy(outputs, labels))

    def evaluate(self, outputs: Array, images: Images, labels: tuple[str, ...], decoding: dict[str, Any]) -> Evaluation:
        return evaluate_probabilities(outputs, images.targets, labels, images.names)

    def answer(self, output: Array, labels: tuple[str, ...], decoding: dict[str, Any], top: int) -> Top:
        best = np.argsort(-output, kind="stable")[:top]
        return Top(tuple((labels[i], float(output[i])) for i in best))


def class_weights(targets: Array, classes: int, device: torch.device) -> Tensor:
    """(classes,): with them each class counts the same however many of `targets` it has; their mean over these is 1."""
    import torch

    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return torch.from_numpy((len(targets) / (classes * counts)).astype(np.float32)).to(device)


def generalised_cross_entropy(weight: Tensor | None) -> Loss:
    """Mean of (1 - p^q) / q over the probabilities p of the labels (Zhang, Sabuncu 2018, equation 6), q = 0.7.

    For q near 0 it is the cross-entropy, at 1 the absolute error: an image whose label the network holds for unlikely
    pulls less, as it may be the label that is wrong.
    """
    from torch.nn import functional

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        log_p = -functional.cross_entropy(logits, target, reduction="none")
        value = (1 - (Q * log_p).exp()) / Q
        return (value if weight is None else value * weight[target]).mean()

    return loss


def cross_entropy(weight: Tensor | None, smoothing: float) -> Loss:
    """Mean cross-entropy of logits (N, classes) and class indices (N,), each class weighed by `weight`."""
    from torch.nn import functional

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        # dividing by N, not by the summed weights: shares of a batch then add up to the batch
        value = functional.cross_entropy(logits, target, weight, reduction="sum", label_smoothing=smoothing)
        return value / len(target)

    return loss

"""Classification: its loss. Its metrics are in `evaluation.py`, its decoding (top-k) in `runtime/predict.py`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["cross_entropy"]


def cross_entropy(
    labels: np.ndarray[Any, np.dtype[np.int64]], classes: int, smoothing: float, weighted: bool, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean cross-entropy of logits (N, classes) and labels (N,).

    `weighted`: each class counts the same however many of `labels` it has (weights n / (classes * count), mean 1).
    """
    weight = None
    if weighted:
        counts = np.maximum(np.bincount(labels, minlength=classes), 1)
        weight = torch.from_numpy((len(labels) / (classes * counts)).astype(np.float32)).to(device)

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        # dividing by N, not by the summed weights: shares of a batch then add up to the batch
        value = nn.functional.cross_entropy(logits, target, weight, reduction="sum", label_smoothing=smoothing)
        return value / len(target)

    return loss

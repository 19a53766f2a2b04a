"""Does the exported network say what the trained one says? Asked at every export."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..errors import ParityError
from ..image import normalise
from ..model import Model
from .module import MobileNet, load_weights

__all__ = ["BOUND", "check_parity"]

BOUND = 1e-4  # of the largest logit: fp32 sums in another order stay a factor ten below it

Logits = np.ndarray[Any, np.dtype[np.float32]]


def check_parity(model: Model, run: Callable[[np.ndarray[Any, np.dtype[np.uint8]]], Logits]) -> float:
    """Largest difference between `run` ((N, H, W, C) uint8 -> logits) and torch, relative to the largest logit.

    On noise, black, white and a ramp. `ParityError` above `BOUND`.
    """
    images = _probes(model)
    module = MobileNet(model.graph).eval()
    load_weights(module, model.weights)
    with torch.no_grad():
        expected = module(torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)).numpy()
    difference = float(np.abs(run(images) - expected).max() / max(np.abs(expected).max(), 1e-6))
    if not difference <= BOUND:
        raise ParityError(
            f"exported logits differ from torch's by {difference:.1e} of the largest, must be <= {BOUND:g}"
        )
    return difference


def _probes(model: Model) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shape = (model.preprocess.height, model.preprocess.width, model.preprocess.channels)
    noise = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    ramp = np.linspace(0, 255, int(np.prod(shape))).astype(np.uint8).reshape(1, *shape)
    flat = [np.full((1, *shape), value, np.uint8) for value in (0, 255)]
    return np.concatenate([noise, ramp, *flat])

"""Comparison of two runtimes on one network, made whenever one form is converted to another."""

from collections.abc import Callable

import numpy as np

from ..arrays import Floats
from ..errors import ParityError
from ..image import Pixels, Preprocess

__all__ = ["BOUND", "agree"]

BOUND = 1e-4  # of the largest logit: fp32 sums in another order differ ten times less

Run = Callable[[Pixels], Floats]  # (N, H, W, C) uint8 -> (N, classes)


def agree(run: Run, reference: Run, preprocess: Preprocess, what: str, bound: float = BOUND) -> float:
    """Return the largest difference between the logits of `run` and of `reference`, relative to the largest logit.

    The inputs are noise, black, white and a ramp. Raises `ParityError` above `bound`; `what` names the two.
    """
    images = _probes(preprocess)
    expected = reference(images)
    difference = float(np.abs(run(images) - expected).max() / max(np.abs(expected).max(), 1e-6))
    if not difference <= bound:
        raise ParityError(f"{what} by {difference:.1e} of the largest, must be <= {bound:g}")
    return difference


def _probes(preprocess: Preprocess) -> Pixels:
    shape = (preprocess.height, preprocess.width, preprocess.channels)
    noise = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    ramp = np.linspace(0, 255, int(np.prod(shape))).astype(np.uint8).reshape(1, *shape)
    flat = [np.full((1, *shape), value, np.uint8) for value in (0, 255)]
    return np.concatenate([noise, ramp, *flat])

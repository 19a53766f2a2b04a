"""The int8 side of a benchmark: the integers that all runtimes get, and how many of their logits are not the law's."""

from dataclasses import dataclass

import numpy as np

from ..image import Pixels
from ..model import Model
from ..quant import reference
from ..quant.scheme import Floats, QuantModel
from ..runtime.activations import min_max_integers

__all__ = ["Law", "integers_of", "law_of"]

COUNTED = 4  # images; the oracle takes a second for one of 1.0-224
CALIBRATED = 16  # images


@dataclass(frozen=True, slots=True)
class Law:
    """An int8 network, and the logits that quant/reference.py has for the first images."""

    model: QuantModel
    logits: Floats  # (COUNTED, classes)

    def differing(self, logits: Floats) -> tuple[int, int]:
        """How many of the logits of the first images are other integers, and of how many."""
        apart = np.abs(logits[: len(self.logits)] - self.logits) > self.model.activations["fc"].scale / 2
        return int(apart.sum()), apart.size


def law_of(model: QuantModel, images: Pixels) -> Law:
    return Law(model, model.activations["fc"].real(reference.run(model, images[:COUNTED])))


def integers_of(model: Model | QuantModel, images: Pixels, source: str) -> tuple[QuantModel, str]:
    """The model's own, else made here of `images` from `source`; and which of the two."""
    if isinstance(model, QuantModel):
        return model, "the model's own integers"
    seen = images[:CALIBRATED]
    made = f"made here, ranges from the smallest to the largest value of {len(seen)} images"
    return min_max_integers(model, seen), f"{made} ({source}): to be timed, not to be used"

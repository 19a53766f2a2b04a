"""The int8 model that all runtimes of a benchmark get, and a count of the logits that differ from the oracle's."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..image import Pixels
from ..model import Model
from ..quant import reference
from ..quant.scheme import QuantModel
from ..runtime.activations import min_max_integers

__all__ = ["Int8Reference", "int8_model", "int8_reference"]

COUNTED = 4  # images; the oracle takes a second for one of 1.0-224
CALIBRATED = 16  # images


@dataclass(frozen=True, slots=True)
class Int8Reference:
    """An int8 network, and the logits of `quant/reference.py` for the first images."""

    model: QuantModel
    logits: Floats  # (COUNTED, classes)

    def differing(self, logits: Floats) -> tuple[int, int]:
        """Return the number of logits of the first images that differ by a step or more, and the number compared."""
        apart = np.abs(logits[: len(self.logits)] - self.logits) > self.model.activations["fc"].scale / 2
        return int(apart.sum()), apart.size


def int8_reference(model: QuantModel, images: Pixels) -> Int8Reference:
    """Return the oracle's logits for the first images."""
    return Int8Reference(model, model.activations["fc"].real(reference.run(model, images[:COUNTED])))


def int8_model(model: Model | QuantModel, images: Pixels, source: str) -> tuple[QuantModel, str]:
    """The model's own, else made here of `images` from `source`; and which of the two."""
    if model.precision == "int8":
        return model, "the model's own integers"
    seen = images[:CALIBRATED]
    made = f"made here, ranges from the smallest to the largest value of {len(seen)} images"
    return min_max_integers(model, seen), f"{made} ({source}): to be timed, not to be used"

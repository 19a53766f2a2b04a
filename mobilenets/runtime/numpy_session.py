"""An int8 network in numpy, where no C compiler is at hand: slow, and right to the last bit."""

from typing import Any

import numpy as np

from ..image import Pixels
from ..quant import reference
from ..quant.scheme import QuantModel

__all__ = ["NumpySession"]

Floats = np.ndarray[Any, np.dtype[np.float32]]


class NumpySession:
    """A `Runner` of `quant/reference.py`."""

    threads = 1
    runtime = "numpy, int8"

    def __init__(self, model: QuantModel) -> None:
        self.model = model
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.decoding = model.task, model.decoding

    def run(self, images: Pixels) -> Floats:
        """(N, H, W, C) uint8 -> probabilities or embeddings (N, classes) float32."""
        return reference.outputs(self.model, reference.run(self.model, images))

    def logits(self, images: Pixels) -> Floats:
        """(N, H, W, C) uint8 -> logits (N, classes) float32."""
        return self.model.activations["fc"].real(reference.run(self.model, images))

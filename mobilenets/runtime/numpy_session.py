"""An int8 network in numpy, where no C compiler is at hand: slow, and right to the last bit."""

from typing import Any

import numpy as np

from ..quant import reference
from ..quant.scheme import QuantModel
from .images import Images, pixels_of

__all__ = ["NumpySession"]

Floats = np.ndarray[Any, np.dtype[np.float32]]


class NumpySession:
    """A `Runner` of `quant/reference.py`."""

    threads = 1
    runtime = "numpy, int8"

    def __init__(self, model: QuantModel) -> None:
        self.model = model
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.head_config = model.task, model.head_config

    def __repr__(self) -> str:
        return f"NumpySession({self.name}, {self.task}, {len(self.labels)} labels, {self.runtime})"

    def run(self, images: Images) -> Floats:
        """Images as in `pixels_of` -> probabilities or embeddings (N, classes) float32."""
        return reference.outputs(self.model, reference.run(self.model, pixels_of(images, self.preprocess)))

    def logits(self, images: Images) -> Floats:
        """Images as in `pixels_of` -> logits (N, classes) float32."""
        return self.model.activations["fc"].real(reference.run(self.model, pixels_of(images, self.preprocess)))

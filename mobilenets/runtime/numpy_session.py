"""An int8 network in numpy, where no C compiler is at hand: slow, and right to the last bit."""

from ..arrays import Floats
from ..quant import reference
from ..quant.scheme import QuantModel
from .images import Images, pixels_of

__all__ = ["NumpySession"]


class NumpySession:
    """A `Runner` that computes with `quant/reference.py`."""

    threads = 1
    runtime = "numpy, int8"

    def __init__(self, model: QuantModel) -> None:
        self.model = model
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.head_config = model.task, model.head_config

    def __repr__(self) -> str:
        return f"NumpySession({self.name}, {self.task}, {len(self.labels)} labels, {self.runtime})"

    def run(self, images: Images) -> Floats:
        """Return probabilities or embeddings (N, classes) float32 of images as in `pixels_of`."""
        return reference.outputs(self.model, reference.run(self.model, pixels_of(images, self.preprocess)))

    def logits(self, images: Images) -> Floats:
        """Return logits (N, classes) float32 of images as in `pixels_of`."""
        return self.model.activations["fc"].real(reference.run(self.model, pixels_of(images, self.preprocess)))

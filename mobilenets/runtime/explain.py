"""Where a classifier looks: class activation maps, exact for a network that ends in a mean and one linear layer."""

from ..arch.layers import layers
from ..arrays import Floats
from ..errors import UsageError
from ..image import Pixels, Preprocess, centre_box
from ..model import Model
from .activations import open_activations

__all__ = ["Explainer", "view_box"]


class Explainer:
    """Computes class activation maps of a float classifier (Zhou et al. 2016, equation 2).

    The classifier is linear in the mean of the last feature maps, so that the mean of a class's map over all positions
    is the class's logit: no gradient is needed and nothing is approximated. Raises `UsageError` for a model of another
    task.
    """

    def __init__(self, model: Model) -> None:
        if model.task != "classify":
            raise UsageError(f"maps of classes are of classifiers, and the model's task is {model.task}")
        self.name, self.preprocess, self.labels = model.name, model.preprocess, model.labels
        self._run = open_activations(model)
        found = layers(model.graph)
        (pool,) = (layer for layer in found if layer.name == "pool")
        self._last = found[pool.sources[0]].name
        self._weight, self._bias = (model.weights[f"fc.{name}"] for name in ("weight", "bias"))

    def __repr__(self) -> str:
        return f"Explainer({self.name}, {len(self.labels)} labels)"

    def maps(self, images: Pixels) -> Floats:
        """Return what each place adds to each class: (N, H, W, C) uint8 -> (N, H / 32, W / 32, classes) float32.

        `images` are as `image.prepare` makes them. The mean over the places is the logit.
        """
        maps: Floats = self._run(images)[self._last] @ self._weight.T + self._bias
        return maps


def view_box(width: int, height: int, preprocess: Preprocess) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of what the network's input covers, in pixels of the image.

    A letterboxed image is covered with its bars, so that the box leads outside the image.
    """
    if preprocess.fit != "letterbox":
        return centre_box(width, height, preprocess)
    scale = max(width / preprocess.width, height / preprocess.height)
    w, h = preprocess.width * scale, preprocess.height * scale
    return (width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2

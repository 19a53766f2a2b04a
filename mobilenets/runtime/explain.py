"""Where a classifier looks: class activation maps, whose mean over the places is the logit."""

import numpy as np

from ..arch.fold import Arrays, fold_batch_norm
from ..arch.ops import OPS
from ..arrays import Floats
from ..errors import UsageError
from ..image import Pixels, Preprocess, centre_box
from ..model import Model
from ..quant.scheme import integer_layers
from .activations import open_activations

__all__ = ["Explainer", "view_box"]


class Explainer:
    """Computes class activation maps of a float classifier (Zhou et al. 2016, equation 2).

    Where the classifier is linear in the mean of the last feature maps, nothing is approximated: the mean of a class's
    map over all positions is the class's logit. Behind the hidden layer of V3 and V4 it is linear once each hidden unit
    keeps the ratio of output to input that it has for the image, and the mean remains the logit. Raises `UsageError`
    for a model of another task.
    """

    def __init__(self, model: Model) -> None:
        if model.task != "classify":
            raise UsageError(f"maps of classes are of classifiers, and the model's task is {model.task}")
        self.name, self.preprocess, self.labels = model.name, model.preprocess, model.labels
        self._run = open_activations(model)
        graph, weights = fold_batch_norm(model.graph, model.weights)
        found = integer_layers(graph)
        names = [layer.name for layer in found]
        pool, fc = names.index("pool"), names.index("fc")
        self._last = names[found[pool].sources[0] - 1]
        self._weight, self._bias = _linear(weights, "fc")
        self._hidden = []  # weights, bias, and the layer with the output behind the activation
        for name, after in zip(names[pool + 1 : fc], found[pool + 2 :], strict=False):
            if f"{name}.weight" in weights:
                activated = OPS[after.op.kind].role == "activation"
                self._hidden.append((*_linear(weights, name), after.name if activated else name))

    def __repr__(self) -> str:
        return f"Explainer({self.name}, {len(self.labels)} labels)"

    def maps(self, images: Pixels) -> Floats:
        """Return what each place adds to each class: (N, H, W, C) uint8 -> (N, H / 32, W / 32, classes) float32.

        `images` are as `image.prepare` makes them. The mean over the places is the logit.
        """
        found = self._run(images)
        maps = found[self._last]
        for weight, bias, output in self._hidden:
            maps = maps @ weight + bias
            before = maps.mean((1, 2), keepdims=True)
            maps = maps * np.divide(found[output], before, out=np.zeros_like(before), where=before != 0)
        result: Floats = maps @ self._weight + self._bias
        return result


def _linear(weights: Arrays, name: str) -> tuple[Floats, Floats]:
    """Return the (inputs, outputs) matrix and the bias of a layer that is linear in the channels of one place."""
    weight = weights[f"{name}.weight"]
    return weight.reshape(len(weight), -1).T, weights[f"{name}.bias"]


def view_box(width: int, height: int, preprocess: Preprocess) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of what the network's input covers, in pixels of the image.

    A letterboxed image is covered with its bars, so that the box leads outside the image.
    """
    if preprocess.fit != "letterbox":
        return centre_box(width, height, preprocess)
    scale = max(width / preprocess.width, height / preprocess.height)
    w, h = preprocess.width * scale, preprocess.height * scale
    return (width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2

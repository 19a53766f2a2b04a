"""The classifier's outputs, and the labels that name them."""

import numpy as np

from ..arrays import Floats
from ..data.imagenet import names as imagenet_names
from ..errors import ModelFileError, UsageError
from .layers import Content, FileLayer, weight

__all__ = ["classifier_arrays", "label_outputs", "two_classes"]

Labelled = tuple[tuple[str, ...], slice, list[tuple[str, str, str]]]
_LOGIT = "2: the one logit z is that of class 1, class 0 has 0: their softmax is the sigmoid of z"


def two_classes(layer: FileLayer, content: Content) -> FileLayer:
    """Return the classifier with at least two outputs: one logit z becomes (0, z), whose softmax is the sigmoid of z.

    Raises `ModelFileError` for a softmax of one output, which is always 1, and for sigmoids of several outputs, which
    are not exclusive classes.
    """
    outputs = len(weight(layer))
    if content.network is not None:  # which states its outputs
        return layer
    if content.ends == "sigmoid" and outputs > 1:
        raise ModelFileError(
            f"{layer.name}: sigmoids of {outputs} outputs, of which any number may be true: a classifier has a softmax"
        )
    if outputs > 1:
        return layer
    if content.ends == "softmax":
        raise ModelFileError(f"{layer.name}: a softmax of one output is always 1: at least two classes are needed")
    return layer.with_zeros_first()


def label_outputs(content: Content, given: tuple[str, ...] | None, layer: FileLayer) -> Labelled:
    """Return the labels, the outputs that they name, and the facts of both as (name, value, source).

    1001 outputs are ImageNet's classes after a background class (TF-slim): it is dropped, unless 1001 labels are given
    whose first is not 'background'. Outputs without names are labelled with their numbers. Raises `UsageError` for
    another number of labels than classes.
    """
    facts: list[tuple[str, str, str]] = []
    outputs, logits = len(weight(two_classes(layer, content))), len(weight(layer))
    labels, source = (given, "you") if given else (content.labels, "the file")
    background = outputs == 1001 and (
        labels is None or len(labels) == 1000 or labels[0].strip().lower() in ("background", "dummy")
    )
    if outputs > logits:
        facts.append(("outputs", _LOGIT, "the one output"))
    kept = slice(1, None) if background else slice(None)
    if labels is not None and background and len(labels) == outputs:
        labels = labels[1:]
    if background:
        facts.append(("outputs", "1000: output 0 of 1001, the background, is dropped", "convention of TF-slim"))
    classes = outputs - background
    if labels is not None and source == "the file" and _are_imagenets(labels):
        labels, source = imagenet_names(), "the file: ImageNet's classes in their usual order"
    if labels is None and classes == 1000:
        labels, source = imagenet_names(), "ImageNet's classes in their usual order"
    if labels is None:
        labels, source = tuple(map(str, range(classes))), "none: numbers (--labels FILE names them)"
    if len(labels) != classes:
        raise UsageError(f"{len(labels)} labels for a network of {classes} classes")
    facts.append(("labels", f"{classes}: {', '.join(labels[:3])}" + (", ..." if classes > 3 else ""), source))
    return tuple(labels), kept, facts


def _are_imagenets(labels: tuple[str, ...]) -> bool:
    """Return whether a file's labels, with several names per class, are this package's ImageNet labels."""
    names = imagenet_names()
    same = sum(label.split(",")[0].strip().lower() == name.lower() for label, name in zip(labels, names, strict=False))
    return len(labels) == len(names) and same > 0.95 * len(names)


def classifier_arrays(layer: FileLayer, kept: slice) -> dict[str, Floats]:
    """Return the arrays of the classifier under this package's names."""
    matrix = weight(layer).reshape(weight(layer).shape[:2])
    bias = np.zeros(len(matrix), np.float32) if layer.bias is None else layer.bias
    if bias.shape != (len(matrix),):
        raise ModelFileError(f"{layer.name}: a bias of shape {bias.shape} for {len(matrix)} outputs")
    return {
        "fc.weight": np.ascontiguousarray(matrix[kept], np.float32),
        "fc.bias": np.ascontiguousarray(bias[kept], np.float32),
    }

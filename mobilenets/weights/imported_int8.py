"""int8 networks of third-party files: their own weights, biases, scales and zero points, unchanged."""

from dataclasses import replace

import numpy as np

from ..arch.ops import CONVOLUTIONS
from ..arrays import Floats
from ..errors import ModelFileError
from ..model import Model
from ..quant.scheme import IntegerLayer, QuantModel, QuantParams
from .head import two_classes
from .layers import Content, FileLayer
from .skeleton import assemble

__all__ = ["has_integers", "keep_integers"]

# LiteRT pools uint8 in its own kernel, which rounds halves up; this package rounds them to even. A scale that is
# smaller by this factor after the pool lifts exact halves, and nothing else (no q is below the zero point there)
HALVES_UP = 1 - 2**-20


def has_integers(content: Content) -> bool:
    """Return whether the file takes integers, and every layer with weights has them."""
    weighted = [layer for layer in content.layers if layer.weight is not None]
    return content.image is not None and all(layer.integers and layer.gives for layer in weighted)


def keep_integers(content: Content, model: Model) -> QuantModel:
    """Return the int8 model of `content`; `model` is the result of `recognise`.

    Raises `ModelFileError` naming the first layer without integers.
    """
    if content.image is None:
        raise ModelFileError("its input are no integers: import it without --int8, then quantize it")
    skeleton = assemble(content.layers)
    classifier = skeleton.classifier
    assert classifier is not None
    pools = {layer.gives for layer in content.layers if layer.kind == "pool" and layer.gives is not None}
    if len(pools) > 1:
        raise ModelFileError("one file gives other integers than the next one takes")
    body = iter(skeleton.body)
    before = pooled = content.image
    activations: dict[str, QuantParams] = {"image": before}
    layers: dict[str, IntegerLayer] = {}
    for op in model.graph.ops:
        if op.kind == "global_average_pool":
            activations[op.name], pooled = pools.pop() if pools else before, before
        elif op.kind in (*CONVOLUTIONS, "fully_connected"):
            layer = two_classes(classifier, content) if op.kind == "fully_connected" else next(body)
            layers[op.name], before = _integers(layer)
            activations[op.name] = before
    layers["fc"] = _last(layers["fc"], model.network.classes)
    pool = activations["pool"]
    if content.format.endswith("uint8") and pool == pooled:  # another scale is one that was lifted before
        activations["pool"] = QuantParams(pool.scale * HALVES_UP, pool.zero_point)
        layers["fc"] = replace(layers["fc"], scale=_same_products(layers["fc"].scale, pool, activations["pool"]))
    return QuantModel(
        model.network,
        activations,
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.head_config,
        data=model.data,
    )


def _integers(layer: FileLayer) -> tuple[IntegerLayer, QuantParams]:
    if layer.integers is None or layer.gives is None:
        raise ModelFileError(f"{layer.name} has no integers to keep: import it without --int8, then quantize it")
    return layer.integers, layer.gives


def _last(layer: IntegerLayer, outputs: int) -> IntegerLayer:
    """Return the classifier's last outputs, weight (out, in): the background class, which is dropped, is the first."""
    weight, first = layer.weight.reshape(layer.weight.shape[:2]), len(layer.weight) - outputs
    return replace(
        layer, weight=weight[first:].copy(), scale=layer.scale[first:].copy(), bias=layer.bias[first:].copy()
    )


def _same_products(scale: Floats, before: QuantParams, after: QuantParams) -> Floats:
    """Return `scale` for inputs of scale `after`, so that their products stay as close as possible."""
    wanted = np.float32(before.scale) * scale
    guess = (wanted / np.float64(after.scale)).astype(np.float32)
    tries = np.stack([guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(1))])
    misses = np.abs(np.float32(after.scale) * tries - wanted)
    chosen: Floats = np.take_along_axis(tries, misses.argmin(axis=0)[None], axis=0)[0]
    return chosen

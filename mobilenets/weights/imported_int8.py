"""int8 networks of third-party files: their own weights, biases, scales and zero points, unchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..arch.layers import Layer
from ..arch.ops import OPS
from ..arrays import Floats
from ..errors import ModelFileError
from ..model import Model
from ..quant.elementwise import lifted
from ..quant.scheme import IntegerLayer, QuantModel, QuantParams, integer_layers
from .head import two_classes
from .layers import Content, FileLayer
from .skeleton import assemble

__all__ = ["has_integers", "keep_integers"]


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
    if len({layer.gives for layer in content.layers[-3:] if layer.kind == "pool" and layer.gives is not None}) > 1:
        raise ModelFileError("one file gives other integers than the next one takes")
    found = assemble(content.layers, stated=content.network).layers
    taken = {**found, "fc": two_classes(found["fc"], content)}
    tables = {f"{name}_act": file.table for name, file in taken.items() if file.table is not None}
    activations: dict[str, QuantParams] = {"image": content.image}
    layers: dict[str, IntegerLayer] = {}
    names = ["image"]
    for layer in integer_layers(model.graph, tables):
        before = activations[names[layer.sources[0]]]
        activations[layer.name] = _params(layer, taken, before)
        if (file := taken.get(layer.name)) is not None and file.weight is not None:
            layers[layer.name] = _integers(file, layer, before)
        names.append(layer.name)
    layers["fc"] = _last(layers["fc"], model.network.classes)
    if content.format.endswith("uint8"):
        _lift_halves(integer_layers(model.graph, tables), activations, layers)
    return QuantModel(
        model.network,
        activations,
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.head_config,
        data=model.data,
        tables=tables,
    )


def _params(layer: Layer, taken: Mapping[str, FileLayer], before: QuantParams) -> QuantParams:
    """Return the parameters of what an integer layer gives; a pool has those of its input where the file has none."""
    if OPS[layer.op.kind].role == "activation":
        file = taken[layer.name.removesuffix("_act")]
        params = file.activated
    elif layer.op.kind == "global_average_pool" and layer.name not in taken:
        return before
    else:
        file = taken[layer.name]
        params = file.activated if layer.activation and layer.activation.kind == "hard_sigmoid" else file.gives
        if layer.op.kind == "global_average_pool":
            params = params or before
    if params is None:
        raise _lacking(file)
    return params


def _lacking(file: FileLayer) -> ModelFileError:
    return ModelFileError(f"{file.name} has no integers to keep: import it without --int8, then quantize it")


def _integers(file: FileLayer, layer: Layer, before: QuantParams) -> IntegerLayer:
    """Return the integers of a layer; a hard sigmoid's slope and offset become a part of them, as in the scheme."""
    if file.integers is None or file.gives is None:
        raise _lacking(file)
    if layer.activation is None or layer.activation.kind != "hard_sigmoid" or file.activated == file.gives:
        return file.integers  # the last: see `unfolded_gates`
    scale = file.integers.scale.astype(np.float64)
    offset = np.rint(3 / (before.scale * scale)).astype(np.int64)
    return replace(
        file.integers, scale=(scale / 6).astype(np.float32), bias=(file.integers.bias + offset).astype(np.int32)
    )


def _lift_halves(found: Sequence[Layer], activations: dict[str, QuantParams], layers: dict[str, IntegerLayer]) -> None:
    """Let each pool round halves up, as LiteRT's own kernel for uint8 does, and the layer after it make up for it."""
    names = ["image", *(layer.name for layer in found)]
    for layer in found:
        source = activations[names[layer.sources[0]]]
        if layer.op.kind == "global_average_pool" and activations[layer.name] == source:  # else lifted before
            activations[layer.name] = lifted(source)
            for after in found:
                if names[after.sources[0]] == layer.name:
                    layers[after.name] = _behind(layers[after.name], source, lifted(source))


def _behind(layer: IntegerLayer, before: QuantParams, after: QuantParams) -> IntegerLayer:
    """Return `layer` for inputs of parameters `after` that stand for the integers of `before`."""
    weights = layer.weight.astype(np.int64).reshape(len(layer.weight), -1) - layer.zero_point
    bias = layer.bias + (after.zero_point - before.zero_point) * weights.sum(axis=1)
    return replace(layer, scale=_same_products(layer.scale, before, after), bias=bias.astype(np.int32))


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

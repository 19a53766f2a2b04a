"""The config of a Keras model: its layers in execution order, nested models unrolled."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ModelFileError

__all__ = ["Config", "Step", "parse", "unroll"]

Config = Mapping[str, Any]

MODELS = ("Functional", "Model", "Sequential")
# as Keras 3 calls classes where it stores their arrays
_SNAKE_CASE = {
    "BatchNormalization": "batch_normalization",
    "Conv2D": "conv2d",
    "Dense": "dense",
    "DepthwiseConv2D": "depthwise_conv2d",
    "Functional": "functional",
    "Normalization": "normalization",
    "Sequential": "sequential",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One layer. `path` and `counted` lead to it through nested models: names, and (class, number of such
    before it).
    """

    kind: str  # Keras' class
    name: str
    config: Config
    operands: tuple[Any, ...]  # of arithmetic: what else than the layer before is handed to it
    path: tuple[str, ...]
    counted: tuple[tuple[str, int], ...]


def parse(text: str) -> Config:
    """Return the config in a file; raises `ModelFileError` where it is not a JSON object."""
    try:
        config = json.loads(text)
    except RecursionError as exc:
        raise ModelFileError("its config is JSON nested too deeply") from exc
    except ValueError as exc:
        raise ModelFileError(f"its config is not JSON: {exc}") from exc
    if not isinstance(config, dict) or config.get("class_name") not in MODELS:
        kind = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise ModelFileError(f"its config describes a {kind}: Functional and Sequential models are read")
    return config


def unroll(model: Config, path: tuple[str, ...] = (), counted: tuple[tuple[str, int], ...] = ()) -> Iterator[Step]:
    """Yield every layer of `model`; raises `ModelFileError` at the first that does not take the output of the one
    before.
    """
    config, before = model["config"], None
    counts: Counter[str] = Counter()
    for layer in config["layers"]:
        kind, name = layer["class_name"], layer["config"]["name"]
        _check_origin(layer, name)
        operands = () if model["class_name"] == "Sequential" else _operands(layer, before)
        where = (*path, name), (*counted, (_SNAKE_CASE.get(kind, kind), counts[kind]))
        counts[kind] += 1
        if kind in MODELS:
            yield from unroll(layer, *where)
        else:
            yield Step(kind, name, layer["config"], operands, *where)
        before = name
    outputs = config.get("output_layers")
    if outputs is not None and _names(outputs) != [before]:
        raise ModelFileError(f"its outputs are {_names(outputs)}: a MobileNet has one, its last layer's ({before})")


def _check_origin(layer: Config, name: str) -> None:
    """Raise `ModelFileError` for a custom class, which may have any name."""
    module, registered = layer.get("module") or "keras", layer.get("registered_name") or ""
    if module.split(".")[0] not in ("keras", "tf_keras") or ">" in registered:
        raise ModelFileError(f"{name} is a {registered or module}: a custom layer, whose code is never run")


def _operands(layer: Config, before: str | None) -> tuple[Any, ...]:
    """Return the arguments of a layer besides the output of `before`; raises `ModelFileError` for those of other
    layers.
    """
    name, nodes = layer["config"]["name"], layer["inbound_nodes"]
    if layer["class_name"] == "InputLayer" and before is None and not nodes:
        return ()
    taken = [argument for node in nodes for argument in _arguments(node)]
    sources = [argument for argument in taken if isinstance(argument, _Source)]
    if len(nodes) != 1 or sources != [before] or taken[0] != before:
        takes = " and ".join(map(str, sources)) or "nothing"
        raise ModelFileError(f"{name} takes {takes}, where {before} is before it: a MobileNet has no branches")
    return tuple(taken[1:])


class _Source(str):
    """The name of a layer whose output is an input."""


def _arguments(node: Any) -> Iterator[Any]:
    """Return the arguments of one call of a layer, in the spelling of Keras 2 and of Keras 3."""
    if isinstance(node, dict):
        for argument in node["args"]:
            tensor = isinstance(argument, dict | list)
            yield from map(_Source, _histories(argument)) if tensor else [argument]
        yield from map(_Source, _histories(node["kwargs"]))
        return
    for entry in [node] if isinstance(node[0], str) else node:  # name, node, tensor, keyword arguments
        yield _Source(entry[0])
        yield from (value for key, value in entry[3].items() if key not in ("name", "training", "mask"))


def _histories(value: Any) -> Iterator[str]:
    """Return the layers of all Keras 3 tensors in an argument."""
    if isinstance(value, list):
        for item in value:
            yield from _histories(item)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"][0]
    elif isinstance(value, dict):
        yield from _histories(list(value.values()))


def _names(layers: Any) -> list[str]:
    """Return the layers' names in ["a", 0, 0], [["a", 0, 0], ["b", 0, 0]] or {"x": ["a", 0, 0]}."""
    if isinstance(layers, dict):
        layers = list(layers.values())
    return [layers[0]] if isinstance(layers[0], str) else [entry[0] for entry in layers]

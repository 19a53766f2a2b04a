"""The config of a Keras model: its layers in execution order, nested models unrolled."""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
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
    takes: tuple[str, ...]  # keys of the steps whose outputs it takes; none: the image
    operands: tuple[Any, ...]  # of arithmetic: what else is handed to it
    keras3: bool  # spelled as by Keras 3
    path: tuple[str, ...]
    counted: tuple[tuple[str, int], ...]

    @property
    def key(self) -> str:
        """Return what no other step of the model is called."""
        return "/".join(self.path)


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


def unroll(model: Config) -> Iterator[Step]:
    """Yield every layer of `model`; raises `ModelFileError` at the first that takes what no layer before it gives."""
    yield from _unrolled(model, (), (), ())


def _unrolled(
    model: Config, path: tuple[str, ...], counted: tuple[tuple[str, int], ...], entry: tuple[str, ...]
) -> Generator[Step, None, str]:
    """Yield the layers of a model that takes `entry`; return the key of its output."""
    config, before = model["config"], None
    counts: Counter[str] = Counter()
    keys: dict[str | None, tuple[str, ...]] = {None: entry}  # of each layer's output
    for layer in config["layers"]:
        kind, name = layer["class_name"], layer["config"]["name"]
        _check_origin(layer, name)
        sequential = model["class_name"] == "Sequential"
        sources, operands = ([before], ()) if sequential else _operands(layer, before, keys)
        where = (*path, name), (*counted, (_SNAKE_CASE.get(kind, kind), counts[kind]))
        counts[kind] += 1
        takes = tuple(key for source in sources for key in keys[source])
        if kind in MODELS:
            keys[name] = ((yield from _unrolled(layer, *where, takes)),)
        else:
            modern = any(isinstance(node, dict) for node in layer.get("inbound_nodes", ()))
            step = Step(kind, name, layer["config"], takes, operands, modern, *where)
            yield step
            keys[name] = (step.key,)
        before = name
    outputs = config.get("output_layers")
    if outputs is not None and _names(outputs) != [before]:
        raise ModelFileError(f"its outputs are {_names(outputs)}: a MobileNet has one, its last layer's ({before})")
    return "".join(keys[before])


def _check_origin(layer: Config, name: str) -> None:
    """Raise `ModelFileError` for a custom class, which may have any name."""
    module, registered = layer.get("module") or "keras", layer.get("registered_name") or ""
    if module.split(".")[0] not in ("keras", "tf_keras") or ">" in registered:
        raise ModelFileError(f"{name} is a {registered or module}: a custom layer, whose code is never run")


def _operands(
    layer: Config, before: str | None, known: Mapping[str | None, object]
) -> tuple[list[str | None], tuple[Any, ...]]:
    """Return the layers whose outputs a layer takes, and its other arguments."""
    name, nodes = layer["config"]["name"], layer["inbound_nodes"]
    if layer["class_name"] == "InputLayer" and before is None and not nodes:
        return [None], ()
    taken = [argument for node in nodes for argument in _arguments(node)]
    sources: list[str | None] = [argument for argument in taken if isinstance(argument, _Source)]
    if len(nodes) != 1 or not isinstance(taken[0], _Source) or any(source not in known for source in sources):
        takes = " and ".join(map(str, sources)) or "nothing"
        raise ModelFileError(f"{name} takes {takes}, where {before} is before it")
    return sources, tuple(argument for argument in taken if not isinstance(argument, _Source))


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

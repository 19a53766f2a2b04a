"""Keras: a whole model as one `.h5`, with the layers and the names of keras.applications' MobileNet.

`keras.models.load_model` builds the network; its weights load into `keras.applications.MobileNet(weights=PATH)` where
that can build the same network. Input: float (N, H, W, C), normalised as the attribute `mobilenets_preprocess` says;
output: probabilities (N, classes). The config has the spelling of Keras 2, which Keras 3 reads as well.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arch.graph import same_padding
from ..arch.ops import Consumer, Op
from ..errors import MissingExtraError
from ..model import Model

__all__ = ["LAYERS", "to_keras_h5"]

DROPOUT = 0.001  # keras.applications'; it has no weights and does nothing at inference


@dataclass(frozen=True, slots=True)
class _Layer:
    """A Keras layer: its class, its config and its arrays in Keras' order and layout."""

    kind: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def _input(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer("InputLayer", "input_1", {"batch_input_shape": [None, *op.shape_out], "sparse": False})


def _convolution(model: Model, op: Op) -> Iterator[_Layer]:
    name, depthwise = _name(op.name), op.kind == "depthwise"
    top, left, bottom, right = op.padding
    padding = "valid"
    if _is_same(model, op):
        padding = "same"
    elif any(op.padding):
        pad = name.replace("_dw_", "_pad_") if depthwise else f"{name}_pad"
        yield _Layer("ZeroPadding2D", pad, {"padding": [[top, bottom], [left, right]]})
    config = {"kernel_size": [op.kernel] * 2, "strides": [op.stride] * 2, "padding": padding, "use_bias": False}
    kernel = model.weights[f"{op.name}.weight"]
    if depthwise:  # (channels, 1, k, k) -> (k, k, channels, 1)
        arrays = {"depthwise_kernel": kernel.transpose(2, 3, 0, 1)}
        yield _Layer("DepthwiseConv2D", name, {**config, "depth_multiplier": 1}, arrays)
    else:  # (out, in, k, k) -> (k, k, in, out)
        yield _Layer("Conv2D", name, {**config, "filters": op.shape_out[2]}, {"kernel": kernel.transpose(2, 3, 1, 0)})


def _is_same(model: Model, op: Op) -> bool:
    """Return whether Keras' own padding is the op's.

    The padding of the "keras" rule is written out at stride 2, so that it holds for every size.
    """
    if model.network.padding == "keras" and op.stride == 2:
        return False
    (top, bottom), (left, right) = (same_padding(side, op.kernel, op.stride) for side in op.shape_in[:2])
    return op.padding == (top, left, bottom, right)


def _batch_norm(model: Model, op: Op) -> Iterator[_Layer]:
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    arrays = {ours: model.weights[f"{op.name}.{theirs}"] for ours, theirs in names.items()}
    config = {"axis": -1, "epsilon": model.network.epsilon, "center": True, "scale": True}
    yield _Layer("BatchNormalization", _name(op.name), config, arrays)


def _activation(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer("ReLU", _name(op.name), {"max_value": 6.0 if op.kind == "relu6" else None})


def _pool(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer("GlobalAveragePooling2D", "global_average_pooling2d", {"keepdims": True})
    yield _Layer("Dropout", "dropout", {"rate": DROPOUT})


def _classifier(model: Model, op: Op) -> Iterator[_Layer]:
    config = {"filters": op.shape_out[2], "kernel_size": [1, 1], "strides": [1, 1], "padding": "same", "use_bias": True}
    kernel = model.weights[f"{op.name}.weight"].T[None, None]  # (out, in) -> (1, 1, in, out)
    yield _Layer("Conv2D", "conv_preds", config, {"kernel": kernel, "bias": model.weights[f"{op.name}.bias"]})
    yield _Layer("Reshape", "reshape_2", {"target_shape": [op.shape_out[2]]})


def _softmax(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer("Activation", "predictions", {"activation": "softmax"})


LAYERS: dict[str, Callable[[Model, Op], Iterator[_Layer]]] = {
    "input": _input,
    "conv": _convolution,
    "depthwise": _convolution,
    "pointwise": _convolution,
    "batch_norm": _batch_norm,
    "relu": _activation,
    "relu6": _activation,
    "global_average_pool": _pool,
    "fully_connected": _classifier,
    "softmax": _softmax,
}
KERAS = Consumer(
    "export to Keras", handles=LAYERS, refuses="sigmoid l2_normalise hard_swish hard_sigmoid add multiply".split()
)


def _name(name: str) -> str:
    """Return the Keras name: `conv0`, `dw1`, `pw1`, `conv1`, `head` -> `conv1`, `conv_dw_1`, `conv_pw_1`, `conv_1`,
    `conv_head`.
    """
    stem, _, suffix = name.partition("_")
    part, number = re.fullmatch(r"([a-z]+)(\d*)", stem).groups()  # type: ignore[union-attr]
    if part == "conv":
        keras = "conv1" if number == "0" else f"conv_{number}"
    else:
        keras = f"conv_{part}_{number}" if number else f"conv_{part}"
    return keras + {"": "", "bn": "_bn", "act": "_relu"}[suffix]


def to_keras_h5(model: Model) -> bytes:
    """Return the HDF5 file.

    Raises `MissingExtraError` where h5py is not installed, `NetworkError` for a network that is not written.
    """
    try:
        import h5py
    except ImportError as exc:
        raise MissingExtraError("h5py is not installed, and writing Keras files needs it", "weights") from exc
    KERAS.check(model.graph.ops)
    layers = [layer for op in model.graph.ops for layer in LAYERS[op.kind](model, op)]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["keras_version"] = "2.15.0"  # the last with Keras 2's spelling
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(_config(model, layers))
        file.attrs["mobilenets_network"] = model.network.to_json()
        file.attrs["mobilenets_preprocess"] = json.dumps(model.preprocess.to_dict())
        file.attrs["mobilenets_labels"] = json.dumps(list(model.labels))
        _write_weights(file.create_group("model_weights"), layers)
    return content.getvalue()


def _config(model: Model, layers: list[_Layer]) -> dict[str, Any]:
    """Return the config of a functional model in which every layer takes the output of the one before it."""
    before = [None, *(layer.name for layer in layers)]
    return {
        "class_name": "Functional",
        "config": {
            "name": f"mobilenet_{model.name}",
            "layers": [
                {
                    "class_name": layer.kind,
                    "name": layer.name,
                    "config": {"name": layer.name, "dtype": "float32", **layer.config},
                    "inbound_nodes": [[[source, 0, 0, {}]]] if source else [],
                }
                for source, layer in zip(before, layers, strict=False)
            ],
            "input_layers": [[layers[0].name, 0, 0]],
            "output_layers": [[layers[-1].name, 0, 0]],
        },
    }


def _write_weights(group: Any, layers: list[_Layer]) -> None:
    """Write one group per layer; Keras reads arrays in the order of the attributes, not by name."""
    group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
    group.attrs["keras_version"], group.attrs["backend"] = "2.15.0", "tensorflow"
    for layer in layers:
        names = [f"{layer.name}/{role}:0".encode() for role in layer.arrays]
        inner = group.create_group(layer.name)
        inner.attrs["weight_names"] = names if names else np.zeros(0, "S1")
        for name, array in zip(names, layer.arrays.values(), strict=True):
            inner.create_dataset(name, data=np.ascontiguousarray(array, np.float32))

"""Keras: a whole model as one `.h5`, with the layers and the names of keras.applications' MobileNet, V2 and V3.

`keras.models.load_model` builds the network; its weights load into `keras.applications.MobileNet(weights=PATH)` where
that can build the same network (V3 with `include_preprocessing=False`). Input: float (N, H, W, C), normalised as the
attribute `mobilenets_preprocess` says; output: probabilities (N, classes). The config has the spelling of Keras 2,
which Keras 3 reads as well; hard-swish needs Keras 3.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arch.graph import same_padding
from ..arch.ops import Consumer, Op
from ..errors import MissingExtraError
from ..model import PREFIX, Model, use_to_metadata
from .keras_names import keras_family, keras_name

__all__ = ["LAYERS", "to_keras_h5"]

DROPOUT = 0.001  # keras.applications'; it has no weights and does nothing at inference


@dataclass(frozen=True, slots=True)
class _Layer:
    """A Keras layer: its class, its config and its arrays in Keras' order and layout."""

    kind: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()  # names of the layers that it takes


def _input(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer("InputLayer", "input_1", {"batch_input_shape": [None, *op.shape_out], "sparse": False})


def _convolution(model: Model, op: Op) -> Iterator[_Layer]:
    name, depthwise = _name(model, op), op.kind == "depthwise"
    top, left, bottom, right = op.padding
    padding = "valid"
    if _is_same(model, op):
        padding = "same"
    elif any(op.padding):
        pad = name.replace("_dw_", "_pad_") if "_dw_" in name else f"{name}_pad"
        yield _Layer("ZeroPadding2D", pad, {"padding": [[top, bottom], [left, right]]})
    config = {"kernel_size": [op.kernel] * 2, "strides": [op.stride] * 2, "padding": padding, "use_bias": op.bias}
    bias = {"bias": model.weights[f"{op.name}.bias"]} if op.bias else {}
    kernel = model.weights[f"{op.name}.weight"]
    if depthwise:  # (channels, 1, k, k) -> (k, k, channels, 1)
        arrays = {"depthwise_kernel": kernel.transpose(2, 3, 0, 1), **bias}
        yield _Layer("DepthwiseConv2D", name, {**config, "depth_multiplier": 1}, arrays)
    else:  # (out, in, k, k) -> (k, k, in, out)
        arrays = {"kernel": kernel.transpose(2, 3, 1, 0), **bias}
        yield _Layer("Conv2D", name, {**config, "filters": op.shape_out[2]}, arrays)


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
    yield _Layer("BatchNormalization", _name(model, op), config, arrays)


def _activation(model: Model, op: Op) -> Iterator[_Layer]:
    name = _name(model, op)
    if op.kind == "hard_swish":
        yield _Layer("Activation", name, {"activation": "hard_swish"})
    else:
        yield _Layer("ReLU", name, {"max_value": 6.0 if op.kind == "relu6" else None})


def _hard_sigmoid(model: Model, op: Op) -> Iterator[_Layer]:
    """Yield relu6(x + 3) / 6: Keras 2 and 3 have different functions under the name hard_sigmoid."""
    name = _name(model, op)
    yield _Layer("Rescaling", f"{name}_add", {"scale": 1.0, "offset": 3.0})
    yield _Layer("ReLU", name, {"max_value": 6.0})
    yield _Layer("Rescaling", f"{name}_divide", {"scale": 1 / 6, "offset": 0.0})


def _of_two(model: Model, op: Op) -> Iterator[_Layer]:
    yield _Layer(op.kind.capitalize(), _name(model, op))


def _pool(model: Model, op: Op) -> Iterator[_Layer]:
    if op.name != "pool":  # of a gate
        yield _Layer("GlobalAveragePooling2D", _name(model, op), {"keepdims": True})
        return
    v2 = keras_family(model.network) == "v2"
    yield _Layer("GlobalAveragePooling2D", "global_average_pooling2d", {"keepdims": not v2})
    yield _Layer("Dropout", "dropout", {"rate": DROPOUT})


def _classifier(model: Model, op: Op) -> Iterator[_Layer]:
    outputs, family = op.shape_out[2], keras_family(model.network)
    kernel = model.weights[f"{op.name}.weight"].T  # (out, in) -> (in, out)
    arrays = {"kernel": kernel if family == "v2" else kernel[None, None], "bias": model.weights[f"{op.name}.bias"]}
    if family == "v2":
        yield _Layer("Dense", "predictions", {"units": outputs, "activation": "softmax", "use_bias": True}, arrays)
        return
    config = {"filters": outputs, "kernel_size": [1, 1], "strides": [1, 1], "padding": "same", "use_bias": True}
    yield _Layer("Conv2D", "logits" if family == "v3" else "conv_preds", config, arrays)
    yield _Layer("Reshape", "reshape_2", {"target_shape": [outputs]})


def _softmax(model: Model, op: Op) -> Iterator[_Layer]:
    if keras_family(model.network) != "v2":  # whose classifier has it
        yield _Layer("Activation", "predictions", {"activation": "softmax"})


LAYERS: dict[str, Callable[[Model, Op], Iterator[_Layer]]] = {
    "input": _input,
    "conv": _convolution,
    "depthwise": _convolution,
    "pointwise": _convolution,
    "batch_norm": _batch_norm,
    "relu": _activation,
    "relu6": _activation,
    "hard_swish": _activation,
    "hard_sigmoid": _hard_sigmoid,
    "add": _of_two,
    "multiply": _of_two,
    "global_average_pool": _pool,
    "fully_connected": _classifier,
    "softmax": _softmax,
}
KERAS = Consumer("export to Keras", handles=LAYERS, refuses="sigmoid l2_normalise".split())


def _name(model: Model, op: Op) -> str:
    return keras_name(keras_family(model.network), op.name)


def to_keras_h5(model: Model) -> bytes:
    """Return the HDF5 file.

    Raises `MissingExtraError` where h5py is not installed, `NetworkError` for a network that is not written.
    """
    try:
        import h5py
    except ImportError as exc:
        raise MissingExtraError("h5py is not installed, and writing Keras files needs it", "weights") from exc
    KERAS.check(model.graph.ops)
    layers = _connected(model)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["keras_version"] = "2.15.0"  # the last with Keras 2's spelling
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(_config(model, layers))
        file.attrs.update(use_to_metadata(model, PREFIX))
        _write_weights(file.create_group("model_weights"), layers)
    return content.getvalue()


def _connected(model: Model) -> list[_Layer]:
    """Return the layers; of those of one op the first takes what the op takes, each other the one before it."""
    layers: list[_Layer] = []
    last: list[tuple[str, ...]] = []  # of each op: the name of its last layer
    for op in model.graph.ops:
        inputs = tuple(name for i in op.inputs for name in last[i])
        for layer in LAYERS[op.kind](model, op):
            layers.append(replace(layer, inputs=inputs))
            inputs = (layer.name,)
        last.append(inputs)
    return layers


def _config(model: Model, layers: list[_Layer]) -> dict[str, Any]:
    """Return the config of a functional model."""
    return {
        "class_name": "Functional",
        "config": {
            "name": f"mobilenet_{model.name}",
            "layers": [
                {
                    "class_name": layer.kind,
                    "name": layer.name,
                    "config": {"name": layer.name, "dtype": "float32", **layer.config},
                    "inbound_nodes": [[[source, 0, 0, {}] for source in layer.inputs]] if layer.inputs else [],
                }
                for layer in layers
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

"""Common parts of files for PyTorch programs: module names, and scales for PyTorch's epsilon."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arch.graph import weight_shapes
from ..arch.network import Block
from ..arch.ops import CONVOLUTIONS, Consumer
from ..errors import NetworkError
from ..model import Model

__all__ = ["EPSILON", "state_dict"]

EPSILON = 1e-5  # PyTorch's default for batch norm

STATE_DICT = Consumer(
    "export to PyTorch and timm",
    handles="input conv depthwise pointwise batch_norm relu relu6 global_average_pool fully_connected softmax".split(),
    refuses="sigmoid l2_normalise hard_swish hard_sigmoid add multiply".split(),
    kernels={"conv": (3,), "depthwise": (3,)},
    activations=dict.fromkeys(CONVOLUTIONS, ("relu", "relu6")),
)
Array = np.ndarray[Any, np.dtype[np.float32]]


def state_dict(model: Model, modules: Mapping[str, str]) -> dict[str, Array]:
    """Return the weights in execution order, each module under its name in `modules`.

    Scales are changed so that the function is the same under `EPSILON`: s' = s * sqrt((var + 1e-5) / (var + epsilon)).
    Raises `NetworkError` for a network with other blocks than V1's.
    """
    for number, block in enumerate(model.network.blocks, 1):
        if block != Block(block.stride, block.channels):
            raise NetworkError(f"block {number}: {STATE_DICT.name} has the blocks of MobileNet v1 only")
    STATE_DICT.check(model.graph.ops)
    tensors: dict[str, Array] = {}
    for name in weight_shapes(model.graph):
        module, _, part = name.rpartition(".")
        array = np.asarray(model.weights[name], np.float64)
        if part == "weight" and f"{module}.running_var" in model.weights:
            var = np.asarray(model.weights[f"{module}.running_var"], np.float64)
            array = array * np.sqrt((var + EPSILON) / (var + model.network.epsilon))
        tensors[f"{modules[module]}.{part}"] = np.ascontiguousarray(array, np.float32)
    return tensors

"""Common parts of files for PyTorch programs: module names, and scales for PyTorch's epsilon."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arch.graph import expand, weight_shapes
from ..arch.network import Block, Network
from ..arch.ops import CONVOLUTIONS, Consumer
from ..arch.zoo import FAMILIES
from ..arrays import Floats
from ..errors import NetworkError
from ..model import Model

__all__ = ["EPSILON", "Names", "check_family", "family_of", "has_v1_blocks", "module_names", "state_dict"]

EPSILON = 1e-5  # PyTorch's default for batch norm
Names = Mapping[str, tuple[str, str]]  # of our convolutions: the library's names of each and of its batch norm

STATE_DICT = Consumer(
    "export to PyTorch and timm",
    handles="input conv depthwise pointwise batch_norm relu relu6 global_average_pool fully_connected softmax".split(),
    refuses="sigmoid l2_normalise hard_swish hard_sigmoid add multiply".split(),  # of V1; see `check_family`
    kernels={"conv": (3,), "depthwise": (3,)},
    activations=dict.fromkeys(CONVOLUTIONS, ("relu", "relu6")),
)


def has_v1_blocks(network: Network) -> bool:
    """Return whether all blocks are of the kind of MobileNet V1, of any widths.

    Raises `NetworkError` where they are and the rest of the network is another's.
    """
    if any(block != Block(block.stride, block.channels) for block in network.blocks):
        return False
    if network.hidden:
        raise NetworkError(f"hidden (={network.hidden}): {STATE_DICT.name} has no hidden layer in a MobileNet v1")
    STATE_DICT.check(expand(network).ops)
    return True


def family_of(network: Network, library: str) -> str:
    """Return the key of `FAMILIES` with the blocks of `network`; raises `NetworkError` where there is none."""
    for name, base in FAMILIES.items():
        if base.blocks == network.blocks:
            return name
    raise NetworkError(f"{network.name}: {STATE_DICT.name} has the blocks of published networks, {library} no others")


def check_family(network: Network, library: str, **settings: Any) -> None:
    """Raise `NetworkError` naming the first op that is not that of the family in `library`, which has `settings`."""
    base = FAMILIES[family_of(network, library)]
    free = ("alpha", "height", "width", "channels", "classes", "output")
    theirs = base.replace(**{name: getattr(network, name) for name in free} | settings)
    for ours, other in zip(expand(network).ops, expand(theirs).ops, strict=False):
        if ours != other:
            has = f"{other.kind} {other.shape_out}, padding {other.padding}"
            raise NetworkError(f"op {ours.name} ({ours.kind} {ours.shape_out}): {library} has {has} there")


def module_names(names: Names) -> dict[str, str]:
    """Return our module -> the library's; gates, the hidden layer and the classifier may have no batch norm ("")."""
    convolutions = {ours: name for ours, (name, _) in names.items()}
    return convolutions | {f"{ours}_bn": norm for ours, (_, norm) in names.items() if norm}


def state_dict(model: Model, modules: Mapping[str, str], epsilon: float = EPSILON) -> dict[str, Floats]:
    """Return the weights in execution order, each module under its name in `modules`.

    Scales are changed so that the function is the same under `epsilon`: s' = s * sqrt((var + epsilon) / (var + own)).
    """
    tensors: dict[str, Floats] = {}
    for name in weight_shapes(model.graph):
        module, _, part = name.rpartition(".")
        array = np.asarray(model.weights[name], np.float64)
        if part == "weight" and f"{module}.running_var" in model.weights:
            var = np.asarray(model.weights[f"{module}.running_var"], np.float64)
            array = array * np.sqrt((var + epsilon) / (var + model.network.epsilon))
        tensors[f"{modules[module]}.{part}"] = np.ascontiguousarray(array, np.float32)
    return tensors

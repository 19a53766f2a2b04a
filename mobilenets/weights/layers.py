"""What every reader of a file makes of it: a chain of layers, in the order in which they run.

`recognise.py` works out which MobileNet v1 they are. Arrays are float32 in PyTorch's layouts: (out, in / groups, k, k)
for convolutions, (out, in) for the classifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np

from ..arch.network import Network
from ..errors import MissingExtraError, ModelFileError
from ..image import Preprocess
from ..quant.scheme import Affine, IntegerLayer

__all__ = ["Array", "Content", "Layer", "Norm", "Number", "chain", "convolution", "extra"]

Array = np.ndarray[Any, np.dtype[np.float32]]
Kind = Literal["conv", "depthwise", "pointwise", "pool", "fully_connected"]
Number = float | tuple[float, ...]  # one number, or one a channel
Pads = tuple[int, int, int, int]  # top, left, bottom, right
Side = Literal["same", "valid"]


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm; all arrays (channels,). `epsilon` None: the file does not say."""

    gamma: Array
    beta: Array
    mean: Array
    var: Array
    epsilon: float | None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer under the file's own name for it. None: the file does not say."""

    kind: Kind
    name: str
    weight: Array | None = None  # None for a pool
    bias: Array | None = None
    norm: Norm | None = None
    activation: str | None = None  # "none", "relu", "relu6"
    stride: int | None = None
    padding: Pads | Side | None = None
    integers: IntegerLayer | None = None  # what `weight` and `bias` were dequantised from; float files have none
    gives: Affine | None = None  # what the integers behind the layer and its activation stand for


@dataclass(frozen=True, slots=True)
class Content:
    """All that a file says. None: it does not say. Settings: size, pixels, activation, padding, epsilon."""

    format: str  # for people: "Keras HDF5", "TFLite uint8"
    layers: tuple[Layer, ...]
    size: tuple[int, int] | None = None  # height, width
    pixels: tuple[Number, Number] | None = None  # mean, std: the network's input is (pixel - mean) / std
    labels: tuple[str, ...] | None = None
    quantised: bool = False
    image: Affine | None = None  # what pixel - 128 stands for, where the file takes integers
    maker: str = ""  # whose conventions: "keras.applications", "timm"
    conventions: Mapping[str, Any] = field(default_factory=dict)  # what format and naming imply: setting -> value
    network: Network | None = None  # in the metadata of a file that this package exported
    preprocess: Preprocess | None = None  # crop and resize; size and pixels are said above


def chain(contents: Sequence[Content]) -> Content:
    """Several files that run one after the other, as one."""
    layers = tuple(layer for content in contents for layer in content.layers)
    return replace(contents[0], layers=layers, quantised=any(content.quantised for content in contents))


def convolution(name: str, weight: np.ndarray, groups: int, **known: Any) -> Layer:
    """The kind from the shape (out, in / groups, k, k); `ModelFileError` for what no MobileNet v1 has.

    A depthwise convolution of one channel with a multiplier is a full one.
    """
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or 0 in weight.shape:
        raise ModelFileError(f"{name}: a kernel of shape {weight.shape}: MobileNet v1 has square ones, 3x3 and 1x1")
    out, inputs, k, _ = weight.shape
    if groups > 1 and (groups != out or inputs != 1):
        raise ModelFileError(f"{name}: {groups} groups for {out} channels: MobileNet v1 has depthwise ones only")
    if k not in (1, 3):
        raise ModelFileError(f"{name}: a {k}x{k} kernel: MobileNet v1 has 3x3 and 1x1")
    kind: Kind = "depthwise" if groups > 1 else "pointwise" if k == 1 else "conv"
    return Layer(kind, name, np.ascontiguousarray(weight, np.float32), **known)


def extra(module: str) -> Any:
    """A library that reads one format, imported where it is needed."""
    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtraError(
            f"{module} is not installed, and reading this file needs it: pip install 'mobilenets[weights]'"
        ) from exc

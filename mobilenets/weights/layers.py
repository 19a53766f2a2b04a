"""The result of every reader: layers in execution order, with the layers that each takes.

`skeleton.py` determines which MobileNet they are. Arrays are float32 in PyTorch's layouts: (out, in / groups, k, k)
for convolutions, (out, in) for the classifier.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np

from ..arch.network import Network
from ..arrays import Floats, Integers
from ..errors import MissingExtraError, ModelFileError
from ..image import Preprocess
from ..quant.scheme import LOW, IntegerLayer, QuantParams

__all__ = [
    "DETECTOR",
    "Content",
    "ExternalReader",
    "FileLayer",
    "Floats",
    "Norm",
    "Number",
    "UnreadError",
    "chain",
    "convolution",
    "extra",
    "one_or_all",
    "unfolded_gates",
    "weight",
    "width",
]

Kind = Literal["conv", "depthwise", "pointwise", "pool", "fully_connected", "add", "multiply"]
Number = float | tuple[float, ...]  # one number, or one per channel
Pads = tuple[int, int, int, int]  # top, left, bottom, right
Side = Literal["same", "valid"]
ExternalReader = Callable[[str], bytes]  # reads a file in the folder of the one that is read

DETECTOR = "it is a detector, which is not imported; import reads classifiers, and train --task detect makes detectors"


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm; all arrays (channels,). `epsilon` None: not stated in the file."""

    gamma: Floats
    beta: Floats
    mean: Floats
    var: Floats
    epsilon: float | None


@dataclass(frozen=True, slots=True)
class FileLayer:
    """One layer of a file under the file's own name. None: not stated in the file."""

    kind: Kind
    name: str
    weight: Floats | None = None  # None for a pool, a sum, a product
    bias: Floats | None = None
    norm: Norm | None = None
    activation: str | None = None  # "none", "relu", "relu6", "hard_swish", "hard_sigmoid"
    stride: int | None = None
    padding: Pads | Side | None = None
    integers: IntegerLayer | None = None  # what `weight` and `bias` were dequantised from; float files have none
    gives: QuantParams | None = None  # of the integers of the layer's output, after its ReLU or ReLU6
    activated: QuantParams | None = None  # of the integers after another activation
    table: Integers | None = None  # that activation, where several operators compute it: (256,), the output for -128 on
    takes: tuple[int, ...] | None = None  # positions of the layers whose outputs it takes; None: the layer before

    def with_zeros_first(self) -> "FileLayer":
        """Return the layer with one more output in front, which is always 0, in floats and in integers."""
        assert self.weight is not None
        weight = np.concatenate([np.zeros_like(self.weight[:1]), self.weight])
        bias = None if self.bias is None else np.concatenate([np.zeros_like(self.bias[:1]), self.bias])
        return replace(self, weight=weight, bias=bias, integers=_with_zeros_first(self.integers))


def unfolded_gates(layers: Sequence[FileLayer]) -> list[FileLayer]:
    """Return layers with the hard sigmoids of gates that are a part of the weights before a product.

    This package writes the gates of int8 networks so: integers from 0 to 1 are the clamp of x / 6 + 1/2.
    """
    multiplied = [*(layer.kind == "multiply" for layer in layers[1:]), False]
    return [_unfolded(layer) if last else layer for layer, last in zip(layers, multiplied, strict=False)]


def _unfolded(layer: FileLayer) -> FileLayer:
    gives, bias = layer.gives, layer.bias
    if layer.activation not in (None, "none") or gives is None or layer.weight is None or bias is None:
        return layer
    if gives.zero_point != LOW or not 1 / 257 <= gives.scale <= 1 / 254:
        return layer
    return replace(layer, weight=6 * layer.weight, bias=6 * bias - 3, activation="hard_sigmoid", activated=gives)


def _with_zeros_first(integers: IntegerLayer | None) -> IntegerLayer | None:
    if integers is None:
        return None
    zero = np.full_like(integers.weight[:1], integers.zero_point)
    return replace(
        integers,
        weight=np.concatenate([zero, integers.weight]),
        scale=np.concatenate([integers.scale[:1], integers.scale]),
        bias=np.concatenate([np.zeros_like(integers.bias[:1]), integers.bias]),
    )


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file. None: not stated. Settings are size, pixels, activation, padding, epsilon."""

    format: str  # for display: "Keras HDF5", "TFLite uint8"
    layers: tuple[FileLayer, ...]
    size: tuple[int, int] | None = None  # height, width
    pixels: tuple[Number, Number] | None = None  # mean, std: the network's input is (pixel - mean) / std
    labels: tuple[str, ...] | None = None
    quantised: bool = False
    image: QuantParams | None = None  # of pixel - 128, where the file takes integers
    maker: str = ""  # whose conventions: "keras.applications", "timm"
    conventions: Mapping[str, Any] = field(default_factory=dict)  # implied by format and names: setting -> value
    network: Network | None = None  # in the metadata of a file that this package exported
    preprocess: Preprocess | None = None  # crop and resize; size and pixels are fields above
    ends: str | None = None  # what follows the classifier: "softmax", "sigmoid", or None where it is not stated
    unread: str = ""  # the reason why the layers after the pool were not read

    def cut(self, reason: str) -> "Content":
        """Return the content without the layers after the pool."""
        kinds = [layer.kind for layer in self.layers]
        gates = len(kinds) - kinds[::-1].index("multiply") if "multiply" in kinds else 0  # their pools lie before
        behind = kinds.index("pool", gates) + 1 if "pool" in kinds[gates:] else len(kinds)
        return replace(self, layers=self.layers[:behind], unread=reason)


class UnreadError(ModelFileError):
    """A layer that cannot be read. `before` returns the content before it."""

    def __init__(self, message: str, before: Callable[[], Content] | None = None) -> None:
        super().__init__(message)
        self.before = before


def chain(contents: Sequence[Content]) -> Content:
    """Return several files that run one after the other as one."""
    layers: list[FileLayer] = []
    for content in contents:
        before = len(layers)
        layers += [
            layer if layer.takes is None else replace(layer, takes=tuple(before + i for i in layer.takes))
            for layer in content.layers
        ]
    quantised = any(content.quantised for content in contents)
    last = contents[-1]
    return replace(contents[0], layers=tuple(layers), ends=last.ends, unread=last.unread, quantised=quantised)


def convolution(name: str, weight: np.ndarray, groups: int, **known: Any) -> FileLayer:
    """Return a convolution whose kind follows from the shape (out, in / groups, k, k).

    A depthwise convolution of one channel with a multiplier is a full one. Raises `ModelFileError` for shapes that
    MobileNet does not have.
    """
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or 0 in weight.shape:
        raise ModelFileError(f"{name}: a kernel of shape {weight.shape}: MobileNet has square ones, 5x5, 3x3 and 1x1")
    out, inputs, k, _ = weight.shape
    if groups > 1 and (groups != out or inputs != 1):
        raise ModelFileError(f"{name}: {groups} groups for {out} channels: MobileNet has depthwise ones only")
    if k not in (1, 3, 5):
        raise ModelFileError(f"{name}: a {k}x{k} kernel: MobileNet has 5x5, 3x3 and 1x1")
    kind: Kind = "depthwise" if groups > 1 else "pointwise" if k == 1 else "conv"
    return FileLayer(kind, name, np.ascontiguousarray(weight, np.float32), **known)


def weight(layer: FileLayer) -> Floats:
    """Return the weight of a layer that has one."""
    assert layer.weight is not None, layer.name
    return layer.weight


def width(layer: FileLayer) -> int:
    """Return the number of output channels."""
    return int(weight(layer).shape[0])


def one_or_all(values: np.ndarray) -> Number:
    """Return one number where all are equal, else one per channel."""
    numbers = tuple(map(float, values.ravel()))
    return numbers[0] if len(set(numbers)) == 1 else numbers


def extra(module: str) -> Any:
    """Return the library that reads one format, imported on demand.

    Raises `MissingExtraError` where it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtraError(f"{module} is not installed, and reading this file needs it", "weights") from exc

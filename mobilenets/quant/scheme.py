"""The integers of a quantised network, and THE rule by which one layer's become the next's (docs/quantization.md).

A real number is scale * (q - zero_point). Activations are int8, one scale and zero point for a whole array; weights
int8, one scale an output channel and zero point 0; biases and sums int32, their scale that of input times weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arch.fold import without_batch_norm
from ..arch.graph import Graph, expand
from ..arch.network import Network
from ..errors import ModelFileError
from ..image import Preprocess

__all__ = ["HIGH", "LOW", "Affine", "IntegerLayer", "QuantModel", "limits", "multipliers", "requantise"]

LOW, HIGH = -128, 127

Int8 = np.ndarray[Any, np.dtype[np.int8]]
Int32 = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Affine:
    """What the int8 of an array of activations stand for: scale * (q - zero_point)."""

    scale: float  # a float32 number above 0
    zero_point: int  # LOW to HIGH: real 0 is always exact, so that padding is

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.float32(self.scale)))
        if not 0 < self.scale < np.inf:
            raise ModelFileError(f"scale (={self.scale}) must be a finite float32 above 0")
        if not LOW <= self.zero_point <= HIGH:
            raise ModelFileError(f"zero point (={self.zero_point}) must be from {LOW} to {HIGH}")


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """One convolution's or classifier's integers, laid out as PyTorch does: (out, in / groups, k, k), (out, in)."""

    weight: Int8
    scale: Floats  # (out,), of the weights
    bias: Int32  # (out,), in units of input scale * weight scale
    zero_point: int = 0  # of the weights: other than 0 only in networks imported from uint8 files


@dataclass(frozen=True, slots=True)
class QuantModel:
    """An int8 network and all that is needed to use it. `Model`'s counterpart: the same labels, preprocessing, metrics.

    `activations` holds what the output of each op stands for, under the op's name in `graph`: of a convolution that is
    followed by an activation, the output behind it. "image" is the input: q = pixel - 128, whatever its scale says.
    "pool" has the scale and zero point of its input. The softmax is computed in float from the classifier's integers.
    """

    network: Network
    activations: Mapping[str, Affine]  # "image", "conv0", "dw1", "pw1", ..., "pool", "fc"
    layers: Mapping[str, IntegerLayer]  # "conv0", "dw1", "pw1", ..., "fc"
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str = "classify"
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """Without batch norm."""
        return without_batch_norm(expand(self.network))

    @property
    def name(self) -> str:
        return f"{self.network.name} int8"


def multipliers(layer: IntegerLayer, source: Affine, target: Affine) -> Floats:
    """(out,) float32: what a sum is multiplied with, s_in * s_w / s_out, each operation rounded to float32."""
    return np.float32(source.scale) * layer.scale.astype(np.float32) / np.float32(target.scale)


def limits(target: Affine, activation: str | None) -> tuple[int, int]:
    """The smallest and largest int8 that the activation ("relu", "relu6", None) lets through."""
    low = LOW if activation is None else max(LOW, target.zero_point)
    six = round(float(np.float32(6) / np.float32(target.scale))) + target.zero_point
    return low, min(HIGH, six) if activation == "relu6" else HIGH


def requantise(sums: Int32, factor: Floats, target: Affine, low: int, high: int) -> Int8:
    """clamp(round_half_even(float32(sum) * factor) + zero point): the rule of XNNPACK, the same on every machine."""
    rounded = np.rint(sums.astype(np.float32) * factor.astype(np.float32))
    return np.clip(rounded + np.float32(target.zero_point), low, high).astype(np.int8)

"""The int8 specification: the integers of a quantised network, and how each layer computes them (docs/quantization.md).

A real number is scale * (q - zero_point). Activations are int8 with one scale and zero point per array; weights are
int8 with one scale per output channel and zero point 0; biases and sums are int32 with the scale of input times weight.
`reference.py` computes them, `file.py` saves and loads them.
"""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from safetensors.numpy import save

from ..arch.fold import without_batch_norm
from ..arch.graph import Graph, expand, weight_shapes
from ..arch.layers import Layer, layers
from ..arch.network import Network
from ..arch.ops import CONVOLUTIONS, OPS, Consumer, Op
from ..arrays import Doubles, Floats, Integers, Sums
from ..errors import ModelFileError
from ..files import write_atomic
from ..image import Preprocess
from ..model import check_use, described, in_order, to_metadata

__all__ = [
    "ARRAYS",
    "FORMAT",
    "FORMAT_VERSION",
    "HIGH",
    "INTEGERS",
    "LOW",
    "TABLE",
    "Doubles",
    "IntegerLayer",
    "Integers",
    "QuantModel",
    "QuantParams",
    "Sums",
    "integer_layers",
    "largest_sums",
    "limits",
    "multipliers",
    "pool_multiplier",
    "requantise",
]

FORMAT = "mobilenets.quantized"
FORMAT_VERSION = "1"
ARRAYS = ("weight", "scale", "bias")  # of a layer in a file
TABLE = "table"  # of an activation in a file

LOW, HIGH = -128, 127
LARGEST_SUM = 2**31 - 1
LARGEST_FACTOR = 256  # the limit of XNNPACK

INTEGERS = Consumer(
    "int8 arithmetic",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # it is folded before
    activations={
        **dict.fromkeys(CONVOLUTIONS, (None, "relu", "relu6", "hard_swish", "hard_sigmoid")),
        "add": (None, "relu", "relu6"),
    },
)


@dataclass(frozen=True, slots=True)
class QuantParams:
    """The scale and zero point of an array of int8 activations: a real number is scale * (q - zero_point).

    Raises `ModelFileError` for a scale that is not a positive finite float32, and for a zero point outside of int8.
    """

    scale: float  # a float32 number above 0
    zero_point: int  # LOW to HIGH: real 0 is always exact, so that padding is

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.float32(self.scale)))
        if not 0 < self.scale < np.inf:
            raise ModelFileError(f"scale (={self.scale}) must be a finite float32 above 0")
        if not (isinstance(self.zero_point, int) and LOW <= self.zero_point <= HIGH):
            raise ModelFileError(f"zero point (={self.zero_point}) must be a whole number from {LOW} to {HIGH}")

    def real(self, integers: Integers) -> Floats:
        """Return the real numbers of int8 `integers` in float32."""
        return np.float32(self.scale) * (integers.astype(np.float32) - np.float32(self.zero_point))


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """The integers of one convolution or of the classifier in PyTorch's layout: (out, in / groups, k, k), (out, in)."""

    weight: Integers
    scale: Floats  # (out,), of the weights
    bias: Sums  # (out,), in units of input scale * weight scale
    zero_point: int = 0  # of the weights: other than 0 only in networks imported from uint8 files


@dataclass(frozen=True, slots=True, repr=False)
class QuantModel:
    """An int8 network with labels, preprocessing and metrics, the counterpart of `Model`.

    `activations` maps the name of each op in `graph` to the parameters of its output: for a convolution followed by an
    activation, those of the activation's output. "image" is the input: q = pixel - 128, whatever its scale. "pool" has
    the scale and zero point of its input, unless an imported file gives others. Softmax, sigmoid and unit vectors are
    computed in float from the classifier's integers. `tables` maps an activation to the result for each integer, where
    an imported file computes it by several operators that round. Raises `ModelFileError` for inconsistent fields, and
    for a layer whose sums could exceed int32.
    """

    network: Network
    activations: Mapping[str, QuantParams]  # "image", "conv0", "dw1", "pw1", ..., "pool", "fc"
    layers: Mapping[str, IntegerLayer]  # "conv0", "dw1", "pw1", ..., "fc"
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str = "classify"
    head_config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Integers] = field(default_factory=dict)  # of activations, (256,): the output for -128 on

    precision: ClassVar[Literal["int8"]] = "int8"

    def __repr__(self) -> str:
        return described(self)

    def __post_init__(self) -> None:
        check_use(self.network, self.preprocess, self.labels)
        graph = self.graph
        INTEGERS.check(graph.ops)
        shapes = weight_shapes(graph)
        _check_tables(self.tables, graph)
        names = [layer.name for layer in self.integer_layers()]
        computed = [name for name in names if f"{name}.weight" in shapes]
        _check_names("layers", self.layers, computed)
        _check_names("activations", self.activations, ["image", *names])
        sources = self.sources()
        for name in computed:
            layer = self.layers[name]
            _check_arrays(name, layer, shapes[f"{name}.weight"])
            _check_sums(name, layer, sources[name][0], self.activations[name])

    @property
    def graph(self) -> Graph:
        """Return the graph without batch norm."""
        return without_batch_norm(expand(self.network))

    @property
    def name(self) -> str:
        """Return the network's name with "int8"."""
        return f"{self.network.name} int8"

    def integer_layers(self) -> tuple[Layer, ...]:
        """Return the layers of the network that are computed in integers (see `integer_layers`)."""
        return integer_layers(self.graph, self.tables)

    def sources(self) -> dict[str, tuple[QuantParams, ...]]:
        """Return layer's name -> the quantisation parameters of each of its inputs."""
        found = self.integer_layers()
        names = ["image", *(layer.name for layer in found)]
        return {layer.name: tuple(self.activations[names[i]] for i in layer.sources) for layer in found}

    @property
    def nbytes(self) -> int:
        """Return the bytes of all integers and scales."""
        arrays = (a for layer in self.layers.values() for a in (layer.weight, layer.scale, layer.bias))
        return sum(array.nbytes for array in (*arrays, *self.tables.values()))

    def digest(self) -> str:
        """Return the SHA-256 over all integers and scales: equal digests are equal networks, bit for bit."""
        digest = hashlib.sha256()
        for name in sorted(self.layers):
            layer = self.layers[name]
            digest.update(f"{name} {layer.zero_point} {layer.weight.shape}".encode())
            for array, dtype in ((layer.weight, "i1"), (layer.scale, "<f4"), (layer.bias, "<i4")):
                digest.update(np.ascontiguousarray(array, dtype).tobytes())
        for name in sorted(self.activations):
            params = self.activations[name]
            digest.update(f"{name} {params.scale!r} {params.zero_point}".encode())
        for name in sorted(self.tables):
            digest.update(f"{name} table".encode() + self.tables[name].tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Return the content of the model's `.safetensors` file, whose layout `quant/file.py` describes."""
        arrays = {f"{name}.{array}": getattr(layer, array) for name, layer in self.layers.items() for array in ARRAYS}
        arrays |= {f"{name}.{TABLE}": table for name, table in self.tables.items()}
        activations = {name: [a.scale, a.zero_point] for name, a in self.activations.items()}
        zero_points = {name: layer.zero_point for name, layer in self.layers.items() if layer.zero_point}
        metadata = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **to_metadata(self),
            "activations": json.dumps(activations, sort_keys=True),
            "zero_points": json.dumps(zero_points, sort_keys=True),
        }
        return in_order(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata))

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors`, atomically."""
        return write_atomic(Path(path), self.to_bytes())


def integer_layers(graph: Graph, tables: Container[str] = ()) -> tuple[Layer, ...]:
    """Return the layers that are computed in integers: all but the image and the function of the logits.

    A hard swish, and an activation that `tables` names, is a layer of its own, computed by a table of 256 integers.
    `sources` are positions in the result plus one; 0 is the image.
    """
    found: list[Layer] = []
    position = {0: 0}  # of a layer of `layers(graph)`
    for i, layer in enumerate(layers(graph)[1:], 1):
        if OPS[layer.op.kind].role == "output":
            continue
        sources, activation = tuple(position[source] for source in layer.sources), layer.activation
        if activation and (activation.kind == "hard_swish" or activation.name in tables):
            found.append(Layer(layer.op, layer.norm, None, sources))
            found.append(Layer(activation, None, None, (len(found),)))
        else:
            found.append(Layer(layer.op, layer.norm, activation, sources))
        position[i] = len(found)
    return tuple(found)


def multipliers(layer: IntegerLayer, source: QuantParams, target: QuantParams) -> Floats:
    """Return (out,) float32: the multiplier of a sum, s_in * s_w / s_out, each operation rounded to float32."""
    return np.float32(source.scale) * layer.scale.astype(np.float32) / np.float32(target.scale)


def pool_multiplier(pixels: int, source: QuantParams, target: QuantParams) -> Floats:
    """Return () float32: the multiplier of the sum of (q - zero point) over `pixels`, s_in / s_out / pixels."""
    return np.asarray(np.float32(source.scale) / np.float32(target.scale) / np.float32(pixels))


def limits(target: QuantParams, activation: Op | None) -> tuple[int, int]:
    """Return the smallest and largest int8 that `activation` lets through."""
    if activation is None:
        return LOW, HIGH
    INTEGERS.check_kind(activation)
    ends = {"relu6": 6.0, "hard_sigmoid": 1.0}  # a hard sigmoid's slope and offset are in the layer's weights
    low = max(LOW, target.zero_point)
    if activation.kind not in ends:
        return low, HIGH
    end = round(float(np.float32(ends[activation.kind]) / np.float32(target.scale))) + target.zero_point
    return low, min(HIGH, end)


def requantise(sums: Sums, factor: Floats, target: QuantParams, low: int, high: int) -> Integers:
    """Return clamp(round_half_even(float32(sum) * factor) + zero point), the rule of XNNPACK on every machine."""
    rounded = np.rint(sums.astype(np.float32) * factor.astype(np.float32))
    return np.clip(rounded + np.float32(target.zero_point), low, high).astype(np.int8)


def largest_sums(layer: IntegerLayer, source: QuantParams) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return (out,): a bound of |sum| for any input, bias included, in any order of the additions."""
    furthest = max(source.zero_point - LOW, HIGH - source.zero_point)
    weights = np.abs(layer.weight.astype(np.int64) - layer.zero_point).reshape(len(layer.weight), -1).sum(axis=1)
    bounds: np.ndarray[Any, np.dtype[np.int64]] = weights * furthest + np.abs(layer.bias.astype(np.int64))
    return bounds


def _check_tables(tables: Mapping[str, Integers], graph: Graph) -> None:
    kinds = {op.name: op.kind for op in graph.ops}
    for name, table in tables.items():
        if kinds.get(name) not in ("hard_sigmoid", "hard_swish"):
            raise ModelFileError(f"{name}.{TABLE}: the network has no hard sigmoid or hard swish {name}")
        if table.dtype != np.int8 or table.shape != (HIGH - LOW + 1,):
            raise ModelFileError(f"{name}.{TABLE} is {table.dtype} {table.shape}, must be int8 (256,)")


def _check_names(what: str, found: Mapping[str, object], wanted: list[str]) -> None:
    lacking, strange = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    if lacking or strange:
        problems = [f"lacks {', '.join(lacking[:3])}"] * bool(lacking) + [f"has {', '.join(strange[:3])}"] * bool(
            strange
        )
        raise ModelFileError(f"the {what} do not fit the network: {'; '.join(problems)}")


def _check_arrays(name: str, layer: IntegerLayer, shape: tuple[int, ...]) -> None:
    wanted = (("weight", np.int8, shape), ("scale", np.float32, shape[:1]), ("bias", np.int32, shape[:1]))
    for array, dtype, size in wanted:
        values = getattr(layer, array)
        if values.dtype != dtype or values.shape != size:
            kind = np.dtype(dtype).name
            raise ModelFileError(f"{name}.{array} is {values.dtype} {values.shape}, must be {kind} {size}")
    if not (np.isfinite(layer.scale) & (layer.scale > 0)).all():
        raise ModelFileError(f"{name}.scale must be finite and above 0")
    if not (isinstance(layer.zero_point, int) and LOW <= layer.zero_point <= HIGH):
        raise ModelFileError(f"{name}: zero point (={layer.zero_point}) must be a whole number from {LOW} to {HIGH}")


def _check_sums(name: str, layer: IntegerLayer, source: QuantParams, target: QuantParams) -> None:
    if (largest := int(largest_sums(layer, source).max())) > LARGEST_SUM:
        raise ModelFileError(f"{name}: its sums may reach {largest}, must stay within int32 ({LARGEST_SUM})")
    with np.errstate(over="ignore"):
        factor = float(multipliers(layer, source, target).max())
    if not factor < LARGEST_FACTOR:
        raise ModelFileError(f"{name}: input scale * weight scale / output scale (={factor:g}) must be below 256")

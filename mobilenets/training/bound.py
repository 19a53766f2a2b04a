"""The struct that describes a layer to the kernels in C, and the torch modules whose arrays it points to."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .chain import Link, slots, target

__all__ = ["BoundConvolution", "BoundGate", "LayerStruct", "describe"]

_KINDS = {"conv": 0, "depthwise": 1, "pointwise": 2, "add": 3, "multiply": 4}
# of each activation: the smallest and the largest value, whether it is a hard swish
_BENDS = {
    "": (-math.inf, math.inf, 0),
    "relu": (0.0, math.inf, 0),
    "relu6": (0.0, 6.0, 0),
    "hard_swish": (0.0, 0.0, 1),
}
_SHAPES = "height width channels out_height out_width out_channels".split()
_ARRAYS = "weight gamma beta running_mean running_var d_weight d_gamma d_beta".split()
_GATE_ARRAYS = "excite excite_bias d_excite d_excite_bias".split()


class LayerStruct(ctypes.Structure):
    """Mirrors `struct layer` of kernels/layer.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "kernel", "stride", "top", "left", *_SHAPES)),
        *((name, ctypes.c_int32) for name in "source into other accumulate gate squeezed slot".split()),
        *(("low", ctypes.c_float), ("limit", ctypes.c_float), ("hard", ctypes.c_int32)),
        *(("epsilon", ctypes.c_float), ("momentum", ctypes.c_float)),
        *((name, ctypes.c_void_p) for name in (*_ARRAYS, *_GATE_ARRAYS)),
        ("of_place", ctypes.c_void_p * 14),
    )


def describe(struct: LayerStruct, links: Sequence[Link], position: int, epsilon: float) -> None:
    """Set what the link at `position` computes and which others it takes."""
    link, below = links[position], position - 1
    op, activation = link.layers[-1].op, link.layers[-1].activation
    struct.kind, struct.kernel, struct.stride = _KINDS[op.kind], op.kernel, op.stride
    struct.top, struct.left = op.padding[:2]
    for name, value in zip(_SHAPES, (*op.shape_in, *op.shape_out), strict=True):
        setattr(struct, name, value)
    struct.low, struct.limit, struct.hard = _BENDS[activation.kind if activation else ""]
    struct.epsilon, struct.slot = epsilon, slots(links)[position]
    gated = position > 0 and links[below].kind == "multiply"
    struct.gate = -gated
    struct.into = target(links, below) - position if position else 0
    struct.source = struct.into if gated else -1
    struct.other = link.sources[-1] - position
    struct.accumulate = any(other.kind == "add" and other.sources[1] == below for other in links)
    if link.kind == "multiply":
        struct.squeezed = link.layers[1].op.shape_out[2]


class BoundConvolution:
    """A convolution and its batch norm."""

    def __init__(self, struct: LayerStruct, convolution: Any, norm: Any) -> None:
        self._struct, self._convolution, self._norm = struct, convolution, norm
        self._weight: Tensor | None = None  # as the kernels take it

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return weight, gamma and beta."""
        return [self._convolution.weight, self._norm.weight, self._norm.bias]

    def bind(self) -> None:
        """Point to the arrays of a forward pass, and count it."""
        struct, norm, weight = self._struct, self._norm, self._convolution.weight.detach()
        norm.num_batches_tracked += 1
        struct.momentum = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        self._weight = weight.permute(0, 2, 3, 1).contiguous() if struct.kind == 0 else weight.contiguous()
        struct.weight, struct.gamma, struct.beta = _pointers(self._weight, norm.weight, norm.bias)
        struct.running_mean, struct.running_var = _pointers(norm.running_mean, norm.running_var)

    def gradients(self) -> list[Tensor]:
        """Return those of `parameters`, which the kernels will write."""
        n, c, h, w = self._convolution.weight.shape
        found = [torch.empty(n, h, w, c), torch.empty(n), torch.empty(n)]
        self._struct.d_weight, self._struct.d_gamma, self._struct.d_beta = _pointers(*found)
        return [found[0].permute(0, 3, 1, 2), *found[1:]]


class BoundGate:
    """The two layers of a gate."""

    def __init__(self, struct: LayerStruct, squeeze: Any, excite: Any) -> None:
        self._struct, self._layers = struct, (squeeze, excite)
        self._weights: list[Tensor] = []

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return weight and bias of both."""
        return [array for layer in self._layers for array in (layer.weight, layer.bias)]

    def bind(self) -> None:
        """Point to the arrays of a forward pass."""
        self._weights = [parameter.detach().contiguous() for parameter in self.parameters]
        struct = self._struct
        struct.weight, struct.beta, struct.excite, struct.excite_bias = _pointers(*self._weights)

    def gradients(self) -> list[Tensor]:
        """Return those of `parameters`, which the kernels will write."""
        found = [torch.empty(parameter.shape) for parameter in self.parameters]
        struct = self._struct
        struct.d_weight, struct.d_beta, struct.d_excite, struct.d_excite_bias = _pointers(*found)
        return found


def _pointers(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(tensor.data_ptr() for tensor in tensors)

"""Training on the processor in C: convolution, batch norm and activation in one pass (see kernels/layer.c).

`fuse(module)` makes the networks in it train that way: with the same results to fp32 rounding, or with the arrays
between layers in bf16. torch's own modules are the reference; they also run on a GPU, without a C compiler, and for
layers that no kernel computes.
"""

import ctypes
import hashlib
import math
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor, nn

from ..arch.graph import Graph
from ..arch.layers import Layer, layers
from ..arch.ops import CONVOLUTIONS, Consumer
from ..compiler.build import FLAGS, compiler, link
from ..compiler.processor import load
from ..compiler.program import Target
from ..compiler.targets import ALL_BF16_TARGETS, ALL_TARGETS, best_target
from ..errors import CompileError, WorkError
from ..files import writable_cache
from .module import MobileNet

__all__ = ["BF16", "Fused", "fuse", "takes"]

BF16 = {name: target for name, target in ALL_BF16_TARGETS.items() if name != "amx"}  # no kernel here uses its tiles
_KINDS = {"conv": 0, "depthwise": 1, "pointwise": 2, "add": 3}
# of each activation: the smallest and the largest value, whether it is a hard swish
_BENDS = {
    "": (-math.inf, math.inf, 0),
    "relu": (0.0, math.inf, 0),
    "relu6": (0.0, 6.0, 0),
    "hard_swish": (0.0, 0.0, 1),
}
TRAINING_IN_C = Consumer(
    "training in C",
    handles=["input", "batch_norm", *_KINDS, *filter(None, _BENDS)],
    refuses="hard_sigmoid multiply global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),  # torch computes them
    kernels={"conv": (3,), "depthwise": (3, 5)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations=dict.fromkeys(CONVOLUTIONS, (None, *filter(None, _BENDS))),
)
_TEMPLATES = ("vectors.c", "pointwise.c", "depthwise.c", "average.c")  # once for each width of a vector
_ARRAYS = ("weight", "gamma", "beta", "running_mean", "running_var", "d_weight", "d_gamma", "d_beta")


_BETWEEN = 2  # the slot of gradients of what sums take


class _Layer(ctypes.Structure):
    """Mirrors `struct layer` of kernels/layer.c."""

    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in ("kind", "kernel", "stride", "top", "left", "height", "width", "channels")
        ),
        *((name, ctypes.c_int32) for name in ("out_height", "out_width", "out_channels")),
        *((name, ctypes.c_int32) for name in ("source", "into", "other", "accumulate", "slot")),
        *(("low", ctypes.c_float), ("limit", ctypes.c_float), ("hard", ctypes.c_int32)),
        *(("epsilon", ctypes.c_float), ("momentum", ctypes.c_float)),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        ("of_place", ctypes.c_void_p * 13),
    )


def fuse(module: nn.Module, bf16: bool) -> None:
    """Let every MobileNet in `module` train in C, where that can be."""
    for network in module.modules():
        if isinstance(network, MobileNet) and takes(network.graph) and _on_cpu(network):
            try:
                network.fused = Fused(network, bf16)
            except WorkError:  # no compiler, or no writable cache
                return


def _on_cpu(module: nn.Module) -> bool:
    return next(module.parameters()).device.type == "cpu"


def takes(graph: Graph) -> bool:
    """Return whether the kernels compute all of the network below its last pooling."""
    found = _below_the_pool(graph)
    below = 1 + sum(len(layer.ops) for layer in found)
    if not found or found[-1].op.kind == "add" or not TRAINING_IN_C.handled(graph.ops[:below]):
        return False
    return all(_takes(found, position) for position in range(len(found))) and _slots(found) is not None


def _below_the_pool(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers between the image and the last pool; none where there is no pool."""
    found = layers(graph)
    pools = [i for i, layer in enumerate(found) if layer.op.kind == "global_average_pool"]
    return found[1 : pools[-1]] if pools else ()


def _takes(found: tuple[Layer, ...], position: int) -> bool:
    """Return whether the kernels compute a layer; each takes the output of the one before it.

    A sum's first operand is a linear convolution that nothing else reads, its other one an earlier output.
    """
    layer, before = found[position], position - 1
    if layer.sources[0] - 1 != before:
        return False
    readers = [of.op.kind == "add" for of in found for source in of.sources if source - 1 == position]
    if sorted(readers) not in ([], [False], [True], [False, True]):
        return False
    if layer.op.kind == "add":
        own = found[before]
        return own.op.kind != "add" and own.activation is None and layer.activation is None
    if layer.norm is None or layer.op.bias:
        return False
    if layer.op.kind == "pointwise":
        return position > 0 and not any(layer.op.padding)
    return layer.op.kind == ("depthwise" if position else "conv")


def _target(found: tuple[Layer, ...], position: int) -> int:
    """Return the convolution whose gradient is that of an output: of a sum, the one before it."""
    return position - (found[position].op.kind == "add")


def _slots(found: tuple[Layer, ...]) -> list[int] | None:
    """Return the memory of each layer's gradient, another one than that of the layer below; None where that fails.

    What sums take lies in one place: the gradient of a sum is passed on to both, to the second by adding to it.
    """
    between = {_target(found, source - 1) for layer in found if layer.op.kind == "add" for source in layer.sources}
    slots: list[int] = []
    for position, layer in enumerate(found):
        below = slots[_target(found, position - 1)] if position else _BETWEEN
        if layer.op.kind == "add" or position in between:
            slots.append(_BETWEEN)
            if layer.op.kind != "add" and position and below == _BETWEEN:
                return None
        else:
            slots.append(1 - below if below != _BETWEEN else 0)
    return slots


class Fused:
    """A network with the memory of its passes: for one thread; each backward must follow its forward."""

    def __init__(self, network: MobileNet, bf16: bool, target: Target | None = None) -> None:
        self._code = _library(bf16, target or best_target("auto", BF16 if bf16 else ALL_TARGETS))
        found, ops = _below_the_pool(network.graph), network.graph.ops
        end = max(i for i, op in enumerate(ops) if op.kind == "global_average_pool")
        self._network, self._above = network, [op.name for op in ops[end + 1 :]]
        self._layers = (_Layer * len(found))()
        for position, (layer, of, slot) in enumerate(zip(self._layers, found, _slots(found) or (), strict=True)):
            _describe(layer, of, network.graph.network.epsilon)
            layer.slot = slot
            layer.source, layer.into = -1, _target(found, position - 1) - position
            layer.other = of.sources[-1] - 1 - position
            layer.accumulate = any(other.op.kind == "add" and position == other.sources[1] for other in found)
        parts = [(layer, of) for layer, of in zip(self._layers, found, strict=True) if of.norm]
        self._trained = [layer for layer, _ in parts]
        self._convolutions: list[Any] = [network.get_submodule(of.name) for _, of in parts]
        self._norms: list[Any] = [network.get_submodule(of.norm.name) for _, of in parts if of.norm]
        self._arena = self._scratch = torch.empty(0)
        self._images = 0  # for which the arena is laid out
        self.passes = 0

    def __deepcopy__(self, memo: object) -> None:
        """Return None: a copy of the network starts without it, because memory is not shared between threads."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's output in training mode for normalised (N, C, H, W)."""
        layers = zip(self._convolutions, self._norms, strict=True)
        parameters = [p for convolution, norm in layers for p in (convolution.weight, norm.weight, norm.bias)]
        x = _Chain.apply(self, x.float().contiguous(memory_format=torch.channels_last), *parameters)
        for name in self._above:
            x = self._network.get_submodule(name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled (N, C, 1, 1) for channels-last (N, C, H, W), and update the running statistics."""
        self._lay_out(len(x))
        self.passes += 1
        weights = []
        for layer, convolution, norm in zip(self._trained, self._convolutions, self._norms, strict=True):
            norm.num_batches_tracked += 1
            layer.momentum = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            weight = convolution.weight.detach()
            weights.append(weight.permute(0, 2, 3, 1).contiguous() if layer.kind == 0 else weight.contiguous())
            layer.weight = weights[-1].data_ptr()
            layer.gamma, layer.beta = norm.weight.data_ptr(), norm.bias.data_ptr()
            layer.running_mean, layer.running_var = norm.running_mean.data_ptr(), norm.running_var.data_ptr()
        pooled = torch.empty(len(x), self._layers[-1].out_channels)
        self._code.forward(self._layers, len(self._layers), len(x), *_pointers(x, pooled, self._scratch))
        return pooled[:, :, None, None]

    def backward(self, x: Tensor, d_pooled: Tensor) -> list[Tensor]:
        """Return the gradients of weight, gamma and beta of each layer for the last pass of `forward`."""
        gradients: list[Tensor] = []
        for layer, convolution in zip(self._trained, self._convolutions, strict=True):
            n, c, h, w = convolution.weight.shape
            parts = torch.empty(n, h, w, c), torch.empty(n), torch.empty(n)
            layer.d_weight, layer.d_gamma, layer.d_beta = (part.data_ptr() for part in parts)
            gradients += parts[0].permute(0, 3, 1, 2), *parts[1:]
        d_pooled = d_pooled.float().contiguous()
        self._code.backward(self._layers, len(self._layers), len(x), *_pointers(x, d_pooled, self._scratch))
        return gradients

    def _lay_out(self, images: int) -> None:
        if images == self._images:
            return
        count = len(self._layers)
        size = self._code.place(self._layers, count, images, None) + 64
        if size > len(self._arena):
            self._arena = torch.empty(size, dtype=torch.uint8)
            self._scratch = torch.empty(self._code.scratch_floats(self._layers, count))
        start = self._arena.data_ptr()
        self._code.place(self._layers, count, images, start + -start % 64)
        self._images = images


def _describe(layer: _Layer, of: Layer, epsilon: float) -> None:
    """Set what the layer computes."""
    op = of.op
    layer.kind, layer.kernel, layer.stride, (layer.top, layer.left) = (
        _KINDS[op.kind],
        op.kernel,
        op.stride,
        op.padding[:2],
    )
    layer.height, layer.width, layer.channels = op.shape_in
    layer.out_height, layer.out_width, layer.out_channels = op.shape_out
    layer.low, layer.limit, layer.hard = _BENDS[of.activation.kind if of.activation else ""]
    layer.epsilon = epsilon


class _Chain(torch.autograd.Function):
    """The layers below the pooling, and the pooling, as one function of the image and all their weights."""

    @staticmethod
    def forward(ctx: Any, engine: Fused, x: Tensor, *parameters: Tensor) -> Tensor:
        pooled = engine.forward(x)
        ctx.engine, ctx.number = engine, engine.passes
        ctx.save_for_backward(x)
        return pooled

    @staticmethod
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.number != ctx.engine.passes:
            raise RuntimeError("backward of a pass that is not the last: its activations are gone")
        return None, None, *ctx.engine.backward(*ctx.saved_tensors, d_pooled)


def _pointers(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(tensor.data_ptr() for tensor in tensors)


@cache
def _library(bf16: bool, target: Target) -> ctypes.CDLL:
    """Return the kernels, compiled for `target` where they are not cached; raises `WorkError` where that fails."""
    text = source(target.vector, bf16)
    key = hashlib.sha256(repr((text, target, FLAGS, compiler())).encode()).hexdigest()[:32]
    path = writable_cache() / "training" / f"{key}.so"
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            link({"training.c": text}, target, path)
    except OSError as exc:
        raise CompileError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    code = load(path, target.name, target.features)
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    code.place.argtypes, code.place.restype = (pointer, integer, integer, pointer), ctypes.c_size_t
    code.scratch_floats.argtypes, code.scratch_floats.restype = (pointer, integer), ctypes.c_size_t
    for function in (code.forward, code.backward):
        function.argtypes, function.restype = (pointer, integer, integer, pointer, pointer, pointer), None
    return code


def source(vector: int, bf16: bool) -> str:
    """Return the C of all kernels for vectors of `vector` floats, and of half of that for few channels."""
    kernels = files(__package__) / "kernels"
    narrow = max(4, vector // 2)
    parts = [f"#define WIDE {vector}\n#define NARROW {narrow}", "#define BF16" if bf16 else ""]
    parts.append((kernels / "layer.c").read_text("utf-8"))
    for width in dict.fromkeys((vector, narrow)):
        parts += [(kernels / name).read_text("utf-8").replace("@", str(width)) for name in _TEMPLATES]
    return "\n".join((*parts, (kernels / "network.c").read_text("utf-8")))

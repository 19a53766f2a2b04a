"""Training on the processor in C: convolution, batch norm and activation in one pass (see kernels/layer.c).

`fuse(module)` makes the networks in it train that way: with the same results to fp32 rounding, or with the arrays
between layers in bf16. torch's own modules are the reference; they also run on a GPU, without a C compiler, and for
layers that no kernel computes.
"""

import ctypes
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor, nn

from ..arch.graph import Graph
from ..arch.ops import CONVOLUTIONS
from ..compiler.build import FLAGS, compiler, link
from ..compiler.processor import load
from ..compiler.program import Target
from ..compiler.targets import ALL_BF16_TARGETS, ALL_TARGETS, best_target
from ..errors import CompileError, WorkError
from ..files import writable_cache
from .bound import BoundConvolution, BoundGate, LayerStruct, describe
from .chain import chain
from .module import MobileNet

__all__ = ["BF16", "Fused", "fuse", "takes"]

BF16 = {name: target for name, target in ALL_BF16_TARGETS.items() if name != "amx"}  # no kernel here uses its tiles
_TEMPLATES = ("vectors.c", "pointwise.c", "depthwise.c", "average.c", "gate.c")  # once for each width of a vector


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
    return bool(chain(graph))


class Fused:
    """A network with the memory of its passes: for one thread; each backward must follow its forward."""

    def __init__(self, network: MobileNet, bf16: bool, target: Target | None = None) -> None:
        self._code = _library(bf16, target or best_target("auto", BF16 if bf16 else ALL_TARGETS))
        links, names = chain(network.graph), [op.name for op in network.graph.ops]
        self._network, self._above = network, names[names.index("pool") + 1 :]
        self._layers = (LayerStruct * len(links))()
        self._bound: list[BoundConvolution | BoundGate] = []
        for position, part in enumerate(links):
            describe(self._layers[position], links, position, network.graph.network.epsilon)
            ops = [op for layer in part.layers for op in (layer.op, layer.norm) if op]
            modules = [network.get_submodule(op.name) for op in ops if op.kind in (*CONVOLUTIONS, "batch_norm")]
            if modules:
                bound = BoundGate if part.kind == "multiply" else BoundConvolution
                self._bound.append(bound(self._layers[position], *modules))
        self._arena = self._scratch = torch.empty(0)
        self._images = 0  # for which the arena is laid out
        self.passes = 0

    def __deepcopy__(self, memo: object) -> None:
        """Return None: a copy of the network starts without it, because memory is not shared between threads."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's output in training mode for normalised (N, C, H, W)."""
        parameters = [parameter for bound in self._bound for parameter in bound.parameters]
        x = _Chain.apply(self, x.float().contiguous(memory_format=torch.channels_last), *parameters)
        for name in self._above:
            x = self._network.get_submodule(name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled (N, C, 1, 1) for channels-last (N, C, H, W), and update the running statistics."""
        self._lay_out(len(x))
        self.passes += 1
        for bound in self._bound:
            bound.bind()
        pooled = torch.empty(len(x), self._layers[-1].out_channels)
        self._code.forward(self._layers, len(self._layers), len(x), *_pointers(x, pooled, self._scratch))
        return pooled[:, :, None, None]

    def backward(self, x: Tensor, d_pooled: Tensor) -> list[Tensor]:
        """Return the gradients of all parameters for the last pass of `forward`."""
        gradients = [gradient for bound in self._bound for gradient in bound.gradients()]
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
    return "\n".join((*parts, *((kernels / name).read_text("utf-8") for name in ("network.c", "gates.c", "passes.c"))))

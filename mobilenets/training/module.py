"""`Graph` -> `torch.nn.Module`. Parameters have the names of `arch.graph.weight_shapes`."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..arch.graph import Graph
from ..arch.network import Network
from ..arch.ops import Consumer, Op

__all__ = ["MODULES", "MobileNet", "initialise", "load_weights", "weights_of"]


class Convolution(nn.Conv2d):
    """A convolution whose padding is (top, left, bottom, right)."""

    def __init__(self, op: Op, network: Network) -> None:
        top, left, bottom, right = op.padding
        symmetric = top == bottom and left == right
        super().__init__(
            op.shape_in[2],
            op.shape_out[2],
            op.kernel,
            op.stride,
            (top, left) if symmetric else 0,
            groups=op.shape_in[2] if op.kind == "depthwise" else 1,
            bias=op.bias,
        )
        self.uneven = None if symmetric else (left, right, top, bottom)
        # PyTorch's bf16 backward of a strided depthwise convolution is many times slower than its fp32 one
        self.keep_fp32 = op.kind == "depthwise" and op.stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C', H', W') of (N, C, H, W)."""
        if self.uneven is not None:
            x = nn.functional.pad(x, self.uneven)
        if self.keep_fp32 and x.device.type == "cpu" and x.dtype.itemsize < 4:
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


class Linear(nn.Linear):
    """The classifier, for inputs (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, classes) of (N, C, 1, 1)."""
        return super().forward(x.flatten(1))


class Add(nn.Module):
    """Adds two arrays of one shape."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        return x + y


class Multiply(nn.Module):
    """Multiplies (N, C, H, W) by (N, C, 1, 1)."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Return the product."""
        return x * gate


# kind -> module; the loss computes softmax, sigmoid and unit vectors
MODULES: dict[str, Callable[[Op, Network], nn.Module]] = {
    "conv": Convolution,
    "depthwise": Convolution,
    "pointwise": Convolution,
    "batch_norm": lambda op, network: nn.BatchNorm2d(op.shape_out[2], network.epsilon),
    "relu": lambda op, network: nn.ReLU(inplace=True),
    "relu6": lambda op, network: nn.ReLU6(inplace=True),
    "hard_swish": lambda op, network: nn.Hardswish(inplace=True),
    "hard_sigmoid": lambda op, network: nn.Hardsigmoid(inplace=True),
    "add": lambda op, network: Add(),
    "multiply": lambda op, network: Multiply(),
    "global_average_pool": lambda op, network: nn.AdaptiveAvgPool2d(1),
    "fully_connected": lambda op, network: Linear(op.shape_in[2], op.shape_out[2]),
    "softmax": lambda op, network: nn.Identity(),
    "sigmoid": lambda op, network: nn.Identity(),
    "l2_normalise": lambda op, network: nn.Identity(),
}
TORCH = Consumer("training in torch", handles=["input", *MODULES])


class MobileNet(nn.Module):
    """The network in torch: normalised (N, C, H, W) float -> logits (N, classes), or the body's feature maps.

    Raises `NetworkError` for a graph with an op that has no module.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        TORCH.check(graph.ops)
        self.graph = graph
        self.fused: Callable[[Tensor], Tensor] | None = None  # training in C, see fused.py
        for op in graph.ops[1:]:
            self.add_module(op.name, MODULES[op.kind](op, graph.network))
        self._last_read = [
            max((j for j, op in enumerate(graph.ops) if i in op.inputs), default=-1) for i in range(len(graph.ops))
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, or the feature maps, of normalised (N, C, H, W)."""
        if self.fused is not None and self.training:
            return self.fused(x)
        values: dict[int, Tensor] = {0: x}
        for position, op in enumerate(self.graph.ops[1:], 1):
            x = getattr(self, op.name)(*(values[i] for i in op.inputs))
            for i in op.inputs:
                if self._last_read[i] == position:
                    del values[i]
            values[position] = x
        return x


def initialise(module: nn.Module, seed: int) -> None:
    """Initialise weights: He's normal by fan-in where batch norm follows; elsewhere small weights and zero biases."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def weights_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Return the arrays of a model file from a `state_dict`: float32, contiguous, without torch's batch counters."""
    return {
        name: np.array(tensor.detach().to("cpu", torch.float32).contiguous().numpy(), order="C")
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


def load_weights(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy the arrays of a model file into `module`."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    counters = {name for name in module.state_dict() if name.endswith("num_batches_tracked")}
    missing, unexpected = module.load_state_dict(state, strict=False)
    if set(missing) - counters or unexpected:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")

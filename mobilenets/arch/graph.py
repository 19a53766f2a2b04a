"""`expand(Network) -> Graph` computes every shape once; all later steps read the same graph.

Shapes are (H, W, C). Ops are in execution order; `inputs` are positions of earlier ops. The kinds of op and their rules
are in `ops.py`.
"""

from dataclasses import dataclass
from typing import Any

from ..errors import NetworkError
from .network import Block, Network
from .ops import CONVOLUTIONS, OPS, Op, Shape

__all__ = ["Graph", "expand", "same_padding", "verify", "weight_shapes"]


@dataclass(frozen=True, slots=True, repr=False)
class Graph:
    """The ops of a network, in execution order."""

    network: Network
    ops: tuple[Op, ...]

    def __repr__(self) -> str:
        return f"Graph({self.network.name}, {len(self.ops)} ops)"

    def op(self, name: str) -> Op:
        """Return the op called `name`."""
        return next(op for op in self.ops if op.name == name)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding along one axis as (before, after); an odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Builder:
    """Appends ops; each takes the output of the one before unless `inputs` are given."""

    def __init__(self, network: Network) -> None:
        self.network = network
        shape = (network.height, network.width, network.channels)
        self.ops = [Op("input", "image", (), shape, shape)]

    @property
    def last(self) -> int:
        """Return the position of the last op."""
        return len(self.ops) - 1

    @property
    def shape(self) -> Shape:
        """Return the output shape (H, W, C) of the last op."""
        return self.ops[-1].shape_out

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """Return (before, after) along one axis by the network's padding rule."""
        if self.network.padding == "symmetric":
            return kernel // 2, kernel // 2
        if self.network.padding == "keras" and stride == 2:  # keras.applications: whether the size is even or odd
            return kernel // 2 - 1, kernel // 2
        return same_padding(size, kernel, stride)

    def add(self, kind: str, name: str, shape: Shape, inputs: tuple[int, ...] = (), **attributes: Any) -> None:
        """Append an op; without `inputs` it takes the output of the last op."""
        inputs = inputs or (self.last,)
        self.ops.append(Op(kind, name, inputs, self.ops[inputs[0]].shape_out, shape, **attributes))

    def convolve(self, kind: str, name: str, channels: int, kernel: int, stride: int, activation: str | None) -> None:
        """Append a convolution, its batch norm and its activation, if any."""
        h, w, _ = self.shape
        (top, bottom), (left, right) = self.pads(h, kernel, stride), self.pads(w, kernel, stride)
        shape = (
            (h + top + bottom - kernel) // stride + 1,
            (w + left + right - kernel) // stride + 1,
            channels,
        )
        self.add(kind, name, shape, kernel=kernel, stride=stride, padding=(top, left, bottom, right))
        self.add("batch_norm", f"{name}_bn", shape)
        if activation:
            self.add(activation, f"{name}_act", shape)

    def gate(self, name: str, squeezed: int) -> None:
        """Append a squeeze-and-excite gate: one factor per channel from the mean over all pixels (Howard et al. 2019,
        Figure 4).
        """
        gated, shape = self.last, self.shape
        self.add("global_average_pool", f"{name}_pool", (1, 1, shape[2]))
        self.add("pointwise", f"{name}_squeeze", (1, 1, squeezed), bias=True)
        self.add("relu", f"{name}_squeeze_act", (1, 1, squeezed))
        self.add("pointwise", f"{name}_excite", (1, 1, shape[2]), bias=True)
        self.add("hard_sigmoid", f"{name}_excite_act", (1, 1, shape[2]))
        self.add("multiply", name, shape, (gated, self.last))

    def block(self, i: int, block: Block, before: int) -> None:
        """Append block `i` of the body, which takes `before` channels at alpha = 1."""
        network, channels = self.network, self.network.scaled(block.channels)
        activation, start = block.activation or network.activation, self.last
        takes = (before, self.shape[2])
        expanded = network.scaled(block.expansion, network.expansion_scaling, takes) if block.expansion else takes[1]
        full = block.fused or network.convolution == "full"
        if full:
            self.convolve("conv", f"conv{i}", expanded if block.expansion else channels, 3, block.stride, activation)
        else:
            self.depthwise(i, block, expanded, activation)
        if block.gate:
            squeezed = network.scaled(block.gate, "input", (block.expansion or before, expanded))
            self.gate(f"gate{i}", squeezed)
        if block.expansion or not full:
            self.convolve("pointwise", f"pw{i}", channels, 1, 1, None if block.expansion else activation)
        if block.residual and self.shape == self.ops[start].shape_out:
            self.add("add", f"add{i}", self.shape, (self.last, start))

    def depthwise(self, i: int, block: Block, expanded: int, activation: str) -> None:
        """Append the starting depthwise convolution, the expansion and the depthwise convolution, those that block `i`
        has.
        """
        if block.start:
            stride = 1 if block.kernel else block.stride
            self.convolve("depthwise", f"start{i}", self.shape[2], block.start, stride, None)
        if block.expansion and (expanded != self.shape[2] or block.start or not block.kernel):
            self.convolve("pointwise", f"ex{i}", expanded, 1, 1, activation)
        if block.kernel:
            self.convolve("depthwise", f"dw{i}", expanded, block.kernel, block.stride, activation)

    def classifier(self) -> None:
        """Append the pool, the hidden layer, if any, the classifier and its output."""
        network = self.network
        self.add("global_average_pool", "pool", (1, 1, self.shape[2]))
        if network.hidden:
            shape = (1, 1, network.scaled(network.hidden, network.hidden_scaling))
            self.add("pointwise", "hidden", shape, bias=not network.hidden_norm)
            if network.hidden_norm:
                self.add("batch_norm", "hidden_bn", shape)
            self.add(network.activation, "hidden_act", shape)
        self.add("fully_connected", "fc", (1, 1, network.classes), bias=True)
        self.add(network.output, network.output, (1, 1, network.classes))


def expand(network: Network) -> Graph:
    """Return the graph of `network`, verified.

    Names: stem `conv0`; block i `start{i}` (depthwise), `ex{i}` (expansion), `dw{i}`, `gate{i}`, `pw{i}` and `add{i}`,
    or `conv{i}` and `pw{i}` where it is fused; `head`; `pool`, `hidden`, `fc`.
    """
    build = _Builder(network)
    build.convolve("conv", "conv0", network.scaled(network.stem, network.stem_scaling), 3, 2, network.activation)
    before = network.stem
    for i, block in enumerate(network.blocks, 1):
        build.block(i, block, before)
        before = block.channels
    if network.head:
        channels = network.scaled(network.head, network.head_scaling, (before, build.shape[2]))
        build.convolve("pointwise", "head", channels, 1, 1, network.activation)
    if network.output != "features":
        build.classifier()
    return verify(Graph(network, tuple(build.ops)))


def verify(graph: Graph) -> Graph:
    """Return `graph` itself.

    Raises `NetworkError` naming the first op that violates a rule.
    """
    image = (graph.network.height, graph.network.width, graph.network.channels)
    if not graph.ops or graph.ops[0].kind != "input" or graph.ops[0].shape_out != image:
        raise NetworkError(f"a graph must begin with the image of its network, {image}")
    names: set[str] = set()
    for position, op in enumerate(graph.ops):
        problem = _problem(graph.ops, position, op)
        if op.name in names:
            problem = "its name is used twice"
        if problem:
            raise NetworkError(f"op {position} ({op.kind} {op.name}): {problem}")
        names.add(op.name)
    return graph


def _problem(ops: tuple[Op, ...], position: int, op: Op) -> str | None:
    if op.kind not in OPS:
        return f"unknown kind, must be one of {', '.join(OPS)}"
    spec = OPS[op.kind]
    if min(op.shape_out) < 1:
        return f"empty output shape {op.shape_out}"
    if (op.kind == "input") != (position == 0):
        return "a graph has one image, which must be its first op"
    takes = spec.takes(op)
    if len(op.inputs) != len(takes):
        return f"{len(op.inputs)} inputs: {op.kind} takes {len(takes)}"
    if problem := _attribute_problem(op):
        return problem
    for i, shape in zip(op.inputs, takes, strict=True):
        if not 0 <= i < position:
            return f"input {i} is not an earlier op"
        if ops[i].shape_out != shape:
            return f"takes {shape} but {ops[i].name} gives {ops[i].shape_out}"
    if op.shape_out != spec.shape(op):
        return f"shape {op.shape_out} does not follow from {op.shape_in}: expected {spec.shape(op)}"
    return None


def _attribute_problem(op: Op) -> str | None:
    if op.kernel < 1 or op.stride < 1 or min(op.padding) < 0:
        return "kernel and stride must be at least 1, padding at least 0"
    if op.kind not in CONVOLUTIONS and (op.kernel, op.stride, max(op.padding)) != (1, 1, 0):
        return "only convolutions have a kernel, a stride or padding"
    if op.kind == "pointwise" and op.kernel != 1:
        return f"the kernel (={op.kernel}) of a pointwise convolution must be 1"
    if op.bias and OPS[op.kind].role not in ("convolution", "linear"):
        return "only convolutions and fully connected layers have a bias"
    return None


def weight_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every stored array, as PyTorch lays it out: (out, in / groups, k, k), (out, in)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for op in graph.ops:
        shapes |= {f"{op.name}.{array}": shape for array, shape in OPS[op.kind].arrays(op).items()}
        if op.bias:
            shapes[f"{op.name}.bias"] = (op.shape_out[2],)
    return shapes

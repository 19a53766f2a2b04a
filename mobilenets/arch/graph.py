"""`expand(Network) -> Graph`: every shape worked out once; everything after is a reading of the same graph.

Shape letters: H, W, C. Ops stand in execution order; `inputs` are positions of earlier ops.
Where a new kind of op goes: OP_KINDS and `weight_shapes` here, COUNT in cost/count.py, MODULES in
train/module.py, NODES in export/onnx.py; tests/test_architecture.py asserts that the keys agree.
"""

from dataclasses import dataclass

from ..errors import NetworkError
from .network import Network

__all__ = [
    "ACTIVATIONS",
    "CONVOLUTIONS",
    "OP_KINDS",
    "OUTPUTS",
    "Graph",
    "Op",
    "expand",
    "same_padding",
    "verify",
    "weight_shapes",
]

Shape = tuple[int, int, int]  # (H, W, C) of one image

CONVOLUTIONS = ("conv", "depthwise", "pointwise")
ACTIVATIONS = ("relu", "relu6")
OUTPUTS = ("softmax", "sigmoid", "l2_normalise")  # what the classifier's sums become
OP_KINDS = (
    "input",
    *CONVOLUTIONS,
    "batch_norm",
    *ACTIVATIONS,
    "global_average_pool",
    "fully_connected",
    *OUTPUTS,
)


@dataclass(frozen=True, slots=True)
class Op:
    """One operation with its shapes. `padding` is (top, left, bottom, right) in pixels."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    shape_in: Shape
    shape_out: Shape
    kernel: int = 1
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    bias: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Graph:
    """The ops of a network, in execution order."""

    network: Network
    ops: tuple[Op, ...]

    def __repr__(self) -> str:
        return f"Graph({self.network.name}, {len(self.ops)} ops)"

    def op(self, name: str) -> Op:
        return next(op for op in self.ops if op.name == name)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: (before, after), the odd pixel after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Builder:
    """Appends ops, each fed by the one before."""

    def __init__(self, network: Network) -> None:
        self.network = network
        shape = (network.height, network.width, network.channels)
        self.ops = [Op("input", "image", (), shape, shape)]

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """(before, after) along one axis, by the network's rule."""
        if self.network.padding == "symmetric":
            return kernel // 2, kernel // 2
        if self.network.padding == "keras" and stride == 2:  # keras.applications: whether the size is even or odd
            return 0, kernel // 2
        return same_padding(size, kernel, stride)

    def add(self, kind: str, name: str, shape: Shape, **attributes: object) -> None:
        self.ops.append(
            Op(kind, name, (len(self.ops) - 1,), self.ops[-1].shape_out, shape, **attributes)  # type: ignore[arg-type]
        )

    def convolve(self, kind: str, name: str, channels: int, kernel: int, stride: int) -> None:
        """A convolution, its batch norm and its activation."""
        h, w, _ = self.ops[-1].shape_out
        (top, bottom), (left, right) = self.pads(h, kernel, stride), self.pads(w, kernel, stride)
        shape = (
            (h + top + bottom - kernel) // stride + 1,
            (w + left + right - kernel) // stride + 1,
            channels,
        )
        self.add(kind, name, shape, kernel=kernel, stride=stride, padding=(top, left, bottom, right))
        self.add("batch_norm", f"{name}_bn", shape)
        self.add(self.network.activation, f"{name}_act", shape)


def expand(network: Network) -> Graph:
    """The graph of `network`, verified. Stem `conv0`; block i `dw{i}` and `pw{i}`, or `conv{i}`; `head`, if any."""
    build = _Builder(network)
    build.convolve("conv", "conv0", network.scaled(network.stem), 3, 2)
    for i, block in enumerate(network.blocks, 1):
        channels = network.scaled(block.channels)
        if network.convolution == "full":
            build.convolve("conv", f"conv{i}", channels, 3, block.stride)
        else:
            build.convolve("depthwise", f"dw{i}", build.ops[-1].shape_out[2], 3, block.stride)
            build.convolve("pointwise", f"pw{i}", channels, 1, 1)
    if network.head:
        build.convolve("pointwise", "head", network.scaled(network.head), 1, 1)
    if network.output == "features":
        return verify(Graph(network, tuple(build.ops)))
    build.add("global_average_pool", "pool", (1, 1, build.ops[-1].shape_out[2]))
    build.add("fully_connected", "fc", (1, 1, network.classes), bias=True)
    build.add(network.output, network.output, (1, 1, network.classes))
    return verify(Graph(network, tuple(build.ops)))


def verify(graph: Graph) -> Graph:
    """`graph` itself, or `NetworkError` naming the first op that breaks a rule."""
    image = (graph.network.height, graph.network.width, graph.network.channels)
    if not graph.ops or graph.ops[0].kind != "input" or graph.ops[0].shape_out != image:
        raise NetworkError(f"a graph must begin with the image of its network, {image}")
    names: set[str] = set()
    for position, op in enumerate(graph.ops):
        problem = _problem(graph.ops, position, op)
        if op.name in names:
            problem = "its name stands twice"
        if problem:
            raise NetworkError(f"op {position} ({op.kind} {op.name}): {problem}")
        names.add(op.name)
    return graph


def _problem(ops: tuple[Op, ...], position: int, op: Op) -> str | None:
    if op.kind not in OP_KINDS:
        return f"unknown kind, must be one of {', '.join(OP_KINDS)}"
    if min(op.shape_out) < 1:
        return f"empty output shape {op.shape_out}"
    if (op.kind == "input") != (position == 0) or len(op.inputs) != min(position, 1):
        return f"{len(op.inputs)} inputs: the first op has none, every other one"
    if problem := _attribute_problem(op):
        return problem
    for i in op.inputs:
        if not 0 <= i < position:
            return f"input {i} does not stand before it"
        if ops[i].shape_out != op.shape_in:
            return f"takes {op.shape_in} but {ops[i].name} gives {ops[i].shape_out}"
    if op.shape_out != _output_shape(op):
        return f"shape {op.shape_out} does not follow from {op.shape_in}: expected {_output_shape(op)}"
    return None


def _attribute_problem(op: Op) -> str | None:
    if op.kernel < 1 or op.stride < 1 or min(op.padding) < 0:
        return "kernel and stride must be at least 1, padding at least 0"
    if op.kind not in CONVOLUTIONS and (op.kernel, op.stride, max(op.padding)) != (1, 1, 0):
        return "only convolutions have a kernel, a stride or padding"
    if op.kind == "pointwise" and op.kernel != 1:
        return f"the kernel (={op.kernel}) of a pointwise convolution must be 1"
    if op.bias and op.kind not in (*CONVOLUTIONS, "fully_connected"):
        return "only convolutions and fully connected layers have a bias"
    return None


def _output_shape(op: Op) -> Shape:
    """What the op must give, from its input shape and attributes."""
    h, w, c = op.shape_in
    if op.kind in CONVOLUTIONS:
        top, left, bottom, right = op.padding
        out = c if op.kind == "depthwise" else op.shape_out[2]
        return (
            (h + top + bottom - op.kernel) // op.stride + 1,
            (w + left + right - op.kernel) // op.stride + 1,
            out,
        )
    if op.kind == "global_average_pool":
        return 1, 1, c
    if op.kind == "fully_connected":
        return h, w, op.shape_out[2]
    return op.shape_in


def weight_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every stored array, as PyTorch lays it out: (out, in / groups, k, k), (out, in)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for op in graph.ops:
        c, n, k = op.shape_in[2], op.shape_out[2], op.kernel
        if op.kind in CONVOLUTIONS:
            shapes[f"{op.name}.weight"] = (n, 1 if op.kind == "depthwise" else c, k, k)
        elif op.kind == "fully_connected":
            shapes[f"{op.name}.weight"] = (n, c)
        elif op.kind == "batch_norm":
            for array in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{op.name}.{array}"] = (c,)
        if op.bias:
            shapes[f"{op.name}.bias"] = (n,)
    return shapes

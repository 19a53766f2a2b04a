"""The kinds of operation in a graph: `OPS` has one `OpSpec` for each, and every `Consumer` states which it handles.

A new kind is one entry of `OPS`. Every consumer refuses it by name until it handles the kind and states so;
`tests/arch/test_ops.py` asserts that each consumer states every kind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import NetworkError

__all__ = [
    "ACTIVATIONS",
    "CONVOLUTIONS",
    "OPS",
    "OUTPUTS",
    "Consumer",
    "Counts",
    "Op",
    "OpSpec",
    "Role",
    "Shape",
    "kinds_of",
]

Shape = tuple[int, int, int]  # (H, W, C) of one image
Counts = tuple[int, int, int]  # mult-adds, weights, other parameters
Role = Literal["input", "convolution", "batch_norm", "activation", "elementwise", "pool", "linear", "output"]


@dataclass(frozen=True, slots=True)
class Op:
    """One operation with its shapes (H, W, C). `padding` is (top, left, bottom, right) in pixels."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    shape_in: Shape
    shape_out: Shape
    kernel: int = 1
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    bias: bool = False


def _one_input(op: Op) -> tuple[Shape, ...]:
    return (op.shape_in,)


def _same_shape(op: Op) -> Shape:
    return op.shape_in


def _convolved(op: Op) -> Shape:
    """Return the shape that follows from kernel, stride and padding, with the channels that the op states."""
    h, w, _ = op.shape_in
    top, left, bottom, right = op.padding
    height = (h + top + bottom - op.kernel) // op.stride + 1
    return height, (w + left + right - op.kernel) // op.stride + 1, op.shape_out[2]


def _depthwise_convolved(op: Op) -> Shape:
    height, width, _ = _convolved(op)
    return height, width, op.shape_in[2]


def _no_arrays(op: Op) -> dict[str, tuple[int, ...]]:
    return {}


def _kernels(op: Op) -> dict[str, tuple[int, ...]]:
    return {"weight": (op.shape_out[2], op.shape_in[2], op.kernel, op.kernel)}


def _moments(op: Op) -> dict[str, tuple[int, ...]]:
    return {array: (op.shape_in[2],) for array in ("weight", "bias", "running_mean", "running_var")}


def _no_counts(op: Op) -> Counts:
    return 0, 0, 0


def _convolution_counts(op: Op) -> Counts:
    filters = op.kernel * op.kernel * op.shape_in[2] * op.shape_out[2]
    return filters * op.shape_out[0] * op.shape_out[1], filters, op.shape_out[2] * op.bias


def _depthwise_counts(op: Op) -> Counts:
    filters = op.kernel * op.kernel * op.shape_in[2]
    return filters * op.shape_out[0] * op.shape_out[1], filters, 0


def _linear_counts(op: Op) -> Counts:
    weights = op.shape_in[2] * op.shape_out[2]
    return weights, weights, op.shape_out[2]


@dataclass(frozen=True, slots=True)
class OpSpec:
    """The properties of one kind of operation.

    `shape` gives the output shape that follows from an op's input shape and attributes; `takes` the shape of each
    input, the first of which is the op's `shape_in`; `arrays` the shapes of the arrays that the op stores besides its
    bias, in PyTorch's layout: (out, in / groups, k, k), (out, in); `counts` its mult-adds, weights and other parameters
    (batch norm's running statistics are no parameters; elementwise ops count no mult-adds).
    """

    role: Role
    shape: Callable[[Op], Shape] = _same_shape
    arrays: Callable[[Op], dict[str, tuple[int, ...]]] = _no_arrays
    counts: Callable[[Op], Counts] = _no_counts
    in_place: bool = False  # whether it may write over its first input
    takes: Callable[[Op], tuple[Shape, ...]] = _one_input


OPS: dict[str, OpSpec] = {
    "input": OpSpec("input", takes=lambda op: ()),
    "conv": OpSpec("convolution", _convolved, _kernels, _convolution_counts),
    "depthwise": OpSpec(
        "convolution",
        _depthwise_convolved,
        lambda op: {"weight": (op.shape_out[2], 1, op.kernel, op.kernel)},
        _depthwise_counts,
    ),
    "pointwise": OpSpec("convolution", _convolved, _kernels, _convolution_counts),
    "batch_norm": OpSpec("batch_norm", arrays=_moments, counts=lambda op: (0, 0, 2 * op.shape_out[2]), in_place=True),
    "relu": OpSpec("activation", in_place=True),
    "relu6": OpSpec("activation", in_place=True),
    "hard_swish": OpSpec("activation", in_place=True),  # x * relu6(x + 3) / 6 (Howard et al. 2019, 5.2)
    "hard_sigmoid": OpSpec("activation", in_place=True),  # relu6(x + 3) / 6 (the same, 5.2)
    "add": OpSpec("elementwise", in_place=True, takes=lambda op: (op.shape_in, op.shape_in)),
    "multiply": OpSpec(  # by one number per channel (Hu et al. 2018: squeeze and excite)
        "elementwise", in_place=True, takes=lambda op: (op.shape_in, (1, 1, op.shape_in[2]))
    ),
    "global_average_pool": OpSpec("pool", lambda op: (1, 1, op.shape_in[2])),
    "fully_connected": OpSpec(
        "linear",
        lambda op: (*op.shape_in[:2], op.shape_out[2]),
        lambda op: {"weight": (op.shape_out[2], op.shape_in[2])},
        _linear_counts,
    ),
    "softmax": OpSpec("output", in_place=True),
    "sigmoid": OpSpec("output", in_place=True),
    "l2_normalise": OpSpec("output", in_place=True),
}


def kinds_of(*roles: Role) -> tuple[str, ...]:
    """Return the kinds that have one of `roles`, in the order of `OPS`."""
    return tuple(kind for kind, spec in OPS.items() if spec.role in roles)


CONVOLUTIONS = kinds_of("convolution")
ACTIVATIONS = kinds_of("activation")
OUTPUTS = kinds_of("output")  # functions of the classifier's logits


class Consumer:
    """A part of the package that works on ops: its name in errors, and what it handles.

    Parameters
    ----------
    name
        The name used in errors.
    handles, refuses
        Kinds of op; together they are all kinds.
    kernels, strides
        Maps kinds to the sizes that are handled; a kind that is absent has no restriction.
    activations
        Maps kinds to the activations that may follow such an op, with None for no activation; an op of an absent kind
        may have none. An activation that follows anything else is not handled. None (the default) where the consumer
        computes each op separately, so that every combination is handled.
    """

    def __init__(
        self,
        name: str,
        handles: Iterable[str],
        refuses: Iterable[str] = (),
        *,
        kernels: Mapping[str, tuple[int, ...]] = {},
        strides: Mapping[str, tuple[int, ...]] = {},
        activations: Mapping[str, tuple[str | None, ...]] | None = None,
    ) -> None:
        self.name = name
        self.handles = frozenset(handles)
        self.refuses = frozenset(refuses)
        self.kernels, self.strides, self.activations = kernels, strides, activations

    def handled(self, ops: Sequence[Op]) -> bool:
        """Return whether it handles `ops`, which are those of a graph from the image on."""
        return self._problem(ops) is None

    def check(self, ops: Sequence[Op]) -> None:
        """Raise `NetworkError` naming the first of `ops` that it does not handle; `ops` as those of `handled`."""
        if problem := self._problem(ops):
            raise NetworkError(problem)

    def check_kind(self, op: Op) -> None:
        """Raise `NetworkError` where `op` is of a kind that it does not handle."""
        if op.kind not in self.handles:
            raise NetworkError(self._kind_problem(op))

    def _problem(self, ops: Sequence[Op]) -> str | None:
        for op in ops:
            if op.kind not in self.handles:
                return self._kind_problem(op)
            if op.kernel not in self.kernels.get(op.kind, (op.kernel,)):
                sizes = " and ".join(f"{size}x{size}" for size in self.kernels[op.kind])
                return f"op {op.name} ({op.kernel}x{op.kernel}): {self.name} has {op.kind} kernels of {sizes} only"
            if op.stride not in self.strides.get(op.kind, (op.stride,)):
                strides = " and ".join(map(str, self.strides[op.kind]))
                return f"op {op.name} (stride {op.stride}): {self.name} has {op.kind} strides of {strides} only"
        return None if self.activations is None else self._activation_problem(ops, self.activations)

    def _kind_problem(self, op: Op) -> str:
        return f"op {op.name} ({op.kind}): {self.name} does not handle this kind of op"

    def _activation_problem(self, ops: Sequence[Op], activations: Mapping[str, tuple[str | None, ...]]) -> str | None:
        from .layers import grouped  # which imports this module

        for layer in grouped(ops):
            kind, found = layer.op.kind, layer.activation
            if kind in ACTIVATIONS:
                return f"op {layer.name} ({kind}): {self.name} does not handle an activation by itself"
            if (found.kind if found else None) in activations.get(kind, (None,)):
                continue
            if found is None:
                return f"op {layer.name} ({kind}): {self.name} does not handle it without an activation"
            return f"op {found.name} ({found.kind}): {self.name} does not handle it after {layer.name} ({kind})"
        return None

"""The effect of each kind of ONNX node on the chain of layers."""

from collections.abc import Callable
from math import inf

import numpy as np

from ..layers import FileLayer, Norm, Pads, Side, convolution
from .onnx_chain import Chain, Node, Size, State

__all__ = ["FLOATS", "NODES", "joined"]

_HUGE = 3e38  # as float32 has it: no limit
FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16 of TensorProto
_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # of a Transpose: where channels go


def _convolution(chain: Chain, node: Node) -> None:
    kernel, attributes = node.floats(1), node.attributes
    if kernel.ndim != 4 or attributes.get("kernel_shape", kernel.shape[2:]) != kernel.shape[2:]:
        node.refuse(f"a kernel of shape {kernel.shape}, {attributes.get('kernel_shape')}")
    if chain.now.channels_last:
        node.refuse("its channels lie last")
    if not chain.flow.layers:
        _first(chain, node)
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    if dilations != (1, 1) or strides not in ((1, 1), (2, 2)):
        node.refuse(f"strides {strides} and dilations {dilations}: MobileNet has strides 1 and 2")
    padding = _padding(chain, node)
    layer = convolution(
        node.name,
        kernel,
        attributes.get("group", 1),
        bias=None if node.constant(2) is None else node.vector(2, len(kernel)),
        stride=strides[0],
        padding=padding,
    )
    chain.add(layer, _size(chain.now.size, kernel.shape[2], strides[0], padding))


def _first(chain: Chain, node: Node) -> None:
    """Check that the image is NCHW here, changed by at most one number per channel."""
    batch, channels, *sides = np.broadcast_shapes(chain.scale.shape, chain.shift.shape)
    if (batch, *sides) != (1, 1, 1) or channels not in (1, node.floats(1).shape[1]):
        node.refuse("its image is changed otherwise than by one number per channel")
    chain.image = chain.now.size = chain.shape[2], chain.shape[3]


def _padding(chain: Chain, node: Node) -> Pads | Side:
    auto, waiting = node.attributes.get("auto_pad", "NOTSET"), chain.now.pads or (0, 0, 0, 0)
    if auto == "SAME_UPPER" and not any(waiting):
        return "same"
    if auto not in ("NOTSET", "VALID"):
        node.refuse(f"auto_pad {auto}, or a Pad before it as well")
    pads = node.attributes.get("pads", (0, 0, 0, 0)) if auto == "NOTSET" else (0, 0, 0, 0)
    if len(pads) != 4 or min(pads) < 0:
        node.refuse(f"pads {pads}")
    top, left, bottom, right = (a + b for a, b in zip(pads, waiting, strict=True))
    return top, left, bottom, right


def _size(size: Size, kernel: int, stride: int, padding: Pads | Side) -> Size:
    """Return the size after a convolution."""
    if not isinstance(padding, tuple):  # "same"
        height, width = (None if n is None else -(-n // stride) for n in size)
        return height, width
    top, left, bottom, right = padding
    height, width = (
        None if n is None else (n + pad - kernel) // stride + 1
        for n, pad in zip(size, (top + bottom, left + right), strict=True)
    )
    return height, width


def _batch_norm(chain: Chain, node: Node) -> None:
    layer = chain.layer
    if layer is None or layer.norm or not chain.open or layer.weight is None:
        node.refuse("a batch norm that does not directly follow a convolution")
    channels = len(layer.weight)
    gamma, beta, mean, var = (node.vector(position, channels) for position in range(1, 5))
    chain.flow.change(chain.now.value, norm=Norm(gamma, beta, mean, var, float(node.attributes.get("epsilon", 1e-5))))


def _clip(chain: Chain, node: Node, low: float, high: float) -> None:
    if chain.layer is None or chain.layer.kind == "pool":
        node.refuse("an activation that follows no convolution")
    low, high = -inf if low < -_HUGE else low, inf if high > _HUGE else high
    chain.now.value = chain.now.value.clipped(low, high)


def _hard_swish(chain: Chain, node: Node) -> None:
    value = chain.flow.activated(chain.now.value, "hard_swish")
    if value is None:
        node.refuse("an activation that follows no convolution")
    chain.now.value = value


def _hard_sigmoid(chain: Chain, node: Node) -> None:
    slope, offset = (node.attributes.get(name, default) for name, default in (("alpha", 0.2), ("beta", 0.5)))
    chain.now.value = chain.now.value.times(slope).plus(offset)
    _clip(chain, node, 0.0, 1.0)


def _pad(chain: Chain, node: Node) -> None:
    attributes = node.attributes
    pads = node.numbers("pads", 1) or tuple(attributes.get("paddings", ()))
    value = node.number_or(0.0, "value", 2)
    if attributes.get("mode", "constant") != "constant" or value != 0 or node.constant(3) is not None:
        node.refuse("not one padding with zeros")
    if len(pads) != 8 or min(pads) < 0 or chain.now.channels_last:
        node.refuse(f"pads {pads}")
    if any(pads[:2]) or any(pads[4:6]):
        node.refuse(f"pads {pads}: more than height and width")
    chain.now.pads = pads[2], pads[3], pads[6], pads[7]


def _pool(chain: Chain, node: Node) -> None:
    if chain.now.channels_last:
        node.refuse("its channels lie last")
    chain.add(FileLayer("pool", node.name), (1, 1))


def _average_pool(chain: Chain, node: Node) -> None:
    kernel = node.attributes.get("kernel_shape", ())
    if kernel != chain.now.size or any(node.attributes.get("pads", ())):
        node.refuse(f"averages {kernel} of {chain.now.size} (height, width): MobileNet averages all positions")
    _pool(chain, node)


def _reduce_mean(chain: Chain, node: Node) -> None:
    axes = sorted(axis % 4 for axis in node.numbers("axes", 1))
    if axes != ([1, 2] if chain.now.channels_last else [2, 3]):
        node.refuse(f"averages over axes {axes}: MobileNet over height and width")
    chain.now.channels_last = False  # one position is left
    _pool(chain, node)


def _reshape(chain: Chain, node: Node) -> None:
    """Read Flatten, Reshape, Squeeze, Unsqueeze: harmless once one position is left and channels stay one axis."""
    target = node.numbers("shape", 1)[1:] if node.kind == "Reshape" else ()
    if not chain.single or sum(n != 1 for n in target) > 1 or node.attributes.get("axis", 1) != 1:
        node.refuse("it mixes positions with channels; MobileNet averages the positions")


def _transpose(chain: Chain, node: Node) -> None:
    perm = node.numbers("perm", 1)
    if chain.single and perm[:1] == (0,):
        return
    if perm not in (_TO_FIRST, _TO_LAST) or (chain.layer and chain.now.channels_last == (perm == _TO_LAST)):
        node.refuse(f"moves axes to {perm}")
    if chain.layer:
        chain.now.channels_last = perm == _TO_LAST
        return
    chain.shape = tuple(chain.shape[axis] for axis in perm)
    chain.scale, chain.shift = chain.scale.transpose(perm), chain.shift.transpose(perm)


def _fully_connected(chain: Chain, node: Node) -> None:
    """Read Gemm, and MatMul, whose bias may be added later."""
    attributes, matrix = node.attributes, node.floats(1)
    if matrix.ndim != 2 or not chain.single:
        node.refuse(f"a matrix of shape {matrix.shape} on {chain.now.size} positions (height, width)")
    if (attributes.get("alpha", 1.0), attributes.get("beta", 1.0), attributes.get("transA", 0)) != (1.0, 1.0, 0):
        node.refuse("it scales or transposes its input")
    matrix = matrix if attributes.get("transB", 0) else matrix.T
    bias = None if node.constant(2) is None else node.vector(2, len(matrix))
    chain.add(FileLayer("fully_connected", node.name, np.ascontiguousarray(matrix), bias), (1, 1))


def _arithmetic(chain: Chain, node: Node) -> None:
    """Read Add, Sub, Mul, Div: of the image, the bias of the layer before, or a part of an activation."""
    position = next(i for i, values in enumerate(node.inputs) if values is not None)
    values = node.floats(position).astype(np.float64)
    if chain.layer:
        number = values.size == 1 and (chain.layer.weight is None or len(chain.layer.weight) > 1)
        return _by_number(chain, node, position) if number else _bias(chain, node, position)
    backwards = position == 0 and node.kind in ("Sub", "Div")
    if backwards or values.size > 4 or values.ndim > 4 or (node.kind == "Div" and 0 in values):
        node.refuse("not a change of the image by one number per channel")
    values = values.reshape((1,) * (4 - values.ndim) + values.shape)
    if node.kind in ("Mul", "Div"):
        factor = values if node.kind == "Mul" else 1 / values
        chain.scale, chain.shift = chain.scale * factor, chain.shift * factor
    else:
        chain.shift = chain.shift + (values if node.kind == "Add" else -values)


def _by_number(chain: Chain, node: Node, position: int) -> None:
    """Apply a part of a hard sigmoid or hard swish to the value of a layer."""
    number, value = float(node.floats(position).reshape(())), chain.now.value
    if position == 0 and node.kind in ("Sub", "Div"):
        node.refuse("arithmetic that is no layer of a MobileNet")
    if node.kind in ("Add", "Sub"):
        chain.now.value = value.plus(number if node.kind == "Add" else -number)
    else:
        chain.now.value = value.times(number if node.kind == "Mul" else 1 / number if number else inf)


def joined(chain: Chain, node: Node, one: State, other: State) -> None:
    """Read Add and Mul of two computed values: a sum, a hard swish, or a product with a gate."""
    chain.now = one if one.size != (1, 1) else other
    if node.kind == "Add":
        return chain.add(FileLayer("add", node.name), one.size, (other if chain.now is one else one).value)
    channels_last = chain.now.channels_last
    chain.now = State(chain.flow.product(one.value, other.value, node.name), chain.now.size, channels_last)


def _bias(chain: Chain, node: Node, position: int) -> None:
    layer = chain.layer
    if (
        node.kind != "Add"
        or layer is None
        or not chain.open
        or layer.weight is None
        or layer.bias is not None
        or layer.norm
    ):
        node.refuse("arithmetic that is no layer of a MobileNet")
    axes = (1, 1) if layer.kind != "fully_connected" and not chain.now.channels_last else ()
    values = node.floats(position)
    if values.shape[values.ndim - 1 - len(axes) :] != (len(layer.weight), *axes):
        node.refuse(f"{values.shape} values for {len(layer.weight)} channels")
    chain.flow.change(chain.now.value, bias=node.vector(position, len(layer.weight)))


def _cast(chain: Chain, node: Node) -> None:
    if node.attributes.get("to") not in FLOATS:
        node.refuse(f"to data type {node.attributes.get('to')}, no floating point")


def _end(chain: Chain, node: Node) -> None:
    """Read Softmax, its logarithm, or sigmoid: the values before it are the logits."""
    if not chain.classified:
        node.refuse("is before the classifier")
    chain.ends = "sigmoid" if node.kind == "Sigmoid" else "softmax"


def _limit(chain: Chain, node: Node, default: float) -> float:
    """Return the constant of Min and Max."""
    position = next(i for i, values in enumerate(node.inputs) if values is not None)
    return node.number_or(default, "", position)


def _nothing(chain: Chain, node: Node) -> None:
    """Ignore a node that changes no value in inference."""


NODES: dict[str, Callable[[Chain, Node], None]] = {
    "Conv": _convolution,
    "BatchNormalization": _batch_norm,
    "Relu": lambda chain, node: _clip(chain, node, 0.0, inf),
    "Clip": lambda chain, node: _clip(chain, node, node.number_or(-inf, "min", 1), node.number_or(inf, "max", 2)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Max": lambda chain, node: _clip(chain, node, _limit(chain, node, -inf), inf),
    "Min": lambda chain, node: _clip(chain, node, -inf, _limit(chain, node, inf)),
    "Pad": _pad,
    "GlobalAveragePool": _pool,
    "AveragePool": _average_pool,
    "ReduceMean": _reduce_mean,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Gemm": _fully_connected,
    "MatMul": _fully_connected,
    "Add": _arithmetic,
    "Sub": _arithmetic,
    "Mul": _arithmetic,
    "Div": _arithmetic,
    "Sigmoid": _end,
    "Softmax": _end,
    "LogSoftmax": _end,
    "Cast": _cast,
    "Dropout": _nothing,
    "Identity": _nothing,
}

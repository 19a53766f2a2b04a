"""ONNX: this package's own exports, and any chain of the nodes to which a MobileNet is exported. Nothing is run."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ...arch.network import MAX_SIDE, MIN_SIDE
from ...arrays import Array
from ...errors import MobilenetsError, ModelFileError
from ..layers import DETECTOR, Content, ExternalReader, Number, UnreadError
from .exported import stated
from .onnx_chain import Chain, Node, State
from .onnx_nodes import FLOATS, NODES, joined
from .onnx_values import MAX_NAME, array, attributes, constant, load_external

__all__ = ["read_onnx"]

MAX_PARTS = 20_000  # nodes, constants: 256 blocks of all that is read have a tenth of it
_CHOICE = "NonMaxSuppression"
_OF_ANY = ("CastLike", "Shape")  # make constants of what is computed, too: they need no values of it
_MOST_EXPANDED = 1 << 20
_SIZE = np.array([-1])  # what stands for a size of the image, in the target of a Reshape


def read_onnx(content: bytes, external: ExternalReader | None = None) -> Content:
    """Return the layers of the file's graph; `external` reads its external data.

    Raises `ModelFileError` for a file that is damaged or not a chain of layers.
    """
    try:
        model = onnx.load_model_from_string(content)
        return _Reader(model, len(content) + load_external(model.graph, external)).read()
    except DecodeError as exc:
        raise ModelFileError(f"not an ONNX file, or a damaged one: {' '.join(str(exc).split())}") from exc
    except MobilenetsError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as exc:
        raise ModelFileError(f"damaged: {str(exc) or type(exc).__name__}") from exc


class _Reader:
    """Reads the nodes of one file in order: each takes the output of the one before it, and constants."""

    def __init__(self, model: onnx.ModelProto, size: int) -> None:
        self.graph = model.graph
        if max(map(len, (self.graph.node, self.graph.initializer, model.metadata_props))) > MAX_PARTS:
            raise ModelFileError(f"more than {MAX_PARTS} nodes or constants: no MobileNet has so many")
        if not self.graph.node:
            raise ModelFileError("not an ONNX file: it holds no graph")
        if model.functions or self.graph.sparse_initializer:
            raise ModelFileError("it has functions or sparse constants of its own, which no MobileNet needs")
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.stored = {tensor.name: tensor for tensor in self.graph.initializer}
        self.constants: dict[str, Array] = {}
        inputs = [value for value in self.graph.input if value.name not in self.stored]
        if len(inputs) != 1:
            raise ModelFileError(f"{len(inputs)} inputs: a MobileNet takes one image")
        kind = inputs[0].type.tensor_type
        self.chain = Chain(_shape(kind), integers=kind.elem_type == onnx.TensorProto.UINT8, limit=size)
        self.given = self.chain.states  # every computed value
        self.given[inputs[0].name] = self.chain.now

    def read(self) -> Content:
        """Read all nodes in order."""
        self._check_classifier()
        for number, node in enumerate(self.graph.node):
            try:
                self._step(number, node)
            except ModelFileError as exc:
                raise UnreadError(str(exc), self._content) from exc
        for output in self.graph.output:
            if output.name not in self.given:
                raise ModelFileError(f"output {output.name[:MAX_NAME]!r} is given by no node")
        return self._content()

    def _check_classifier(self) -> None:
        """Raise `ModelFileError` for a detector: an output holds four numbers per box, or its graph selects boxes.

        Outputs that all have the same shape are logits and probabilities, perhaps of four classes.
        """
        shapes = [[dim.dim_value for dim in out.type.tensor_type.shape.dim] for out in self.graph.output]
        alike = all(shape == shapes[0] for shape in shapes)
        boxes = not alike and any(len(shape) > 1 and shape[-1] == 4 for shape in shapes)
        if boxes or self.metadata.get("task") == "detect" or any(n.op_type == _CHOICE for n in self.graph.node):
            raise ModelFileError(f"{len(shapes)} outputs, boxes among them: {DETECTOR}")

    def _step(self, number: int, proto: onnx.NodeProto) -> None:
        kind = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
        gives = proto.output[0] if proto.output else ""
        constants = tuple(self._constant(taken) for taken in proto.input)
        node = Node(number, kind[:MAX_NAME], (proto.name or gives)[:MAX_NAME], attributes(proto), constants)
        if kind not in (*NODES, *_FOLD, "Constant"):
            node.refuse("no MobileNet has it; it is not a MobileNet from there on")
        if not gives or gives in self.given or self._constant(gives) is not None:
            node.refuse("gives nothing, or what is given already")
        takes = [taken for taken, values in zip(proto.input, constants, strict=True) if taken and values is None]
        if unknown := [taken for taken in takes if taken not in self.given]:
            node.refuse(f"takes {unknown[0][:MAX_NAME]!r}, which nothing before it gives")
        if kind == "Constant":
            self.constants[gives] = constant(proto)
        elif kind in _FOLD and (kind in _OF_ANY or not takes):
            self.constants[gives] = _FOLD[kind](node)
        elif not takes:
            node.refuse("computes with constants alone, or with the image's size, which is not read")
        else:
            self._compute(node, [self.given[name] for name in takes])
            self.given[gives] = self.chain.now

    def _compute(self, node: Node, takes: list[State]) -> None:
        """Apply a node to the computed values that it takes; what it gives is then the chain's."""
        if any(state.pads for state in takes) and node.kind != "Conv":
            node.refuse("there is a Pad before it, which only convolutions have")
        if len(takes) == 2 and node.kind in ("Add", "Mul"):
            joined(self.chain, node, *takes)
        elif len(takes) == 1 and node.kind in NODES:
            self.chain.now = replace(takes[0])
            NODES[node.kind](self.chain, node)
        else:
            node.refuse("does not take just what the one before it gives; a MobileNet is one chain")

    def _constant(self, name: str) -> Array | None:
        """Return a constant by name; None for a computed value."""
        if name and name in self.stored:
            self.constants[name] = array(self.stored.pop(name))
        return self.constants.get(name)

    def _content(self) -> Content:
        (height, width), pixels = self.chain.image, self.chain.pixels()
        if any(side is not None and not MIN_SIDE <= side <= MAX_SIDE for side in (height, width)):
            raise ModelFileError(f"images of {height}x{width}: sides are from {MIN_SIDE} to {MAX_SIDE}")
        if self.chain.now.pads:
            raise ModelFileError("it ends with a Pad")
        size = None if height is None or width is None else (height, width)
        settings = {"size": size, "pixels": pixels, "ends": self.chain.ends}
        own = stated(self.metadata) if self.metadata.get("format") == "mobilenets.onnx" else {}
        if own and (own["size"] != size or pixels is None or not _same(own["pixels"], pixels)):
            raise ModelFileError(f"its metadata states another size or other pixels than its graph: {size}, {pixels}")
        return Content("ONNX", self.chain.layers(), **{**settings, **own})


def _same(a: tuple[Number, Number], b: tuple[Number, Number]) -> bool:
    return all(np.allclose(x, y) for x, y in zip(a, b, strict=True))


def _shape(kind: Any) -> tuple[int | None, ...]:
    """Return the shape of an image as the file states it: None for an open side."""
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    if len(shape) != 4:
        raise ModelFileError(f"an input of {len(shape)} axes: images have 4")
    return shape


def _joined(node: Node) -> Array:
    """Return the sizes for a Reshape."""
    values = [value.reshape(-1) for value in node.inputs if value is not None]
    if not 1 <= sum(map(len, values)) <= 8:
        node.refuse("joins constants to more than a few numbers")
    return np.concatenate(values)


def _reshaped(node: Node) -> Array:
    values, axes = node.constant(0), node.numbers("axes", 1)
    if values is None or values.ndim + len(axes) > 8:
        node.refuse("reshapes no constant")
    if node.kind == "Reshape":
        return values.reshape(node.numbers("shape", 1))
    return np.expand_dims(values, axes) if node.kind == "Unsqueeze" else np.squeeze(values, axes or None)


def _same_values(node: Node) -> Array:
    values = node.constant(0)
    if values is None or (node.kind == "Cast" and node.attributes.get("to") not in FLOATS and values.dtype.kind == "f"):
        node.refuse("makes another number of a constant")
    return values.transpose(node.numbers("perm", 1) or None) if node.kind == "Transpose" else values


def _expanded(node: Node) -> Array:
    values, target = node.constant(0), node.numbers("shape", 1)
    if values is None or min(target, default=1) < 1 or prod(target) > _MOST_EXPANDED:
        node.refuse(f"expands to {target}, which is no size of a constant")
    return np.broadcast_to(values, np.broadcast_shapes(values.shape, target))


def _size(node: Node) -> Array:
    if node.kind == "Shape" and (values := node.constant(0)) is not None:
        return np.array(values.shape[node.attributes.get("start", 0) : node.attributes.get("end")])
    if node.kind != "Shape" and node.constant(0) is not _SIZE:
        node.refuse("takes a part of a constant")
    return _SIZE


# what nodes make of constants alone
_FOLD: dict[str, Callable[[Node], Array]] = {
    "Shape": _size,
    "Gather": _size,
    "Slice": _size,
    "Expand": _expanded,
    "Reshape": _reshaped,
    "CastLike": _same_values,
    "Concat": _joined,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Identity": _same_values,
    "Cast": _same_values,
    "Transpose": _same_values,
}

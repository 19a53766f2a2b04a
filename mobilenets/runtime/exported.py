"""Checks of an exported ONNX file before ONNX Runtime opens it: its metadata, and that running it is bounded work."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, ModelProto, load_model_from_string
from onnx.shape_inference import infer_shapes

from ..arch.graph import expand
from ..arch.network import Network
from ..errors import ModelFileError
from ..model import from_metadata

__all__ = ["OnnxFile", "checked_metadata"]

MAX_PARTS = 20_000  # nodes, and constants: the largest detector has some hundred
MAX_GROWTH = 32  # ratio of a tensor to the network's largest, which excludes a detector's head
_SPARE = 1 << 24  # values that any tensor may have
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


@dataclass(frozen=True, slots=True, repr=False)
class OnnxFile:
    """An exported `.onnx` file that has been read; ONNX Runtime alone runs it."""

    path: Path
    content: bytes

    def __repr__(self) -> str:
        return f"OnnxFile({str(self.path)!r})"

    @classmethod
    def read(cls, path: Path) -> "OnnxFile":
        """Read the file at `path`; `ModelFileError` where it cannot be read."""
        try:
            return cls(path, path.read_bytes())
        except OSError as exc:
            raise ModelFileError(f"{path}: cannot be read: {exc.strerror}") from exc


def checked_metadata(content: bytes) -> dict[str, Any]:
    """Return the fields of `model.from_metadata`.

    Raises `ModelFileError` where the metadata is wrong or the graph is not one that this package could have written.
    """
    try:
        model = load_model_from_string(content)
    except DecodeError as exc:
        raise ModelFileError("not an ONNX file, or a damaged one") from exc
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("format") != "mobilenets.onnx":
        raise ModelFileError("without this package's metadata its labels and preprocessing are unknown")
    fields, _ = from_metadata({"metrics": "{}", "data": "{}", **metadata})  # only model files have these
    _check_parts(model)
    _check_sizes(model, fields["network"])
    return fields


def _check_parts(model: ModelProto) -> None:
    """Raise `ModelFileError` for loops, functions and data in other files: each node must run once."""
    graph = model.graph
    if len(graph.node) > MAX_PARTS or len(graph.initializer) > MAX_PARTS:
        parts = f"{len(graph.node)} nodes and {len(graph.initializer)} constants"
        raise ModelFileError(f"its graph has {parts}, more than {MAX_PARTS} are not run")
    if model.functions or graph.sparse_initializer:
        raise ModelFileError("its graph has functions or sparse constants, which no exported network has")
    for node in graph.node:
        if any(attribute.type in _GRAPHS for attribute in node.attribute):
            raise ModelFileError(f"its graph has a {node.op_type}, which holds a graph: no exported network has one")
    for tensor in graph.initializer:
        if tensor.external_data:
            raise ModelFileError(f"{tensor.name}: its values are in another file, which is not opened")


def _check_sizes(model: ModelProto, network: Network) -> None:
    """Raise `ModelFileError` for a tensor far larger than those of the network that the file states."""
    most = MAX_GROWTH * max(prod(op.shape_out) for op in expand(network).ops) + _SPARE
    try:
        inferred = infer_shapes(model).graph
    except Exception as exc:  # onnx raises errors of its C++
        raise ModelFileError(f"the shapes of its graph do not fit together: {exc}") from exc
    for value in (*inferred.value_info, *inferred.output):
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.dim_value > 0]
        if prod(sizes) > most:
            raise ModelFileError(f"{value.name}: a tensor of {prod(sizes)} numbers, at most {most} are computed")

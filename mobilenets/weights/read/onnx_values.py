"""Constants and attributes of an ONNX file as NumPy arrays and Python values. No other file is opened."""

from math import prod
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from ...errors import ModelFileError
from ..layers import ExternalReader

__all__ = ["MAX_NAME", "array", "attributes", "constant", "load_external"]

MAX_NAME = 80  # of what is shown of a name

Values = np.ndarray[Any, np.dtype[Any]]

_KINDS: dict[
    int, tuple[str, str]
] = {  # data_type -> (how raw_data is laid out, the field that holds the values where raw_data does not)
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.UINT8: ("u1", "int32_data"),
    TensorProto.BOOL: ("?", "int32_data"),
}


def load_external(graph: GraphProto, external: ExternalReader | None) -> int:
    """Load the external data of a graph's constants into it; return the number of bytes."""
    count = 0
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and external is not None:
            values = _external(tensor, external)
            tensor.ClearField("external_data")
            tensor.data_location, tensor.raw_data = TensorProto.DEFAULT, values
            count += len(values)
    return count


def _external(tensor: TensorProto, external: ExternalReader) -> bytes:
    """Return the part of an external file that holds a tensor's values."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    data, name = external(entries.get("location", "")), tensor.name[:MAX_NAME]
    try:
        start = int(entries.get("offset", "0"))
        length = int(entries.get("length", len(data) - start))
    except ValueError as exc:
        at, many = (entries.get(key, "")[:MAX_NAME] for key in ("offset", "length"))
        raise ModelFileError(f"{name}: its external data are at byte {at!r}, for {many!r} bytes") from exc
    if start < 0 or length < 0 or start + length > len(data):
        raise ModelFileError(f"{name}: bytes {start} to {start + length} of {len(data)} of its external data")
    return data[start : start + length]


def array(tensor: TensorProto) -> Values:
    """Return the values of a tensor, no more than the file holds."""
    name = tensor.name[:MAX_NAME] or "a constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        raise ModelFileError(f"{name}: its values are in another file ({place[:MAX_NAME]!r}), which is not opened")
    if tensor.data_type not in _KINDS:
        raise ModelFileError(f"{name}: data type {tensor.data_type}, which is not read")
    dtype, field = _KINDS[tensor.data_type]
    shape = tuple(tensor.dims)
    if min(shape, default=1) < 1 or len(shape) > 8:
        raise ModelFileError(f"{name}: shape {shape[:8]}")
    if tensor.HasField("raw_data"):
        found = len(tensor.raw_data) / np.dtype(dtype).itemsize
    else:
        found = len(getattr(tensor, field))
    if found != prod(shape):
        raise ModelFileError(f"{name}: {found:g} values for shape {shape}")
    if tensor.HasField("raw_data"):
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    values = np.array(getattr(tensor, field))
    if dtype == "<f2":  # the bits of a half, as an integer
        return values.astype("<u2").view(dtype).reshape(shape)
    return values.astype(dtype).reshape(shape)


def attributes(node: NodeProto) -> dict[str, Any]:
    """Return numbers, texts and lists of numbers; other values as the protocol has them."""
    return {attribute.name: _value(attribute) for attribute in node.attribute}


def _value(attribute: AttributeProto) -> Any:
    match attribute.type:
        case AttributeProto.FLOAT:
            return float(str(np.float32(attribute.f)))  # 0.001 as it was written
        case AttributeProto.INT:
            return attribute.i
        case AttributeProto.STRING:
            return attribute.s.decode("utf-8", "replace")
        case AttributeProto.INTS:
            return tuple(attribute.ints)
        case AttributeProto.FLOATS:
            return tuple(attribute.floats)
        case AttributeProto.TENSOR:
            return attribute.t
    return attribute


def constant(node: NodeProto) -> Values:
    """Return the value of a Constant node."""
    found = attributes(node)
    if isinstance(found.get("value"), TensorProto):
        return array(found["value"])
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, kind in kinds.items():
        if name in found:
            return np.array(found[name], kind)
    raise ModelFileError(
        f"{node.name[:MAX_NAME] or 'a Constant'}: holds {', '.join(found)[:MAX_NAME] or 'nothing'}, which is not read"
    )

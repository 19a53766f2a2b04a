"""Tensors of the Open Inference Protocol as JSON and in its binary extension."""

import base64
import binascii
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any

import numpy as np

from ..arrays import Array, Floats
from ..errors import UsageError
from ..schema import Between, parsed, read
from .messages import JSON, Response

__all__ = ["InferRequest", "InputTensor", "OutputTensor", "images_of", "parse_request", "response_of"]

HEADER = b"inference-header-content-length"
NUMBERS: dict[str, np.dtype[Any]] = {"UINT8": np.dtype(np.uint8), "FP32": np.dtype("<f4")}
BINARY = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True, slots=True)
class InputTensor:
    """An input of a request; `data` are its values in JSON, or what the binary part holds of it."""

    name: str
    shape: tuple[Annotated[int, Between(0, 2**31)], ...]
    datatype: str
    parameters: dict[str, Any] = field(default_factory=dict)
    data: Any = None


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """An output that a request asks for."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """The JSON of a request."""

    inputs: tuple[InputTensor, ...]
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[OutputTensor, ...] | None = None


def parse_request(header: str, body: bytes) -> tuple[InferRequest, bytes]:
    """Return the request and its binary part; `header` is the length of its JSON, '' where it is all.

    Raises a `MobilenetsError` for what the protocol does not allow.
    """
    if header and not (re.fullmatch(r"\d{1,9}", header) and int(header) <= len(body)):
        raise UsageError(f"{HEADER.decode()} (={header}) must be at most the length of the body, {len(body)}")
    end = int(header) if header else len(body)
    try:
        text = body[:end].decode()
    except UnicodeDecodeError as exc:
        raise UsageError(f"the request is not UTF-8: {exc.reason} at byte {exc.start}") from exc
    found: InferRequest = read(InferRequest, parsed(text, "the request"), "request")
    return found, body[end:]


def images_of(request: InferRequest, binary: bytes) -> Array | list[bytes]:
    """Return the only input: an array of UINT8 or FP32, or of BYTES the content of each image file."""
    if [one.name for one in request.inputs] != ["image"]:
        names = ", ".join(one.name for one in request.inputs)
        raise UsageError(f"inputs are {names or 'none'}: must be one, image")
    tensor = request.inputs[0]
    if not prod(tensor.shape):
        raise UsageError(f"image has shape {list(tensor.shape)}: it holds nothing")
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if binary:
            raise UsageError(f"{len(binary)} bytes follow the JSON, and image states no binary_data_size")
        return _files_in_json(tensor) if tensor.datatype == "BYTES" else _numbers_in_json(tensor)
    if tensor.data is not None:
        raise UsageError("image has data and binary_data_size: must have one of them")
    if type(size) is not int or size != len(binary):
        raise UsageError(f"binary_data_size (={size!r:.40}) must be the {len(binary)} bytes that follow the JSON")
    if tensor.datatype == "BYTES":
        return _files(binary, prod(tensor.shape))
    return _numbers(tensor, np.frombuffer(binary, np.uint8))


def _numbers(tensor: InputTensor, binary: Array) -> Array:
    dtype = _dtype(tensor)
    if len(binary) != prod(tensor.shape) * dtype.itemsize:
        wanted = f"{prod(tensor.shape) * dtype.itemsize} bytes of {tensor.datatype} {list(tensor.shape)}"
        raise UsageError(f"image has {len(binary)} bytes, must have {wanted}")
    return binary.view(dtype).reshape(tensor.shape)


def _dtype(tensor: InputTensor) -> "np.dtype[Any]":
    if tensor.datatype not in NUMBERS:
        raise UsageError(f"image has datatype {tensor.datatype!r}, must be {', '.join(NUMBERS)} or BYTES")
    if len(tensor.shape) != 4:
        raise UsageError(
            f"image has shape {list(tensor.shape)}, must have 4 dimensions: images, height, width, channels"
        )
    return NUMBERS[tensor.datatype]


def _numbers_in_json(tensor: InputTensor) -> Array:
    dtype = _dtype(tensor)
    try:
        values = np.array(tensor.data)
    except (ValueError, OverflowError, RecursionError):
        values = np.array(None)  # lists of unequal lengths
    if values.dtype.kind not in ("iu" if dtype.kind == "u" else "iuf"):
        raise UsageError(f"image has data that are not an array of {tensor.datatype}")
    if values.size != prod(tensor.shape):
        raise UsageError(f"image has {values.size} numbers, must have those of the shape {list(tensor.shape)}")
    if dtype.kind == "u" and not (values.min() >= 0 and values.max() <= 255):
        raise UsageError(f"image has numbers from {values.min()} to {values.max()}, must be from 0 to 255")
    with np.errstate(over="ignore"):
        return values.astype(dtype).reshape(tensor.shape)


def _files(binary: bytes, count: int) -> list[bytes]:
    """Return strings that are each preceded by their length, 4 bytes with the lowest first."""
    files: list[bytes] = []
    at = 0
    while at < len(binary):
        length = struct.unpack_from("<I", binary, at)[0] if at + 4 <= len(binary) else len(binary)
        if at + 4 + length > len(binary):
            raise UsageError(f"image ends within its string {len(files)}")
        files.append(binary[at + 4 : at + 4 + length])
        at += 4 + length
    return _as_many(files, count)


def _files_in_json(tensor: InputTensor) -> list[bytes]:
    data = tensor.data
    if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
        raise UsageError("image of BYTES has data that are not a list of strings, must be image files in base64")
    try:
        return _as_many([base64.b64decode(one, validate=True) for one in data], prod(tensor.shape))
    except (binascii.Error, ValueError) as exc:
        raise UsageError(f"image of BYTES has data that are not base64: {exc}") from exc


def _as_many(files: list[bytes], count: int) -> list[bytes]:
    if len(files) != count:
        raise UsageError(f"image has {len(files)} strings, its shape states {count}")
    return files


def response_of(request: InferRequest, model: str, output: str, rows: Floats, labels: Sequence[str]) -> Response:
    """Return the response with `rows`, the output of each image, in the forms that the request asks for."""
    asked = (OutputTensor(output),) if request.outputs is None else request.outputs
    tensors, parts = [], []
    for one in asked:
        if one.name != output:
            raise UsageError(f"output {one.name!r} must be {output}")
        values = _classified(one, rows, labels) if "classification" in one.parameters else rows
        tensor: dict[str, Any] = {
            "name": output,
            "datatype": "FP32" if values is rows else "BYTES",
            "shape": list(values.shape),
        }
        if one.parameters.get("binary_data", request.parameters.get("binary_data_output", False)) is True:
            parts.append(values.astype("<f4").tobytes() if values is rows else _strings(values))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = values.ravel().tolist()
        tensors.append(tensor)
    answer = {"model_name": model, "model_version": "1", "outputs": tensors}
    text = json.dumps({**answer, "id": request.id} if request.id else answer).encode()
    if not parts:
        return Response(200, text, [JSON])
    return Response(200, text + b"".join(parts), [BINARY, (HEADER, b"%d" % len(text))])


def _classified(output: OutputTensor, rows: Floats, labels: Sequence[str]) -> Array:
    """Return the best classes of each image as strings: score:index:label."""
    count = output.parameters["classification"]
    if type(count) is not int or not 1 <= count <= len(labels):
        raise UsageError(f"classification (={count!r:.40}) must be a whole number from 1 to {len(labels)}")
    if rows.ndim != 2:
        raise UsageError("classification is of outputs with a number for each class")
    best = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    return np.array([[f"{row[i]:f}:{i}:{labels[i]}" for i in one] for row, one in zip(rows, best, strict=True)], object)


def _strings(values: Array) -> bytes:
    texts = [str(value).encode() for value in values.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)

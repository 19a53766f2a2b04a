"""safetensors: timm's files, Hugging Face transformers', and any state dict. The library checks the layout."""

import json
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from ...arrays import Floats
from ...errors import ModelFileError
from ...model import PREFIX
from ..layers import Content
from .exported import stated
from .state_dict import MAX_NAME, check_count, content_of, floats, in_order

__all__ = ["read_safetensors"]

Entries = list[tuple[str, dict[str, Any]]]  # name -> dtype, shape, data

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16"}


def read_safetensors(content: bytes) -> Content:
    """Return the layers of a state dict.

    Raises `ModelFileError` for a file that is damaged or not a chain of layers.
    """
    try:
        entries: Entries = deserialize(content)  # type: ignore[no-untyped-call]
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
    except SafetensorError as exc:
        raise ModelFileError(f"damaged: {str(exc)[:200]}") from exc
    check_count(len(entries))
    if metadata.get("format") == "mobilenets.model":
        raise ModelFileError("it is a mobilenets model already: use it as it is")
    tensors = {name: _array(name, info) for name, info in entries if not name.endswith("num_batches_tracked")}
    return content_of("safetensors", in_order(tensors), stated(metadata, PREFIX))


def _array(name: str, info: dict[str, Any]) -> Floats:
    dtype = _DTYPES.get(info["dtype"])
    if dtype is None:
        raise ModelFileError(f"{name[:MAX_NAME]}: {info['dtype']}, must be floating point: {', '.join(_DTYPES)}")
    numbers = np.frombuffer(info["data"], "<u2" if dtype == "bf16" else dtype)
    try:
        return floats(name, numbers.reshape(info["shape"]), dtype)
    except ValueError as exc:
        raise ModelFileError(f"{name[:MAX_NAME]}: {len(numbers)} values for shape {info['shape'][:8]}") from exc

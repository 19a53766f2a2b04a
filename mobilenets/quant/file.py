"""An int8 network in one `.safetensors` file; `load` also reads a float one. No pickle is used.

Of each layer: NAME.weight int8, NAME.scale float32, NAME.bias int32. The metadata is that of a float model, with
"activations" ({op: [scale, zero point]}) and "zero_points" (of weights, where they are not 0).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from .. import model as floats
from ..errors import MobilenetsError, ModelFileError
from ..files import write_atomic
from ..model import Model, from_metadata, in_order, to_metadata
from ..schema import parsed, read
from .scheme import IntegerLayer, QuantModel, QuantParams

__all__ = ["FORMAT", "FORMAT_VERSION", "load", "save"]

FORMAT = "mobilenets.quantized"
FORMAT_VERSION = "1"
ARRAYS = ("weight", "scale", "bias")


def save(model: QuantModel, path: str | Path) -> Path:
    """Write one `.safetensors`, atomically."""
    arrays = {f"{name}.{array}": getattr(layer, array) for name, layer in model.layers.items() for array in ARRAYS}
    activations = {name: [a.scale, a.zero_point] for name, a in model.activations.items()}
    zero_points = {name: layer.zero_point for name, layer in model.layers.items() if layer.zero_point}
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **to_metadata(model),
        "activations": json.dumps(activations, sort_keys=True),
        "zero_points": json.dumps(zero_points, sort_keys=True),
    }
    file = to_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)
    return write_atomic(Path(path), in_order(file))


def load(path: str | Path) -> Model | QuantModel:
    """Return the float or int8 model in `path` or a run folder; raises `ModelFileError` naming what is wrong."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") == FORMAT:
                return _read(file, metadata)
    except (MobilenetsError, ValueError, TypeError) as exc:
        raise ModelFileError(f"{path}: {exc}") from exc
    except (SafetensorError, OSError):
        pass  # `floats.load` reports it
    return floats.load(path)


def _read(file: Any, metadata: Mapping[str, str]) -> QuantModel:
    if metadata.get("version") != FORMAT_VERSION:
        raise ModelFileError(f"version {metadata.get('version')!r}: this release reads {FORMAT_VERSION}")
    if len(file.keys()) > floats.MAX_ARRAYS:
        raise ModelFileError(f"{len(file.keys())} arrays, more than {floats.MAX_ARRAYS} are not read")
    arrays: dict[str, dict[str, Any]] = {}
    for key in file.keys():
        name, _, array = key.rpartition(".")
        arrays.setdefault(name, {})[array] = file.get_tensor(key)
    for name, layer in arrays.items():
        if set(layer) != set(ARRAYS):
            raise ModelFileError(
                f"layer {name!r} has {', '.join(sorted(layer))}, must have {', '.join(sorted(ARRAYS))}"
            )
    zero_points = _stated(metadata, "zero_points", dict[str, int])
    activations = _stated(metadata, "activations", dict[str, tuple[float, int]])
    fields, _ = from_metadata(metadata)
    return QuantModel(
        activations={name: QuantParams(scale, zero_point) for name, (scale, zero_point) in activations.items()},
        layers={name: IntegerLayer(**layer, zero_point=zero_points.get(name, 0)) for name, layer in arrays.items()},
        **fields,
    )


def _stated(metadata: Mapping[str, str], key: str, kind: Any) -> Any:
    if key not in metadata:
        raise ModelFileError(f"its metadata lacks {key!r}")
    return read(kind, parsed(metadata[key], key), key)

"""Reading of an int8 network's `.safetensors` file, and `load`, which takes a float one as well. No pickle.

Of each layer: NAME.weight int8, NAME.scale float32, NAME.bias int32; of an activation with a table of its own:
NAME.table int8. The metadata is that of a float model, with
"activations" ({op: [scale, zero point]}) and "zero_points" (of weights, where they are not 0).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from .. import model as floats
from ..errors import ModelFileError
from ..model import Model, from_metadata
from ..schema import parsed, read
from .scheme import ARRAYS, FORMAT, FORMAT_VERSION, TABLE, IntegerLayer, QuantModel, QuantParams

__all__ = ["load", "load_own"]


def load(path: str | Path) -> Model | QuantModel:
    """Return the model in `path` or in a run folder, float or int8; `ModelFileError` says what is wrong with it."""
    with floats.reading(path) as (file, metadata):
        return _read(file, metadata) if metadata.get("format") == FORMAT else floats.read_file(file, metadata)


def load_own(path: Path) -> Model | QuantModel | None:
    """Return what `load` returns; None where another program wrote the file, or where it is damaged."""
    try:
        with floats.reading(path) as (file, metadata):
            if metadata.get("format") == FORMAT:
                return _read(file, metadata)
            if metadata.get("format") == floats.FORMAT:
                return floats.read_file(file, metadata)
    except ModelFileError as exc:
        if not isinstance(exc.__cause__, SafetensorError | OSError):
            raise
    return None


def _read(file: Any, metadata: Mapping[str, str]) -> QuantModel:
    if metadata.get("version") != FORMAT_VERSION:
        raise ModelFileError(f"version {metadata.get('version')!r}: this release reads {FORMAT_VERSION}")
    if len(file.keys()) > floats.MAX_ARRAYS:
        raise ModelFileError(f"{len(file.keys())} arrays, more than {floats.MAX_ARRAYS} are not read")
    arrays: dict[str, dict[str, Any]] = {}
    for key in file.keys():
        name, _, array = key.rpartition(".")
        arrays.setdefault(name, {})[array] = file.get_tensor(key)
    tables = {name: arrays.pop(name)[TABLE] for name, layer in list(arrays.items()) if set(layer) == {TABLE}}
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
        tables=tables,
        **fields,
    )


def _stated(metadata: Mapping[str, str], key: str, kind: Any) -> Any:
    if key not in metadata:
        raise ModelFileError(f"its metadata lacks {key!r}")
    return read(kind, parsed(metadata[key], key), key)

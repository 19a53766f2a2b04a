"""`Model`: everything that a trained network is, in one `.safetensors` file. No pickle.

The arrays are named as `arch.graph.weight_shapes` names them; those of a task's own head begin with "task.". The
metadata holds, as JSON under one key each: network, preprocess, labels, task, decoding, metrics, data, version.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .arch.fold import without_batch_norm
from .arch.graph import Graph, expand, weight_shapes
from .arch.network import Network
from .errors import MobilenetsError, ModelFileError
from .files import write_atomic
from .heads import TASK, read_head
from .image import Preprocess
from .schema import parsed, read
from .text import listed

__all__ = [
    "CHECKPOINT",
    "FORMAT",
    "FORMAT_VERSION",
    "MAX_ARRAYS",
    "PREFIX",
    "RECORD",
    "TASK",
    "AnyModel",
    "Model",
    "check_use",
    "described",
    "digest_of",
    "from_metadata",
    "in_order",
    "load",
    "model_file",
    "read_file",
    "reading",
    "to_metadata",
    "use_from_metadata",
    "use_to_metadata",
]

FORMAT = "mobilenets.model"
CHECKPOINT = "mobilenets.checkpoint"  # of training/state.py
FORMAT_VERSION = 1
PREFIX = "mobilenets_"  # of the keys for network, preprocess and labels in files of other formats
RECORD = "mobilenets.json"  # those keys, in the zip file that `torch.save` writes
MAX_ARRAYS = 20_000  # of the network with the most blocks there are 2,600
Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """A network with its weights (float32) and all that is needed to use and to evaluate it."""

    network: Network
    weights: Arrays
    preprocess: Preprocess
    labels: tuple[str, ...]
    task: str = "classify"
    head_config: dict[str, Any] = field(default_factory=dict)  # the settings of the task's head, see `heads`
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)  # fingerprint and sizes of the data it was trained on

    def __post_init__(self) -> None:
        check_use(self.network, self.preprocess, self.labels)
        _check_weights(self.weights, weight_shapes(self.graph))

    precision: ClassVar[Literal["fp32"]] = "fp32"  # type checkers tell the two kinds of model apart by it

    def __repr__(self) -> str:
        return described(self)

    @property
    def graph(self) -> Graph:
        return expand(self.network)

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def nbytes(self) -> int:
        """Return the bytes of the network's weights with batch norm folded, without those of a task's own head."""
        return sum(4 * prod(shape) for shape in weight_shapes(without_batch_norm(self.graph)).values())

    def digest(self) -> str:
        """Return the SHA-256 of the names and bytes of all weights: equal digests mean equal networks, bit for bit."""
        return digest_of(self.weights)

    def to_bytes(self) -> bytes:
        """Return the content of the model's `.safetensors` file."""
        metadata = {"format": FORMAT, "version": str(FORMAT_VERSION), **to_metadata(self)}
        arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in self.weights.items()}
        return in_order(save(arrays, metadata))

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors`, atomically."""
        return write_atomic(Path(path), self.to_bytes())


def digest_of(weights: Arrays) -> str:
    """Return the SHA-256 of the names and bytes of `weights`, as of `Model.digest`."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name], "<f4").reshape(-1).data)  # no copy
    return digest.hexdigest()


def model_file(path: Path) -> Path:
    """Return `path`, or the best model of the run folder that it is; `ModelFileError` where it is neither."""
    if path.is_dir():
        if not (path / "best.safetensors").is_file():
            runs = sorted(found.parent.name for found in path.glob("*/best.safetensors"))
            inside = f"; run folders in it: {listed(runs)}" if runs else ""
            raise ModelFileError(f"{path}: not a run folder, it holds no best.safetensors{inside}")
        path = path / "best.safetensors"
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if path.suffix not in (".safetensors", ".onnx"):
        raise ModelFileError(f"{path}: a model is a run folder, a .safetensors or .onnx file, or one that import reads")
    return path


def in_order(file: bytes) -> bytes:
    """Return `file` with its metadata sorted, which safetensors orders at random: equal models are equal files."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays stay aligned
    return len(text).to_bytes(8, "little") + text + file[end:]


def load(path: str | Path, body: bool = False) -> Model:
    """Return the float model in `path`, or the best one of a run folder.

    `body`: the file is what a run starts from, which has no head of its task yet.
    Raises `ModelFileError`, which names what is missing, wrong or does not fit.
    """
    with reading(path) as (file, metadata):
        return read_file(file, metadata, body)


@contextmanager
def reading(path: str | Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open the `.safetensors` at `path`, or the best model of a run folder; give the open file and its metadata.

    An error about its content becomes a `ModelFileError` that names the file.
    """
    path = Path(path)
    if path.is_dir():
        path = model_file(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if path.suffix == ".onnx":
        raise ModelFileError(f"{path}: an exported file is for running: this wants the .safetensors model")
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") == CHECKPOINT:
                raise ModelFileError("a training checkpoint; the model is the run folder, or best.safetensors in it")
            yield file, metadata
    except (MobilenetsError, SafetensorError, OSError, ValueError, TypeError) as exc:
        raise ModelFileError(f"{path}: {exc}") from exc


def read_file(file: Any, metadata: Mapping[str, str], body: bool = False) -> Model:
    """Return the float model of an open `.safetensors` file; `body` as in `load`."""
    if metadata.get("format") == "mobilenets.quantized":
        raise ModelFileError("an int8 model: this wants the float model that it was made from")
    if metadata.get("format") != FORMAT:
        raise ModelFileError("its metadata says nothing of a mobilenets model")
    if metadata.get("version") != str(FORMAT_VERSION):
        raise ModelFileError(f"version {metadata.get('version')!r}: this release reads {FORMAT_VERSION}")
    fields, head = from_metadata(metadata, body)
    if len(file.keys()) > MAX_ARRAYS:
        raise ModelFileError(f"{len(file.keys())} arrays, more than {MAX_ARRAYS} are not read")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    _check_shapes(shapes, weight_shapes(expand(fields["network"])) | head)
    return Model(weights={name: file.get_tensor(name) for name in shapes}, **fields)


class AnyModel(Protocol):
    """A float model (`Model`) or an int8 one (`quant.scheme.QuantModel`): what both of them have."""

    @property
    def name(self) -> str: ...
    @property
    def network(self) -> Network: ...
    @property
    def graph(self) -> Graph: ...
    @property
    def precision(self) -> str:
        """Return the number format of the weights: fp32 or int8."""

    @property
    def preprocess(self) -> Preprocess: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def task(self) -> str: ...
    @property
    def head_config(self) -> dict[str, Any]: ...
    @property
    def metrics(self) -> dict[str, Any]: ...
    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def nbytes(self) -> int:
        """Return the bytes of all arrays."""

    def digest(self) -> str:
        """Return the SHA-256 of all arrays."""

    def to_bytes(self) -> bytes:
        """Return the content of the model's `.safetensors` file."""

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors`, atomically."""


def described(model: AnyModel) -> str:
    """Return a model in one line, as Python shows it: its type, network, task and first labels."""
    labels = ", ".join(model.labels[:3]) + (", ..." if len(model.labels) > 3 else "")
    return f"{type(model).__name__}({model.network.name}, {model.task}, {len(model.labels)} labels: {labels})"


def to_metadata(model: AnyModel) -> dict[str, str]:
    """Return all of a model except its arrays, as a `.safetensors` file keeps it."""
    return {
        **use_to_metadata(model),
        "task": model.task,
        "decoding": json.dumps(model.head_config),
        "metrics": json.dumps(model.metrics),
        "data": json.dumps(model.data),
    }


def use_to_metadata(model: AnyModel, prefix: str = "") -> dict[str, str]:
    """Return network, preprocess and labels, as `use_from_metadata` reads them."""
    return {
        f"{prefix}network": model.network.to_json(),
        f"{prefix}preprocess": json.dumps(model.preprocess.to_dict()),
        f"{prefix}labels": json.dumps(list(model.labels)),
    }


def from_metadata(metadata: Mapping[str, str], body: bool = False) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return the fields that `to_metadata` wrote, and the shapes of the arrays of the task's head.

    `ModelFileError` names the field that is missing or wrong. `body`: as in `load`.
    """
    fields = {
        **use_from_metadata(metadata),
        "task": _text(metadata, "task"),
        "head_config": _stated(metadata, "decoding", dict[str, Any]) if "decoding" in metadata else {},
        "metrics": _stated(metadata, "metrics", dict[str, Any]),
        "data": _stated(metadata, "data", dict[str, Any]),
    }
    for origin in ("imported", "quantized"):
        read(dict[str, Any], fields["data"].get(origin, {}), f"data.{origin}")
    if body:
        return fields, {}
    head = read_head(fields["task"], fields["network"], fields["head_config"])
    return fields, head.arrays(fields["network"])


def use_from_metadata(metadata: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return network, preprocess and labels, which every exported file has as well; raise `ModelFileError`."""
    network = Network.from_json(_text(metadata, f"{prefix}network"))
    preprocess = _stated(metadata, f"{prefix}preprocess", Preprocess)
    labels = _stated(metadata, f"{prefix}labels", tuple[str, ...])
    check_use(network, preprocess, labels)
    return {"network": network, "preprocess": preprocess, "labels": labels}


def _stated(metadata: Mapping[str, str], key: str, kind: Any) -> Any:
    return read(kind, parsed(_text(metadata, key), key), key)


def _text(metadata: Mapping[str, str], key: str) -> str:
    if key not in metadata:
        raise ModelFileError(f"its metadata lacks {key!r}")
    return metadata[key]


def check_use(network: Network, preprocess: Preprocess, labels: tuple[str, ...]) -> None:
    """Raise `ModelFileError` unless every class has a label and the preprocessing gives what the network takes."""
    if network.output == "softmax" and network.classes < 2:
        raise ModelFileError(f"a softmax of {network.classes} class is always 1: at least two classes are needed")
    if len(labels) != network.classes:
        raise ModelFileError(f"{len(labels)} labels for a network of {network.classes} classes")
    for label in labels:
        if not isinstance(label, str):
            raise ModelFileError(f"label {label!r} must be text")
    taken = (preprocess.height, preprocess.width, preprocess.channels)
    wanted = (network.height, network.width, network.channels)
    if taken != wanted:
        raise ModelFileError(f"the preprocessing gives {taken} but the network takes {wanted} (H, W, C)")


def _check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    problems = [f"lacks {name} {shape}" for name, shape in expected.items() if name not in found]
    problems += [f"has {name}, which the network does not" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]}, the network needs {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ModelFileError("weights do not fit the network: " + "; ".join(problems[:3]) + more)


def _check_weights(weights: Arrays, expected: Mapping[str, tuple[int, ...]]) -> None:
    _check_shapes({name: array.shape for name, array in weights.items() if not name.startswith(TASK)}, expected)
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise ModelFileError(f"{name} is {array.dtype}, must be float32")
        if not np.isfinite(array).all():
            raise ModelFileError(f"{name} holds values that are not finite")

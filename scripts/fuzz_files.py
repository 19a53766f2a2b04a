"""Model files of all formats that are read, and ways to damage one: what `fuzz.py` and its test try.

Half of all changes know the format: they edit JSON within a header, a field of a protobuf message, a number of a
flatbuffer, a member of a zip archive with the checksum made right again. The others know bytes alone.
"""

import io
import json
import os
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

from mobilenets.arch import Network, expand
from mobilenets.arch.graph import weight_shapes
from mobilenets.arch.network import SHALLOW_BODY
from mobilenets.exporters import write
from mobilenets.image import Preprocess
from mobilenets.model import Model
from mobilenets.runtime.activations import min_max_integers
from mobilenets.tasks.verification.index import Index

__all__ = ["damaged", "samples"]

NETWORK = Network(0.05, 32, 32, classes=4, blocks=SHALLOW_BODY)
CELLS = [["47a1", 48.9, 2.35, 30], ["89c3", 40.7, -74.0, 20], ["60188d", 35.7, 139.7, 12], ["6b13", -33.9, 151.2, 9]]

# what stands where something else should
_ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2,
        96.0,
        0.5,
        1e-45,
        1e308,
        float("nan"),
        float("inf"),
        2**31,
        2**63,
        10**400,
        "",
        "softmax",
    ),
    *("x" * 20_000, "\x1b[31mred", "\ud800", "a\nb", [], {}, [None], [[[]]], {"a": {}}, ["x"] * 50),
)
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def samples() -> dict[str, bytes]:
    """Sound files by their names; those of Keras' newer format only where Keras is installed."""
    model = _model(NETWORK)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
    integers, detector = min_max_integers(model, pixels), _detector()
    cells = replace(model, task="geolocate", labels=tuple(c[0] for c in CELLS), head_config={"cells": CELLS})
    files = {
        "model.safetensors": _saved(model.save),
        "geolocate.safetensors": _saved(cells.save),
        "detect.safetensors": _saved(detector.save),
        "int8.safetensors": _saved(integers.save),
        "index.safetensors": _saved(Index(("a.jpg", "b.jpg"), np.eye(2, 8, dtype=np.float32), "runs/faces").save),
        "float.onnx": write(model, "onnx"),
        "detect.onnx": write(detector, "onnx"),
        "int8.onnx": write(integers, "onnx"),
        "float.tflite": write(model, "tflite"),
        "int8.tflite": write(integers, "tflite"),
        "network.h5": write(model, "keras-h5"),
        "zip.pt": write(model, "torch"),
        "old.pt": _old_torch(model),
        "timm.safetensors": write(model, "timm"),
    }
    return files | _keras(files["network.h5"])


def _saved(save: Callable[[Path], Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.safetensors"
        save(path)
        return path.read_bytes()


def _model(network: Network) -> Model:
    rng = np.random.default_rng(0)
    weights = {
        name: np.abs(rng.normal(1, 0.1, shape)) if name.endswith("running_var") else rng.normal(0, 0.3, shape)
        for name, shape in weight_shapes(expand(network)).items()
    }
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    labels = tuple(f"class {i}" for i in range(network.classes))
    return Model(network, arrays, Preprocess(network.height, network.width), labels, data={"imported": {"file": "a"}})


def _detector() -> Model:
    from mobilenets.tasks.detect import Detect
    from mobilenets.tasks.detection.layout import ssd_config
    from mobilenets.training.module import MobileNet, weights_of

    network = NETWORK.replace(output="features", height=64, width=64)
    head_config = ssd_config(network, 0.2, True)
    arrays = weights_of(Detect().module(MobileNet(expand(network)), network, head_config).state_dict())
    plain = replace(_model(network), task="detect", head_config=head_config)
    return replace(plain, weights={**arrays, **plain.weights}, preprocess=Preprocess(64, 64, crop=1.0, fit="stretch"))


def _old_torch(model: Model) -> bytes:
    import torch

    state, content = torch.load(io.BytesIO(write(model, "torch"))), io.BytesIO()
    torch.save(state, content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def _keras(h5: bytes) -> dict[str, bytes]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "network.h5", Path(folder) / "network.keras"
        old.write_bytes(h5)
        keras.models.load_model(old, compile=False).save(new)
        return {"network.keras": new.read_bytes()}


# --- damage


def damaged(name: str, content: bytes, rng: random.Random) -> bytes:
    """One of many changes of `content`, a sound file of that name."""
    if rng.random() < 0.5:
        return _bytes_changed(content, rng)
    change = _STRUCTURED.get(Path(name).suffix, _bytes_changed)
    return change(content, rng)


def _bytes_changed(content: bytes, rng: random.Random) -> bytes:
    data, kind = bytearray(content), rng.randrange(7)
    at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 4096))
    length = rng.choice((1, 2, 4, 8, 64, 1024))
    if kind == 0:
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + length] = rng.randbytes(length)
    elif kind == 2:
        data[at : at + length] = rng.choice((b"\0", b"\xff", b"9", b"]")) * length
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:
        data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
    else:
        _put_number(data, at, rng)
    return bytes(data)


def _put_number(data: bytearray, at: int, rng: random.Random) -> None:
    number, size = rng.choice(_NUMBERS), rng.choice("HIIQ")
    packed = struct.pack(f"<{size}", number & (1 << 8 * struct.calcsize(size)) - 1)
    data[at : at + len(packed)] = packed[: len(data) - at]


def _json_changed(value: Any, rng: random.Random) -> Any:
    """`value` with one of its parts another; JSON within a text is a part as well."""
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            return json.dumps(_json_changed(json.loads(value), rng))
        except ValueError:
            return rng.choice(_ODD)
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return rng.choice(_ODD)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key, copy = rng.choice(list(keys)), value.copy()
    if (kind := rng.random()) < 0.1:
        del copy[key]
    elif kind < 0.2:
        if isinstance(copy, dict):
            copy["task.x"] = value[key]
        else:
            copy.append(value[key])
    else:
        copy[key] = _json_changed(value[key], rng)
    return copy


def _safetensors_changed(content: bytes, rng: random.Random) -> bytes:
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if rng.random() < 0.8:
        header["__metadata__"] = _json_changed(header["__metadata__"], rng)
    else:
        header = _json_changed(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def _onnx_changed(content: bytes, rng: random.Random) -> bytes:
    proto = onnx.load_model_from_string(content)
    if rng.random() < 0.3:
        entry = rng.choice(proto.metadata_props)
        changed = _json_changed(entry.value, rng)
        entry.value = (changed if isinstance(changed, str) else json.dumps(changed)).replace("\ud800", "")
    else:
        for _ in range(rng.choice((1, 1, 3))):
            _field_changed(proto, rng)
    return proto.SerializeToString()


def _field_changed(message: Message, rng: random.Random) -> None:
    """Change one field, of the message or of one that lies in it."""
    found = [(field, value) for field, value in message.ListFields() if field.name != "raw_data" or rng.random() < 0.2]
    if not found:
        return
    field, value = rng.choice(found)
    repeated = hasattr(value, "append") or hasattr(value, "add")
    if rng.random() < 0.08:
        message.ClearField(field.name)
    elif repeated and rng.random() < 0.2:
        if rng.random() < 0.5:
            del value[rng.randrange(len(value))]
        else:
            value.extend([value[rng.randrange(len(value))]])
    elif field.message_type is not None:
        _field_changed(rng.choice(value) if repeated else value, rng)
    elif repeated:
        value[rng.randrange(len(value))] = _scalar(field, value[0], rng)
    else:
        setattr(message, field.name, _scalar(field, value, rng))


def _scalar(field: Any, value: Any, rng: random.Random) -> Any:
    if isinstance(value, bytes):
        return value[: rng.randrange(len(value) + 1)] + rng.randbytes(rng.randrange(5))
    if isinstance(value, str):
        return rng.choice(("", "x" * 20_000, "\x1b[31mred", "Conv", "Reshape", "Loop", "image", "logits", value + "2"))
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf"), value * 2))
    if field.enum_type is not None:
        return rng.choice(field.enum_type.values).number
    bits = 31 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 63
    return rng.choice((0, 1, 2, 3, 7, 1 << 16, 1 << 20, 1 << 28, (1 << bits) - 1, value ^ 1))


def _flatbuffer_changed(content: bytes, rng: random.Random) -> bytes:
    """Numbers other than those of the weights, which lie together: where zeros are frequent there are tables."""
    data = bytearray(content)
    places = [at for at in range(0, len(data) - 8, 4) if data[at + 2 : at + 4] in (b"\0\0", b"\xff\xff")]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.choice(places)
        if rng.random() < 0.5:
            _put_number(data, at, rng)
        else:
            data[at] = rng.randrange(256)
    return bytes(data)


def _zip_changed(content: bytes, rng: random.Random) -> bytes:
    if content[:2] != b"PK":
        return _head_changed(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    told = [name for name in members if name.endswith((".pkl", ".json", ".h5"))]
    name = rng.choice(told if rng.random() < 0.9 else list(members))
    if name.endswith(".json"):
        members[name] = json.dumps(_json_changed(json.loads(members[name]), rng)).encode()
    elif name.endswith(".h5"):
        members[name] = _hdf5_changed(members[name], rng)
    else:
        members[name] = _head_changed(members[name], rng)
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_STORED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return changed.getvalue()


def _head_changed(content: bytes, rng: random.Random) -> bytes:
    """A pickle, or a file that begins with several: opcodes and sizes, repeated or replaced."""
    head = bytearray(content[:20_000])
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(head))
        if (kind := rng.random()) < 0.4:
            head[at] = rng.choice(b"(.0]}t2q)RhKJMXceubas\x85\x86\x87\x88\x94\x8a")
        elif kind < 0.7:
            _put_number(head, at, rng)
        else:
            head[at:at] = head[at : at + rng.choice((1, 4, 30, 300))] * rng.choice((1, 3, 200))
    return bytes(head) + content[20_000:]


def _hdf5_changed(content: bytes, rng: random.Random) -> bytes:
    """Digits of the config, which is JSON of a fixed length, or the numbers between the weights."""
    data = bytearray(content)
    start = content.find(b'{"')
    if start >= 0 and rng.random() < 0.5:
        end = min(len(data), start + 20_000)
        digits = [at for at in range(start, end) if data[at : at + 1] in b'0123456789tfn[{":,']
        for _ in range(rng.choice((1, 1, 2))):
            data[rng.choice(digits)] = rng.choice(b'0129.-e"[]{},nt')
        return bytes(data)
    return _flatbuffer_changed(content, rng)


_STRUCTURED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".safetensors": _safetensors_changed,
    ".onnx": _onnx_changed,
    ".tflite": _flatbuffer_changed,
    ".h5": _hdf5_changed,
    ".keras": _zip_changed,
    ".pt": _zip_changed,
}

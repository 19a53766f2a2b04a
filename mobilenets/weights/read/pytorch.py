"""PyTorch state dicts as `torch.save` writes them: the zip format, and the one from before PyTorch 1.6.

torch is not needed: the pickle inside is read as data, see `pickled.py`.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import ModelFileError
from ...model import PREFIX, RECORD
from ...schema import parsed
from ...schema import read as read_json
from ..layers import Content
from .exported import stated
from .pickled import ADVICE, Storage, Stored, unpickle
from .state_dict import MAX_NAME, check_count, content_of, floats

__all__ = ["read_pytorch"]

_MAGIC = 0x1950A86A20F9469CFC6C  # the first object of the old format
# averaged weights before raw ones; an average may wrap its module once more
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
_WRAPPERS = (*_AVERAGED, "state_dict", "model_state_dict", "model", "net", "network", "weights", "module", "shadow")
_MOST_WRAPPERS = 4  # around one another
_COUNTERS = ("num_batches_tracked", "n_averaged")

Read = Callable[[Storage], bytes]


def read_pytorch(content: bytes) -> Content:
    """Return the layers of a state dict.

    Raises `ModelFileError` for a file that is damaged, holds more than tensors or is not a chain of layers.
    """
    root, read, settings = _zipped(content) if content[:4] == b"PK\x03\x04" else (*_legacy(content), {})
    tensors = _state_dict(root)
    if (claimed := sum(prod(stored.shape) for stored in tensors.values())) > len(content):
        raise ModelFileError(f"its tensors claim {claimed} values in a file of {len(content)} bytes")
    storages = {stored.storage: read(stored.storage) for stored in tensors.values()}
    arrays = {name: _array(name, stored, storages[stored.storage]) for name, stored in tensors.items()}
    return content_of("PyTorch", arrays, stated(settings, PREFIX))


def _zipped(content: bytes) -> tuple[Any, Read, dict[str, str]]:
    """Return the pickled object, a function that reads a storage, and the settings that this package adds."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        folder = _folder(set(archive.namelist()))
        members = _members(archive, len(content))
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, OSError, OverflowError) as exc:
        raise ModelFileError(f"damaged: {exc}") from exc
    if members.get(f"{folder}byteorder", b"little") != b"little":
        raise ModelFileError("written on a big-endian machine, which is not read")
    root = unpickle(io.BytesIO(members[f"{folder}data.pkl"])).value
    record = members.get(f"{folder}{RECORD}", b"{}").decode("utf-8", "replace")
    settings = read_json(dict[str, str], parsed(record, RECORD), RECORD)
    return root, lambda storage: members.get(f"{folder}data/{storage.key}", b""), settings


def _folder(names: set[str]) -> str:
    """Return the one folder in the zip file, into which torch.save puts everything."""
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ModelFileError("a zip file without data.pkl: torch.save did not write it")
    folder = pickles[0].removesuffix("data.pkl")
    if any(name.startswith((f"{folder}code/", f"{folder}constants.pkl")) for name in names):
        raise ModelFileError(f"holds code (TorchScript){ADVICE}")
    return folder


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """Return the members of a zip file of that size: none compressed, all together no larger than the file."""
    entries = archive.infolist()
    check_count(len(entries))
    if (claimed := sum(entry.file_size for entry in entries)) > size:
        raise ModelFileError(f"a zip bomb: it claims {claimed} bytes in a file of {size}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelFileError("compressed, which torch.save never does: unpack it and zip it without compression")
    return {entry.filename: archive.read(entry) for entry in entries}


def _legacy(content: bytes) -> tuple[Any, Read]:
    """Read five pickles (a magic number, the version, the machine, the object, the storages' keys), then the
    storages.
    """
    file = io.BytesIO(content)
    if content[:1] != b"\x80" or unpickle(file).value != _MAGIC:
        raise ModelFileError("neither of the formats that torch.save writes")
    unpickle(file)
    machine = unpickle(file).value
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ModelFileError("written on a big-endian machine, which is not read")
    pickled, keys = unpickle(file), unpickle(file).value
    found: dict[str, bytes] = {}
    for key in keys if isinstance(keys, list) else []:
        storage = pickled.storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise ModelFileError("damaged: it holds a storage that no tensor uses")
        if int.from_bytes(file.read(8), "little") != storage.count:
            raise ModelFileError(f"damaged: storage {key} is not of the {storage.count} values that it claims")
        found[key] = file.read(storage.count * storage.itemsize)
    return pickled.value, lambda storage: found.get(storage.key, b"")


def _state_dict(root: Any) -> Mapping[str, Stored]:
    """Return the tensors of a state dict or of a checkpoint around one, without batch counters."""
    for _ in range(_MOST_WRAPPERS):
        root = next((root[key] for key in _WRAPPERS if isinstance(root, dict) and _holds(root.get(key))), root)
    if not isinstance(root, dict):
        kind = "tensor" if isinstance(root, Stored) else type(root).__name__
        raise ModelFileError(f"holds a {kind}, not a state dict")
    check_count(len(root))
    tensors: dict[str, Stored] = {}
    for name, value in root.items():
        if not isinstance(name, str) or not isinstance(value, Stored):
            raise ModelFileError(f"{str(name)[:80]!r} is no tensor: a state dict holds nothing else")
        if not name.endswith(_COUNTERS):
            tensors[name] = value
    return tensors


def _holds(value: Any) -> bool:
    """Return whether it is a dict of tensors, or of dicts that may hold some."""
    return isinstance(value, dict) and any(isinstance(entry, Stored | dict) for entry in value.values())


def _array(name: str, stored: Stored, data: bytes) -> Floats:
    storage = stored.storage
    if len(data) != storage.count * storage.itemsize or 0 in stored.shape:
        raise ModelFileError(f"{name[:MAX_NAME]}: {len(data)} bytes, {storage.count} values, shape {stored.shape}")
    numbers = np.frombuffer(data, "<u2" if storage.dtype == "bf16" else storage.dtype)[stored.offset :]
    strides = [stride * storage.itemsize for stride in stored.strides]
    return floats(name, np.lib.stride_tricks.as_strided(numbers, stored.shape, strides, writeable=False), storage.dtype)

"""HDF5 from strangers: hard links only, whole arrays of floating point numbers, no more bytes than the file has."""

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ModelFileError
from .layers import Array, extra

__all__ = ["Hdf5"]

MAX_TEXT = 4 << 20  # characters of one attribute: the config of the largest MobileNet v1 is a fiftieth of it
MAX_DEPTH = 16  # of groups within groups; a hard link may lead back to a group above
MAX_GROUPS = 100_000  # that are looked at


class Hdf5:
    """One file in memory. Groups and data sets are h5py's; they are reached and read through here only."""

    def __init__(self, content: bytes) -> None:
        if not content.startswith(b"\x89HDF\r\n\x1a\n"):
            raise ModelFileError("not an HDF5 file: it lacks the signature at the start")
        self.h5py = extra("h5py")
        self.root = self.h5py.File(io.BytesIO(content), "r")
        self.unclaimed = len(content)  # bytes; every array takes its own off
        self.seen = 0

    def text(self, item: Any, name: str) -> str | None:
        """The attribute `name` of a group; None where there is none."""
        if name not in item.attrs:
            return None
        attribute = item.attrs.get_id(name)
        if attribute.shape != () or attribute.get_storage_size() > MAX_TEXT:
            raise ModelFileError(f"attribute {name}: must be one text of at most {MAX_TEXT} bytes")
        value = item.attrs[name]
        value = value.decode("utf-8") if isinstance(value, bytes) else value
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise ModelFileError(f"attribute {name}: must be one text of at most {MAX_TEXT} bytes")
        return value

    def child(self, group: Any, name: str) -> Any:
        """What lies under `name` (its parts joined by slashes) in `group`; None where nothing does."""
        for part in filter(None, name.split("/")):
            link = group.get(part, getlink=True) if isinstance(group, self.h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, self.h5py.HardLink):
                raise ModelFileError(f"{group.name.rstrip('/')}/{part}: a {type(link).__name__}, which is not followed")
            group = group[part]
        return group

    def groups(self, group: Any) -> Iterator[tuple[str, Any]]:
        """The groups directly below `group`, by name."""
        for name in group:
            if isinstance(child := self.child(group, name), self.h5py.Group):
                yield name, child

    def arrays(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """Path -> data set of all that lie below `group`."""
        found: dict[str, Any] = {}
        for name in group:
            self.seen += 1
            if depth > MAX_DEPTH or self.seen > MAX_GROUPS:
                raise ModelFileError(f"{group.name[:80]}: groups without end; at most {MAX_DEPTH} lie in one another")
            child = self.child(group, name)
            if isinstance(child, self.h5py.Dataset):
                found[name] = child
            elif child is not None:
                found |= {f"{name}/{path}": array for path, array in self.arrays(child, depth + 1).items()}
        return found

    def read(self, dataset: Any, name: str) -> Array:
        """The numbers of a data set as float32; `name` is what an error calls it."""
        if not isinstance(dataset, self.h5py.Dataset) or dataset.dtype.kind != "f":
            kind = getattr(dataset, "dtype", "group")
            raise ModelFileError(f"{name}: holds {kind} values: weights are floating point numbers")
        self._check_storage(dataset, name)
        needed = math.prod(dataset.shape) * dataset.dtype.itemsize
        if needed > self.unclaimed:
            raise ModelFileError(f"{name}: declares {needed} bytes, more than the file has")
        self.unclaimed -= needed
        with np.errstate(over="ignore"):
            array: Array = np.asarray(dataset[()], np.float32)
        if not np.isfinite(array).all():
            raise ModelFileError(f"{name}: holds values that are not finite")
        return array

    def _check_storage(self, dataset: Any, name: str) -> None:
        """Only what lies in the file in one piece: no other files, no compression that could expand without bound."""
        stored = dataset.id.get_create_plist()
        layouts = self.h5py.h5d
        if stored.get_external_count() or stored.get_layout() == layouts.VIRTUAL:
            raise ModelFileError(f"{name}: its values lie in another file, which is not opened")
        if stored.get_layout() not in (layouts.COMPACT, layouts.CONTIGUOUS):
            raise ModelFileError(f"{name}: stored in chunks or compressed, where Keras stores arrays whole")

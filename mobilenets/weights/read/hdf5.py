"""HDF5 as Keras writes it: groups, texts as attributes, contiguous arrays of floating point numbers.

A small reader of the structures of the published format that h5py writes by default: superblock 0, object headers 1,
symbol tables. The HDF5 library is not made for untrusted files: with a few bytes changed it crashes on one in some
thousands, loops for ever in others, and allocates gigabytes for one bit. This reader refuses every address outside of
the file and every other structure, and allocates no more than the size of the file.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import ModelFileError

__all__ = ["MAX_TEXT", "Dataset", "Group", "Hdf5"]

MAX_TEXT = 4 << 20  # bytes of one attribute: the config of the largest MobileNet is a fiftieth of it
MAX_NAME = 1 << 10
MAX_DEPTH = 16  # of groups within groups; a link may lead back to a group above
MAX_PARTS = 200_000  # links and messages that are looked at

# messages of an object header
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE = (
    *(0x01, 0x02, 0x03, 0x06, 0x07),
    *(0x08, 0x0C, 0x10, 0x11),
)
_NOWHERE = (1 << 64) - 1  # the address of what is not stored
_SOFT = 2  # the cache type of a link that is a path
# bytes -> precision, exponent's place and size, mantissa's place and size, bias: IEEE 754
_FLOATS = {2: (16, 10, 5, 0, 10, 15), 4: (32, 23, 8, 0, 23, 127), 8: (64, 52, 11, 0, 52, 1023)}
_CLASSES = (
    "integers, floats, times, texts, bit fields, opaque, compound, references, enumerated, of variable length, arrays"
)


@dataclass(frozen=True, slots=True)
class Group:
    """A group. `links` maps names to addresses, None for a link to elsewhere; `attributes` maps names to messages."""

    path: str
    links: Mapping[str, int | None]
    attributes: Mapping[str, memoryview]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set. `shape` None: it holds nothing."""

    shape: tuple[int, ...] | None
    messages: Mapping[int, memoryview]


class Hdf5:
    """One file in memory; paths start at `root`."""

    def __init__(self, content: bytes) -> None:
        if not content.startswith(b"\x89HDF\r\n\x1a\n"):
            raise ModelFileError("not an HDF5 file: it lacks the signature at the start")
        self.content = memoryview(content)
        self.unclaimed = len(content)  # bytes; every array takes its own off
        self.seen = 0
        self.known: dict[int, Group | Dataset] = {}  # by the place of their headers
        version, offsets, lengths, base, end, root = struct.unpack("<8xB4xBB9xQ8xQ16xQ", self._bytes(0, 72))
        if (version, offsets, lengths, base) != (0, 8, 8, 0):
            raise ModelFileError(
                f"HDF5 with a superblock of version {version}: Keras writes version 0; save it with Keras"
            )
        if end > len(content):
            raise ModelFileError(f"truncated: {len(content)} of {end} bytes")
        node = self._object(root, "")
        if not isinstance(node, Group):
            raise ModelFileError("damaged: its root is no group")
        self.root = node

    def child(self, group: Any, name: str) -> Group | Dataset | None:
        """Return the object under `name` (its parts joined by slashes) in `group`; None where there is none."""
        for part in filter(None, name.split("/")):
            if not isinstance(group, Group) or part not in group.links:
                return None
            place, path = group.links[part], f"{group.path}/{part}"
            if place is None:
                raise ModelFileError(f"{path}: a link to another place, which is not followed")
            group = self._object(place, path)
        return group  # type: ignore[no-any-return]

    def groups(self, group: Group) -> Iterator[tuple[str, Group]]:
        """Return the groups directly below `group`, by name."""
        for name in group.links:
            if isinstance(child := self.child(group, name), Group):
                yield name, child

    def arrays(self, group: Any, depth: int = 0) -> dict[str, Dataset]:
        """Return path -> data set of all data sets below `group`."""
        found: dict[str, Dataset] = {}
        for name in group.links:
            self._count()
            if depth > MAX_DEPTH:
                raise ModelFileError(f"{group.path[:80]}: groups nested too deeply: at most {MAX_DEPTH} are read")
            child = self.child(group, name)
            if isinstance(child, Dataset):
                found[name] = child
            else:
                found |= {f"{name}/{path}": array for path, array in self.arrays(child, depth + 1).items()}
        return found

    def text(self, group: Any, name: str) -> str | None:
        """Return the attribute `name` of a group; None where there is none."""
        if name not in group.attributes:
            return None
        kind, space, data = _attribute_parts(group.attributes[name])[1:]
        if _shape(space) != ():
            raise ModelFileError(f"attribute {name}: must be one text")
        if kind[0] & 15 == 9 and kind[1] & 15 == 1:  # of variable length, and a text
            length, place, index = struct.unpack_from("<IQI", data)
            data = self._heap_object(place, index)[:length] if length else data[:0]
        elif kind[0] & 15 == 3:
            data = data[: struct.unpack_from("<I", kind, 4)[0]]
        else:
            raise ModelFileError(f"attribute {name}: must be one text")
        if len(data) > MAX_TEXT:
            raise ModelFileError(f"attribute {name}: {len(data)} bytes of text, at most {MAX_TEXT} are read")
        return bytes(data).rstrip(b"\0").decode("utf-8")

    def read(self, dataset: Dataset, name: str) -> Floats:
        """Return the numbers of a data set as float32; `name` is used in errors."""
        dtype = _dtype(dataset.messages[_DATATYPE], name)
        shape = dataset.shape or ()
        needed = math.prod(shape) * dtype.itemsize
        if needed > self.unclaimed:
            raise ModelFileError(f"{name}: declares {needed} bytes, more than the file has")
        self.unclaimed -= needed
        data = self._stored(dataset, needed, name)
        with np.errstate(over="ignore"):
            array: Floats = np.frombuffer(data, dtype).reshape(shape).astype(np.float32)
        if not np.isfinite(array).all():
            raise ModelFileError(f"{name}: holds values that are not finite")
        return array

    def _stored(self, dataset: Dataset, needed: int, name: str) -> memoryview:
        """Return the bytes of an array that is stored in this file in one piece."""
        layout = dataset.messages[_LAYOUT]
        version, kind = layout[0], layout[1]
        if _EXTERNAL in dataset.messages or kind == 3:
            raise ModelFileError(f"{name}: its values are in another file, which is not opened")
        if version not in (3, 4) or kind not in (0, 1):
            raise ModelFileError(f"{name}: stored in chunks or compressed, where Keras stores arrays whole")
        if kind == 0:  # within the header
            (size,) = struct.unpack_from("<H", layout, 2)
            data = layout[4 : 4 + size]
        else:
            place, size = struct.unpack_from("<QQ", layout, 2)
            data = self._bytes(place, size) if place != _NOWHERE else layout[:0]
        if len(data) != needed:
            raise ModelFileError(f"{name}: {len(data)} bytes are stored, its shape {dataset.shape} needs {needed}")
        return data

    def _object(self, place: int, path: str) -> Group | Dataset:
        """Return the object that the object header at `place` describes."""
        if place not in self.known:
            self.known[place] = self._described(place, path)
        return self.known[place]

    def _described(self, place: int, path: str) -> Group | Dataset:
        messages: dict[int, memoryview] = {}
        attributes: dict[str, memoryview] = {}
        for kind, data in self._messages(place):
            if kind == _ATTRIBUTE:
                attributes.setdefault(_attribute_parts(data)[0], data)
            messages.setdefault(kind, data)
        if _LAYOUT in messages and _DATASPACE in messages and _DATATYPE in messages:
            return Dataset(_shape(messages[_DATASPACE]), messages)
        if _SYMBOL_TABLE in messages and _LINK not in messages and _LINK_INFO not in messages:
            return Group(path, dict(self._links(*struct.unpack_from("<QQ", messages[_SYMBOL_TABLE]))), attributes)
        what = "an array" if _LAYOUT in messages else "a group"
        raise ModelFileError(f"{path[:80]}: {what} of another form, which may lead out of the file: it is not followed")

    def _messages(self, place: int) -> Iterator[tuple[int, memoryview]]:
        version, left, size = struct.unpack("<BxH4xI", self._bytes(place, 12))
        if version != 1:
            raise ModelFileError(f"damaged: no object header of version 1 at byte {place}, as Keras writes them")
        blocks = [(place + 16, size)]
        while blocks and left:
            at, size = blocks.pop()
            end = at + size
            while at + 8 <= end and left:
                kind, length, flags = struct.unpack("<HHB", self._bytes(at, 5))
                data = self._bytes(at + 8, length)
                self._count()
                at, left = at + 8 + length, left - 1
                if kind == _CONTINUATION:
                    blocks.append(struct.unpack("<QQ", data))
                elif not flags & 2:  # 2: it lies elsewhere, shared by several; Keras shares nothing
                    yield kind, data

    def _links(self, tree: int, heap: int) -> Iterator[tuple[str, int | None]]:
        """Return (name, place) of all links of a group."""
        _, size, names = struct.unpack("<4s4xQ8xQ", self._marked(heap, b"HEAP", 32))
        for table in self._tables(tree):
            count = struct.unpack("<6xH", self._marked(table, b"SNOD", 8))[0]
            for number in range(count):
                self._count()
                offset, place, cached = struct.unpack("<QQI", self._bytes(table + 8 + 40 * number, 20))
                name = bytes(self._bytes(names, size)[offset : offset + MAX_NAME]).partition(b"\0")[0]
                yield name.decode("utf-8"), None if cached == _SOFT else place

    def _tables(self, place: int, level: int | None = None) -> Iterator[int]:
        """Return the places of the symbol tables of a B-tree."""
        _, kind, height, used = struct.unpack("<4sBBH", self._marked(place, b"TREE", 8))
        if kind or (level is not None and height != level - 1):
            raise ModelFileError(f"damaged: the tree at byte {place} is out of order")
        for number in range(used):
            self._count()
            (child,) = struct.unpack("<Q", self._bytes(place + 32 + 16 * number, 8))
            yield from self._tables(child, height) if height else [child]

    def _heap_object(self, place: int, index: int) -> memoryview:
        """Return one text of a shared heap."""
        _, size = struct.unpack("<4s4xQ", self._marked(place, b"GCOL", 16))
        at, end = place + 16, place + size
        while at + 16 <= end:
            found, length = struct.unpack("<H6xQ", self._bytes(at, 16))
            if found == index:
                return self._bytes(at + 16, length)
            if found == 0:  # what is free, to the end
                break
            at += 16 + -(-length // 8) * 8
        raise ModelFileError(f"damaged: no text {index} in the heap at byte {place}")

    def _count(self) -> None:
        self.seen += 1
        if self.seen > MAX_PARTS:
            raise ModelFileError(f"more than {MAX_PARTS} links between its groups: no network has so many layers")

    def _marked(self, place: int, mark: bytes, length: int) -> memoryview:
        data = self._bytes(place, length)
        if data[:4] != mark:
            raise ModelFileError(f"damaged: no {mark.decode()} at byte {place}")
        return data

    def _bytes(self, place: int, length: int) -> memoryview:
        if place + length > len(self.content):
            raise ModelFileError(f"damaged: bytes {place} to {place + length} of {len(self.content)}")
        return self.content[place : place + length]


def _attribute_parts(message: memoryview) -> tuple[str, memoryview, memoryview, memoryview]:
    """Return name, datatype, dataspace and data of an attribute."""
    version, *sizes = struct.unpack_from("<BxHHH", message)
    at, step = (9, 1) if version == 3 else (8, 8 if version == 1 else 1)
    parts = []
    for size in sizes:
        parts.append(message[at : at + size])
        at += -(-size // step) * step
    return bytes(parts[0]).rstrip(b"\0").decode("utf-8"), parts[1], parts[2], message[at:]


def _shape(space: memoryview) -> tuple[int, ...] | None:
    """Return the shape of a dataspace; None for one without elements."""
    version, rank, _, kind = space[:4]
    if version == 2 and kind == 2:
        return None
    return struct.unpack_from(f"<{rank}Q", space, 4 if version == 2 else 8)


def _dtype(datatype: memoryview, name: str) -> np.dtype[Any]:
    """Return the NumPy type; raises `ModelFileError` for anything but IEEE floating point."""
    number, bits, size = struct.unpack_from("<BBxxI", datatype)
    if number & 15 != 1:
        kinds = _CLASSES.split(", ")
        kind = kinds[number & 15] if number & 15 < len(kinds) else "of no known kind"
        raise ModelFileError(f"{name}: its values are {kind}: weights are floating point numbers")
    fields = struct.unpack_from("<HBBBBI", datatype, 10)
    if fields != _FLOATS.get(size):
        raise ModelFileError(f"{name}: floating point numbers of {size} bytes that are not IEEE 754's")
    return np.dtype(f"{'>' if bits & 1 else '<'}f{size}")

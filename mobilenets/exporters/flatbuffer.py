"""A writer of flatbuffers from nested Python values; the fields of each table are those of the published schema, see
`Schema`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np

__all__ = ["Schema", "Table", "to_bytes"]

ALIGNMENT = 16  # of every vector of numbers: runtimes read constants in place, 16 bytes at once

# table -> its fields in their order, each with its type where it is a number: "version:Uint32 subgraphs"
Schema = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a schema. A field is a number, a text, an array of one axis, a table, or a list of tables."""

    kind: str
    fields: Mapping[str, Any]


def to_bytes(schema: Schema, root: Table, mark: bytes) -> bytes:
    """Return the whole flatbuffer; `mark` holds the four bytes that identify its schema."""
    build = flatbuffers.Builder(1024)
    build.Finish(_Packer(schema, build).pack(root), mark)
    return bytes(build.Output())


@dataclass(frozen=True, slots=True)
class _Packer:
    """Packs tables into bytes, children before parents."""

    schema: Schema
    build: Any

    def pack(self, value: Any) -> int:
        """Write `value`; where it begins, which what refers to it has to know."""
        if isinstance(value, Table):
            return self._table(value)
        if isinstance(value, str):
            return int(self.build.CreateString(value))
        if isinstance(value, np.ndarray):
            self.build.Prep(ALIGNMENT, value.nbytes)
            return int(self.build.CreateNumpyVector(value))
        offsets = [self.pack(entry) for entry in value]
        self.build.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.build.PrependUOffsetTRelative(offset)
        return int(self.build.EndVector())

    def _table(self, table: Table) -> int:
        slots = [field.partition(":")[::2] for field in self.schema[table.kind].split()]
        names = [name for name, _ in slots]
        kinds = dict(slots)
        values = {name: value if kinds[name] else self.pack(value) for name, value in table.fields.items()}
        self.build.StartObject(len(slots))
        for name, value in values.items():
            prepend = getattr(self.build, f"Prepend{kinds[name] or 'UOffsetTRelative'}Slot")
            prepend(names.index(name), value, 0)  # a 0 is not written: every field here is 0 by default
        return int(self.build.EndObject())

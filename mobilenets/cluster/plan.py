"""The plan of a work in parts: which images each part holds and what is computed of them, written once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from glob import glob, has_magic
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from ..data.folder import unread
from ..data.labels import names_in
from ..data.parquet import declared_names, image_column
from ..errors import DataError, MobilenetsError, UsageError
from ..folders import ending, is_image
from ..schema import parsed, read
from ..text import listed
from .storage import Place

__all__ = ["PART_IMAGES", "PLAN", "Part", "Plan", "Work"]

PLAN = "plan.json"
# images of a part: seconds of work on a core, so that little is lost with a node, and files of a size that readers like
PART_IMAGES = 2048
KINDS = {".parquet": "parquet", ".tar": "tar"}


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed of every image. A second run goes on with the first one's parts only for the same work."""

    inputs: tuple[str, ...]
    model: str  # the SHA-256 of its weights
    wanted: Literal["predictions", "outputs"]
    top: int = 5
    batch_size: int = 32
    min_confidence: float | None = None
    runtime: Literal["auto", "compiled", "onnx"] = "auto"

    def check_same(self, other: "Work", output: str) -> None:
        """Raise `UsageError` with the first setting in which the parts in `output` are of another work."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine != theirs:
                shown = [listed(value, 3) if isinstance(value, tuple) else f"{value!s:.12}" for value in (theirs, mine)]
                raise UsageError(
                    f"output (={output}) holds parts with {one.name} {shown[0]}, not {shown[1]}: choose another"
                )


@dataclass(frozen=True, slots=True)
class Part:
    """Images that one task works on, in one file of the output.

    files: `names` below the folder `where`. tar: the shard `where`. parquet: its row groups from `groups[0]` to before
    `groups[1]`, whose first row is number `row`. `shown` is `where` as the user wrote it: keys begin with it.
    """

    name: str
    kind: Literal["files", "parquet", "tar"]
    where: str
    shown: str
    names: tuple[str, ...] = ()
    groups: tuple[int, int] = (0, 0)
    row: int = 0

    @property
    def file(self) -> str:
        """Return the name of the file in the output folder."""
        return f"{self.name}.parquet"


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a work. `labels`: the names of the classes where the data number them."""

    work: Work
    parts: tuple[Part, ...]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    format: Literal["mobilenets.parts"] = field(default="mobilenets.parts")
    version: Literal[1] = 1

    @classmethod
    def made(cls, work: Work) -> "Plan":
        """List the inputs of `work` and divide them; `DataError` for what does not exist or holds no image."""
        size = max(1, PART_IMAGES // work.batch_size) * work.batch_size  # the batches are those of one long run
        found = _Found()
        found.add_all(work.inputs, size)
        if not found.parts:
            raise DataError("; ".join([f"{', '.join(work.inputs[:3])}: holds no image", *unread(found.photos)]))
        digits = max(5, len(str(len(found.parts) - 1)))
        parts = tuple(Part(name=f"part-{at:0{digits}}", **part) for at, part in enumerate(found.parts))
        return cls(work, parts, found.labels, tuple(unread(found.photos)))

    @classmethod
    def open(cls, place: Place) -> "Plan":
        """Return the plan that was written to the file `place`; raises `DataError`."""
        try:
            plan: Plan = read(cls, parsed(place.read().decode(), PLAN), PLAN)
        except (MobilenetsError, ValueError) as exc:
            raise DataError(f"{place.url}: cannot be read: {exc}") from exc
        return plan

    def to_json(self) -> str:
        """Return the content of `plan.json`."""
        return json.dumps(asdict(self)) + "\n"


class _Found:
    """The parts of the inputs, in their order."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.photos: list[str] = []
        self.labels: tuple[str, ...] = ()

    def add_all(self, names: Iterable[str], size: int) -> None:
        """Add folders one by one, and neighbouring files of one folder together."""
        for folder, files in groupby((name for given in names for name in _expanded(given)), key=_folder_of_file):
            if folder is None:
                for name in files:
                    place = Place.of(name)
                    self._add_files(place, str(Path(name)) if place.local else name.rstrip("/"), place.walk(), size)
            else:
                self._add_files(Place.of(folder), folder, [name.rpartition("/")[2] for name in files], size)

    def _add_files(self, folder: Place, shown: str, names: Sequence[str], size: int) -> None:
        self._declare(folder)
        self.photos += [f"{shown}/{name}" for name in names if not is_image(name)]
        for chunk in _chunks([name for name in names if is_image(name)], size):
            self.parts.append({"kind": "files", "where": folder.url, "shown": shown, "names": tuple(chunk)})
        for name in names:
            if ending(name) == ".tar":
                self.parts.append({"kind": "tar", "where": folder.below(name).url, "shown": f"{shown}/{name}"})
            elif ending(name) == ".parquet":
                self._add_table(folder.below(name), f"{shown}/{name}", size)

    def _declare(self, folder: Place, names: tuple[str, ...] | None = None) -> None:
        """Keep the names of the classes, or those of the folder's labels.txt; `DataError` where others are kept."""
        if names is None and (file := folder.below("labels.txt")).exists():
            names = names_in(file.read(), file.url)
        if names and self.labels and names != self.labels:
            raise DataError(f"{folder.url}: declares other classes than the inputs before it: {listed(names, 5)}")
        self.labels = names or self.labels

    def _add_table(self, file: Place, shown: str, size: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with file.opened_in_place() as opened:
                table = pq.ParquetFile(opened)
                schema, counts = (
                    table.schema_arrow,
                    [table.metadata.row_group(at).num_rows for at in range(table.num_row_groups)],
                )
        except pa.ArrowException as exc:
            raise DataError(f"{file.url}: cannot be read as Parquet: {exc}") from exc
        image_column(file.url, schema)
        self._declare(file, declared_names(file.url, schema) or ())
        for first, end, row in _groups(counts, size):
            self.parts.append(
                {"kind": "parquet", "where": file.url, "shown": shown, "groups": (first, end), "row": row}
            )


def _expanded(name: str) -> list[str]:
    """Return `name`, or what matches it where it is a pattern; `DataError` where there is nothing."""
    place = Place.of(name)
    if place.exists():
        return [name]
    if has_magic(name):
        matches = sorted(glob(name, recursive=True)) if place.local else place.matches()
        if not matches:
            raise DataError(f"{name}: no file matches this pattern")
        return matches
    raise DataError(f"{name}: no such file or folder")


def _folder_of_file(name: str) -> str | None:
    """Return the folder of a file as it is written, None for a folder."""
    place = Place.of(name)
    if place.is_folder():
        return None
    return str(Path(name).parent) if place.local else name.rpartition("/")[0]


def _chunks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[at : at + size] for at in range(0, len(names), size))


def _groups(counts: Iterable[int], size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first row group, end, first row) of parts of whole row groups with at least `size` rows, but the last."""
    first = row = rows = end = 0
    for end, count in enumerate(counts, 1):
        rows += count
        if rows >= size:
            yield first, end, row
            first, row, rows = end, row + rows, 0
    if rows:
        yield first, end, row

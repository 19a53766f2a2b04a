"""Small pictures as a folder of classes, as tar shards and as Parquet, some of them damaged."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")


def picture(number: int) -> bytes:
    """A noisy JPEG of one of three colours."""
    rng = np.random.default_rng(number)
    mean = np.eye(3)[2 - number % 3] * 120 + 60
    content = io.BytesIO()
    pixels = np.clip(rng.normal(mean, 40, (40, 36, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def contents(count: int, damaged: tuple[int, ...] = ()) -> list[tuple[str, bytes]]:
    """(class, file) of each picture; those of `damaged` are cut short."""
    return [(CLASSES[number % 3], picture(number)[: 200 if number in damaged else None]) for number in range(count)]


def make_folder(folder: Path, files: list[tuple[str, bytes]]) -> Path:
    for number, (label, content) in enumerate(files):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number:03}.jpg").write_bytes(content)
    return folder


def make_shard(path: Path, files: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number, (label, content) in enumerate(files):
            for name, data in ((f"{number:03}.jpg", content), (f"{number:03}.cls", label.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def make_table(path: Path, files: list[tuple[str, bytes]], group: int) -> Path:
    """In row groups of `group`; the labels are numbers of a labels.txt beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"image": {"bytes": content, "path": None}, "label": CLASSES.index(label)} for label, content in files]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    (path.parent / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    return path


def rows_in(output: Any) -> list[dict[str, Any]]:
    """The rows of all parts in a folder, in order."""
    import fsspec
    import pyarrow.parquet as pq

    files, path = fsspec.core.url_to_fs(str(output))
    found = sorted(name for name in files.ls(path, detail=False) if name.endswith(".parquet"))
    tables = []
    for name in found:
        with files.open(name, "rb") as file:
            tables.append(pq.read_table(file))
    return [row for table in tables for row in table.to_pylist()]


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `predict --json` prints it: without what is absent."""
    return {key: value for key, value in row.items() if value is not None or key == "error"}

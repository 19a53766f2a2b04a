"""Small data sets in every layout, for the tests beside this file."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(number: int) -> bytes:
    """A small JPEG; other numbers give other bytes."""
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def write(root: Path, files: Mapping[str, bytes | str | int]) -> Path:
    """Files below `root`; a number stands for that `jpeg`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = jpeg(content) if isinstance(content, int) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def tar(path: Path, files: Mapping[str, bytes | str | int]) -> Path:
    """An uncompressed .tar of the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            content = jpeg(content) if isinstance(content, int) else content
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def parquet(path: Path, images: list[object], labels: list[object], names: list[str] | None = None, **columns) -> Path:
    """A table in the Hugging Face layout; `columns` renames `image` and `label`, and may give `split`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": jpeg(image), "path": None} if isinstance(image, int) else image for image in images]
    table = pa.table({columns.get("image", "image"): cells, columns.get("label", "label"): labels})
    if "split" in columns:
        table = table.append_column("split", [columns["split"]])
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=3)
    return path


def state(root: Path) -> str:
    """A hash over names, kinds, contents and times of all that lies below `root`."""
    digest = hashlib.sha256()
    for folder, folders, files in sorted(os.walk(root)):
        for name in sorted(folders + files):
            path = Path(folder, name)
            status = path.lstat()
            digest.update(f"{path} {status.st_mode} {status.st_size} {status.st_mtime_ns}\n".encode())
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()

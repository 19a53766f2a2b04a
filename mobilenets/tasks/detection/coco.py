"""COCO: one JSON file a split (annotations/instances_train2017.json), its images in a folder of the split's name."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from ...data.parallel import ordered
from ...data.rows import Listing, Row, listed, shown, split_of
from ...errors import DataError
from ...image import read
from .boxes import Annotations, Box, Size, finite, found_size, same_size

__all__ = ["coco_files", "read_coco"]

Json = dict[str, Any]


def coco_files(path: Path) -> list[Path]:
    """The annotation files at `path`: itself, or those in its folder annotations; none where it is another layout."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    folder = path / "annotations"
    return sorted(folder.glob("instances_*.json")) or sorted(folder.glob("*.json"))


def read_coco(root: Path, files: Sequence[Path]) -> Annotations:
    """All images, annotated or not; `DataError` names file and annotation of what breaks a rule.

    Classes stand in the order of their ids. A single file has no splits.
    """
    annotations = Annotations((), Listing([]))
    categories: dict[int, str] = {}
    for file in files:
        content = _content(file)
        own = _categories(file, content)
        if categories and own != categories:
            raise DataError(f"{file}: its categories are not those of {files[0]}")
        categories = own
        split = split_of(PurePath(file.name)) if len(files) > 1 else None
        _add(annotations, root, file, content, list(categories), split)
    annotations.labels = annotations.listing.names = tuple(categories.values())
    return annotations


def _content(file: Path) -> Json:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, OSError, RecursionError) as exc:
        raise DataError(f"{file}: is no JSON: {exc}") from exc
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{file}: has no list of objects {key!r}: it is no COCO file")
    return content  # type: ignore[no-any-return]


def _value(row: Json, key: str, kind: type, where: str) -> Any:
    if not isinstance(row.get(key), kind):
        raise DataError(f"{where}: {key} (={row.get(key)!r}) must be {'text' if kind is str else 'a whole number'}")
    return row[key]


def _categories(file: Path, content: Json) -> dict[int, str]:
    """Name by id, in the order of the ids."""
    found = {
        _value(row, "id", int, f"{file}: category {at}"): _value(row, "name", str, f"{file}: category {at}")
        for at, row in enumerate(content["categories"], 1)
    }
    if len(set(found.values())) < len(content["categories"]) or not found:
        raise DataError(f"{file}: categories must be there, and differ: {listed(list(found.values()), 8)}")
    return dict(sorted(found.items()))


def _add(annotations: Annotations, root: Path, file: Path, content: Json, ids: list[int], split: str | None) -> None:
    images = {_value(row, "id", int, f"{file}: image {at}"): row for at, row in enumerate(content["images"], 1)}
    if len(images) < len(content["images"]):
        raise DataError(f"{file}: two images have one id")
    boxes: dict[int, list[Box]] = {key: [] for key in images}
    for at, row in enumerate(content["annotations"], 1):
        where = f"{file}: annotation {row.get('id', f'number {at}')}"
        if row.get("image_id") not in boxes:
            raise DataError(f"{where}: image_id {row.get('image_id')!r} is none of the {len(images)} images")
        boxes[row["image_id"]].append(_box(row, ids, where))
    folders = _folders(root, file)
    paths = [_image(row, folders, file) for row in images.values()]
    for (key, row), path, found in zip(images.items(), paths, ordered(found_size, paths), strict=True):
        name = shown(str(path.relative_to(root) if path.is_relative_to(root) else path))
        annotations.listing.rows.append(Row(name, split, "", partial(read, path)))
        annotations.sizes.append(same_size(_declared_size(row), found, f"{file}: image {key}", name))
        annotations.boxes.append(boxes[key])


def _folders(root: Path, file: Path) -> list[Path]:
    """Where the images of an annotation file may lie."""
    name = file.stem.removeprefix("instances_")
    base = root if root.is_dir() else root.parent
    return [base / name, base / "images" / name, base / "images", base]


def _image(row: Json, folders: list[Path], file: Path) -> Path:
    name: str = _value(row, "file_name", str, f"{file}: image {row['id']}")
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise DataError(f"{file}: image {row['id']}: {name!r} is in none of {listed(list(map(str, folders)), 4)}")
    return found


def _declared_size(row: Json) -> Size | None:
    width, height = row.get("width"), row.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _box(row: Json, ids: list[int], where: str) -> Box:
    if row.get("category_id") not in ids:
        raise DataError(f"{where}: category_id {row.get('category_id')!r} is none of the {len(ids)} categories")
    values = row.get("bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise DataError(f"{where}: bbox (={values!r}) must be [left, top, width, height]")
    left, top, width, height = finite(values, where)
    return Box(where, ids.index(row["category_id"]), (left, top, left + width, top + height), row.get("iscrowd") == 1)

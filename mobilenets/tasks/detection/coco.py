"""Read COCO JSON, one file per split: annotations/instances_train2017.json, train/_annotations.coco.json, ..."""

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ...data.rows import split_of
from ...errors import DataError, printable
from ...image import Size
from ...text import listed
from .annotations import Annotations, Box, Photo, finite
from .files import Files, stem_of

__all__ = ["coco_files", "read_coco"]

Json = dict[str, Any]
_KEYS = ("images", "annotations", "categories")


def coco_files(files: Files) -> list[Path]:
    """Return the annotation files, or an empty list for another layout.

    These are COCO's own, else Roboflow's, else any in a folder `annotations`, else files with COCO's keys in the root
    or one folder below.
    """
    found = files.ending(".json")
    inside = [path for path in found if path.parent.name.casefold() == "annotations"]
    return (
        [path for path in inside if path.name.casefold().startswith("instances_")]
        or [path for path in found if path.name.casefold() == "_annotations.coco.json"]
        or inside
        or [path for path in found if len(files.below(path).parts) <= 2 and _is_coco(path)]
    )


def _is_coco(path: Path) -> bool:
    try:
        _content(path)
    except DataError:
        return False
    return True


def read_coco(root: Path, paths: Sequence[Path]) -> Annotations:
    """Return all images, with or without boxes; raise `DataError` with file and annotation.

    Classes are in the order of their ids. A single file has no splits.
    """
    contents = [(path, _content(path)) for path in paths]
    rows = [_category_rows(path, content) for path, content in contents]
    different = next((path for path, own in zip(paths, rows, strict=True) if _names(own) != _names(rows[0])), None)
    if different:
        raise DataError(f"{different}: its categories must be those of {paths[0]}")
    categories, notes = _categories(paths[0], rows[0], [row for _, one in contents for row in one["annotations"]])
    finder = _Finder(root)
    photos = [
        photo
        for path, content in contents
        for photo in _photos(finder, path, content, list(categories), finder.split(path) if len(paths) > 1 else None)
    ]
    return Annotations(tuple(categories.values()), photos, notes)


def _content(path: Path) -> Json:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError) as exc:
        raise DataError(f"{path}: is not JSON: {exc}") from exc
    for key in _KEYS:
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{path}: has no list of objects {key!r}, so it is not a COCO file")
    return content  # type: ignore[no-any-return]


def _value(row: Json, key: str, kind: type, where: str) -> Any:
    if not isinstance(row.get(key), kind):
        raise DataError(f"{where}: {key} (={row.get(key)!r}) must be {'text' if kind is str else 'a whole number'}")
    return row[key]


def _category_rows(path: Path, content: Json) -> list[Json]:
    """Return the categories in the order of their ids."""
    for at, row in enumerate(content["categories"], 1):
        for key, kind in (("id", int), ("name", str)):
            _value(row, key, kind, f"{path}: category {at}")
    return sorted(content["categories"], key=lambda row: int(row["id"]))


def _names(rows: Sequence[Json]) -> list[tuple[int, str]]:
    return [(row["id"], row["name"]) for row in rows]


def _categories(path: Path, rows: list[Json], annotations: Sequence[Json]) -> tuple[dict[int, str], list[str]]:
    """Return name by id, in order, without a category that only groups the others (id 0 in Roboflow's files)."""
    notes = []
    used = {row["category_id"] for row in annotations if isinstance(row.get("category_id"), int)}
    for row in rows:
        rest = [other for other in rows if other is not row]
        if rest and row["id"] not in used and all(other.get("supercategory") == row["name"] for other in rest):
            notes.append(f"category {row['name']!r} (id {row['id']}) has no box and only groups the others: left out")
            rows = rest
            break
    found = dict(_names(rows))
    if len(set(found.values())) < len(rows) or not found:
        raise DataError(f"{path}: category names must exist and differ: {listed([row['name'] for row in rows], 8)}")
    return found, notes


def _photos(finder: "_Finder", path: Path, content: Json, ids: list[int], split: str | None) -> list[Photo]:
    images = {_value(row, "id", int, f"{path}: image {at}"): row for at, row in enumerate(content["images"], 1)}
    if len(images) < len(content["images"]):
        raise DataError(f"{path}: two images have the same id")
    boxes: dict[int, list[Box]] = {key: [] for key in images}
    for at, row in enumerate(content["annotations"], 1):
        where, key = f"{path}: annotation {row.get('id', f'number {at}')}", row.get("image_id")
        if not isinstance(key, int) or key not in boxes:
            raise DataError(f"{where}: image_id {key!r} is not one of the {len(images)} images")
        boxes[key].append(_box(row, ids, where))
    photos = []
    for key, row in images.items():
        image, where = finder.image(path, key, row, split), f"{path}: image {key}"
        photos.append(Photo(image, finder.name(image), split, where, boxes[key], _declared_size(row)))
    return photos


class _Finder:
    """Finds the images of annotation files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def files(self) -> Files:
        return Files(self.root)

    def split(self, path: Path) -> str | None:
        return split_of(Path(os.path.relpath(path, self.root)))

    def name(self, image: Path) -> str:
        return printable(str(image.relative_to(self.root) if image.is_relative_to(self.root) else image))

    def image(self, path: Path, key: int, row: Json, split: str | None) -> Path:
        """Return the image of a row.

        It is searched by file_name in the folders of COCO, Roboflow and Label Studio, then by its name alone if unique.
        """
        name: str = _value(row, "file_name", str, f"{path}: image {key}")
        own, home = path.stem.removeprefix("instances_"), path.parent
        base = home if home == self.root else home.parent
        below = [base / own, base / "images" / own, base / "images", base]
        folders = [home, home / "images", *below]
        for folder in folders:
            for written in (name, name.replace("\\", "/")):
                if os.path.isfile(folder / written):
                    return folder / written
        found = self.files.image(path, stem_of(name), split=split)
        if found is None:
            raise DataError(f"{path}: image {key}: {name!r} is in none of {listed(list(map(str, below)), 4)}")
        return found


def _declared_size(row: Json) -> Size | None:
    width, height = row.get("width"), row.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _box(row: Json, ids: list[int], where: str) -> Box:
    if row.get("category_id") not in ids:
        raise DataError(f"{where}: category_id {row.get('category_id')!r} is not one of the {len(ids)} categories")
    values = row.get("bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise DataError(f"{where}: bbox (={values!r}) must be [left, top, width, height]")
    left, top, width, height = finite(values, where)
    return Box(where, ids.index(row["category_id"]), (left, top, left + width, top + height), row.get("iscrowd") == 1)

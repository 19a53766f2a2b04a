"""Read YOLO: one .txt file per image, with class, centre and size (fractions) in each line, and a file of names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from ...data.labels import read_list
from ...data.rows import split_name
from ...errors import DataError, MissingExtraError, printable
from ...text import listed
from .annotations import Annotations, Box, Photo, finite
from .files import Files, read_lines
from .frame import Edges
from .lists import SplitList, split_lists, splits_of

__all__ = ["labels_of", "read_yolo", "root_of", "yolo_sources"]

_NAMES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "predefined_classes.txt")
_YAML = (".yaml", ".yml")

Yaml = dict[str, Any]


def labels_of(files: Files) -> dict[Path, Path]:
    """Return the label file of each image that has one: in `labels` instead of `images`, else next to the image."""
    texts: dict[str, list[Path]] = {}
    for path in files.ending(".txt"):
        texts.setdefault(str(path.with_suffix("")).casefold(), []).append(path)
    found: dict[Path, Path] = {}
    for image in files.images if texts else ():
        stem = image.with_suffix("")
        parts = stem.parts
        at = max((at for at, part in enumerate(parts[:-1]) if part.casefold() == "images"), default=None)
        places = [stem] if at is None else [Path(*parts[:at], "labels", *parts[at + 1 :]), stem]
        alike = next((alike for place in places if (alike := texts.get(str(place).casefold()))), [])
        exact = [path for path in alike if path.stem == stem.name] or alike
        if exact:
            found[image] = exact[0]
    return found


def root_of(sheet: Path) -> Path:
    """Return the folder described by data.yaml: its `path` if that exists, else its own folder."""
    base = _sheet(sheet).get("path")
    home = Path(os.path.normpath(sheet.parent / base)) if isinstance(base, str) else sheet.parent
    return home if os.path.isdir(home) else sheet.parent


def yolo_sources(files: Files) -> list[Path]:
    """Return the files with class names."""
    near = [path for path in files.paths if len(files.below(path).parts) <= 3]
    sheets = [path for path in near if path.suffix.lower() in _YAML and _has_names(path)]
    return sheets + [path for path in near if path.name.casefold() in _NAMES]


def _has_names(path: Path) -> bool:
    try:
        return b"names" in path.read_bytes()
    except OSError:
        return False


def read_yolo(files: Files, sources: Sequence[Path], labels: Mapping[Path, Path]) -> Annotations:
    """Return all images, with no boxes for those without a label file; raise `DataError` with file and line.

    `sources` are the files with class names, `labels` the result of `labels_of`. The split comes from data.yaml, else
    from lists (train.txt), else from folders.
    """
    sheets = [path for path in sources if path.suffix.lower() in _YAML]
    if len(sheets) > 1:
        raise DataError(f"{files.root}: {listed([files.name(path) for path in sheets])} are two data sets: choose one")
    sheet = _sheet(sheets[0]) if sheets else {}
    names = _names(sources, sheet)
    splits, notes = _splits(files, sheets[0] if sheets else None, sheet)
    _check_labels(files, labels)
    polygons: list[str] = []
    pose = "kpt_shape" in sheet
    images = list(splits) if splits else files.images
    photos, empty = [], []
    for image in images:
        label = labels.get(image)
        boxes = _boxes(label, names, pose, polygons) if label else []
        photos.append(Photo(image, files.name(image), splits.get(image) or files.split(image), str(image), boxes))
        empty += [] if label else [files.name(image)]
    if empty:
        notes.append(f"{len(empty)} of {len(images)} images have no label file: they have no boxes (first: {empty[0]})")
    if polygons:
        notes.append(f"{len(polygons)} polygons are replaced by their bounding boxes (first: {polygons[0]})")
    return Annotations(names, photos, notes, fractions=True)


def _check_labels(files: Files, labels: Mapping[Path, Path]) -> None:
    """Raise `DataError` for a label file without an image."""
    used = set(labels.values())
    for path in files.ending(".txt"):
        inside = "labels" in (part.casefold() for part in files.below(path).parent.parts)
        if inside and path not in used and path.name.casefold() not in _NAMES:
            raise DataError(f"{path}: its image {path.stem!r} does not exist in {files.root}")


def _sheet(path: Path) -> Yaml:
    """Return data.yaml with every scalar as text, because a class may be called `no`."""
    try:
        import yaml
    except ImportError as exc:
        raise MissingExtraError(f"reading {path} needs PyYAML", "train") from exc
    try:
        content = yaml.load(path.read_bytes(), yaml.BaseLoader)
    except (yaml.YAMLError, OSError, UnicodeError, RecursionError) as exc:
        raise DataError(f"{path}: is not YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be a mapping with names and optionally train, val, test")
    return content


def _names(sources: Sequence[Path], sheet: Yaml) -> tuple[str, ...]:
    """Return the classes, which must be the same in all sources."""
    found: dict[Path, tuple[str, ...]] = {}
    for path in sources:
        found[path] = _named(path, sheet) if path.suffix.lower() in _YAML else read_list(path)
    first = sources[0]
    for path, names in found.items():
        if names != found[first]:
            raise DataError(f"{path}: its classes must be those of {first}, in the same order: {listed(names, 8)}")
    return found[first]


def _named(path: Path, sheet: Yaml) -> tuple[str, ...]:
    """Return the `names` of data.yaml: a list, or a mapping from 0, 1, ..."""
    names = sheet.get("names")
    if isinstance(names, dict) and sorted(names, key=lambda key: (len(key), key)) == list(map(str, range(len(names)))):
        names = [names[str(at)] for at in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names) or not names:
        raise DataError(f"{path}: names must be a list of names, or a mapping from 0, 1, 2, ... to names")
    stripped = tuple(name.strip() for name in names)
    if len(set(stripped)) < len(stripped):
        raise DataError(f"{path}: names must differ: {listed(stripped, 8)}")
    if sheet.get("nc", str(len(stripped))) != str(len(stripped)):
        raise DataError(f"{path}: nc (={sheet['nc']!r}) must be the number of its names, {len(stripped)}")
    return stripped


def _splits(files: Files, path: Path | None, sheet: Yaml) -> tuple[dict[Path, str], list[str]]:
    """Return the split of each image from data.yaml or lists, if any, and notes."""
    if path is None:
        lists, notes = split_lists(files)
        splits, more = splits_of(lists, files.images) if lists else ({}, [])
        return splits, notes + more
    found: dict[Path, str] = {}
    lost, lists = [], []
    for key in (key for key in sheet if isinstance(key, str)):
        split = split_name(key)
        for value in _texts(sheet[key]) if split else []:
            place = _place(files, path, sheet, value)
            if place is None:
                lost.append(printable(f"{key}: {value}"))
            elif place.is_file():
                lists.append(SplitList(place, str(split), read_lines(place)))
            else:
                found |= {image: str(split) for image in files.images if image.is_relative_to(place)}
    if lost:
        return {}, [f"{files.name(path)}: {listed(lost)} does not exist: splits are taken from folders"]
    splits, _ = splits_of(lists, files.images) if lists else ({}, [])
    found |= splits
    rest = [files.name(image) for image in files.images if image not in found]
    if found and rest:
        return found, [f"{len(rest)} images are in no split of {files.name(path)}: not used (first: {rest[0]})"]
    return found, []


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]


def _place(files: Files, path: Path, sheet: Yaml, value: str) -> Path | None:
    """Resolve a path in data.yaml, relative to its `path` or to its folder, such as Roboflow's ../train/images."""
    written = PurePath(value.replace("\\", "/"))
    base = sheet.get("path")
    bases = [path.parent / base, files.root / PurePath(base).name] if isinstance(base, str) and base else []
    inner = written.relative_to("..") if written.parts[:1] == ("..",) else written
    for place in [home / part for home in (*bases, path.parent, files.root) for part in (written, inner)]:
        real = Path(os.path.normpath(place))
        if os.path.exists(real) and real.is_relative_to(Path(os.path.normpath(files.root))):
            return files.root / files.below(real)
    return None


def _boxes(path: Path, names: tuple[str, ...], pose: bool, polygons: list[str]) -> list[Box]:
    boxes = []
    for number, line in read_lines(path):
        where, words = f"{path}: line {number}", line.split()
        label = _label(words[0], len(names), where)
        values = finite(words[1:5] if pose else words[1:], where)
        if max(map(abs, values), default=0) > 2:
            raise DataError(f"{where}: {line[:60]!r} must be fractions of the image from 0 to 1, not pixels")
        if len(values) == 4:
            edges = _around_centre(values)
        elif len(values) >= 6 and len(values) % 2 == 0:
            edges = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
            polygons.append(where)
        else:
            raise DataError(f"{where}: {len(words)} numbers, expected class, centre x, centre y, width, height")
        boxes.append(Box(where, label, edges))
    return boxes


def _around_centre(values: Sequence[float]) -> Edges:
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _label(word: str, count: int, where: str) -> int:
    (value,) = finite([word], where)
    if value != int(value) or not 0 <= value < count:
        raise DataError(f"{where}: class {word!r} must be a whole number from 0 to {count - 1}")
    return int(value)

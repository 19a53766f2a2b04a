"""Choose the reader for the detection layout at a path."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...data.sources import list_images
from ...errors import DataError
from ...text import listed
from .annotations import Annotations
from .coco import coco_files, read_coco
from .files import Files
from .voc import read_voc
from .yolo import labels_of, read_yolo, root_of, yolo_sources

__all__ = ["read_boxes"]

_LAYOUTS = "Pascal VOC (.xml), COCO (.json) or YOLO (.txt with data.yaml or classes.txt)"


def read_boxes(path: Path) -> Annotations:
    """Read the boxes at `path`: a COCO file, YOLO's data.yaml, or a folder in a layout of docs/tasks.md."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return _of_file(path)
    files = Files(path)
    sources, xml, labels = coco_files(files), files.ending(".xml"), labels_of(files)
    named = yolo_sources(files) if labels else []
    if sources:
        return _alone(
            read_coco(path, sources), "COCO", {"YOLO's .txt files": list(labels) if named else [], ".xml files": xml}
        )
    if named:
        return _alone(read_yolo(files, named, labels), "YOLO", {".xml files": xml})
    if found := read_voc(files):
        return found
    if labels:
        raise DataError(f"{path}: the class names of its YOLO boxes are missing: add data.yaml or classes.txt")
    raise DataError(f"{path}: has no boxes in {_LAYOUTS}{_hint(path)}")


def _alone(annotations: Annotations, read: str, others: Mapping[str, Sequence[Path]]) -> Annotations:
    """Return the annotations with a note on files of other layouts."""
    for kind, files in others.items():
        if files:
            annotations.notes.append(f"{read} is read, {len(files)} {kind} are ignored")
    return annotations


def _of_file(path: Path) -> Annotations:
    kind = path.suffix.lower()
    if kind == ".json":
        inside = path.parent.name.casefold() == "annotations"
        return read_coco(path.parent.parent if inside else path.parent, [path])
    if kind in (".yaml", ".yml"):
        files = Files(root_of(path))
        return read_yolo(files, [path], labels_of(files))
    raise DataError(f"{path}: a detection data set must be a folder, COCO's .json or YOLO's .yaml{_hint(path)}")


def _hint(path: Path) -> str:
    """Return a hint at classification if the data can be read as classes."""
    try:
        labels = dict.fromkeys(str(row.label) for row in list_images(path).rows)
    except DataError:
        return ""
    if len(labels) < 2:
        return ""
    return f"; its images have classes ({listed(list(labels))}): did you mean --task classify?"

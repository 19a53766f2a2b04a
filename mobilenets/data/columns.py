"""Define the column names of tables, and the task that each column belongs to, for hints in errors."""

from collections.abc import Collection, Iterable
from pathlib import Path

from ..errors import DataError
from ..text import listed

__all__ = ["DETECT", "NAMES", "check_columns", "hint_of_columns"]

NAMES = {  # accepted names of each column, in order of preference; Hugging Face's metadata.csv has file_name
    "path": ("path", "file_name", "filename", "image", "image_path", "file"),
    "label": ("label", "class", "category", "label_name"),
}


_BOXES = frozenset("xmin ymin xmax ymax x_min y_min x_max y_max x1 y1 x2 y2 bbox boxes objects bounding_box".split())
_LOCATIONS = frozenset("latitude longitude lat lon lng".split())
_IDENTITIES = frozenset("identity identity_id person person_id subject individual".split())
DETECT = "boxes are learned with --task detect, from Pascal VOC or COCO"


def hint_of_columns(names: Iterable[str]) -> str:
    """Return '; ' and the task that columns of these names belong to, or '' if no task is recognised."""
    lower = {name.lower() for name in names}
    if boxes := sorted(_BOXES & lower):
        return f"; {listed(boxes)}: {DETECT}"
    if len(_LOCATIONS & lower) > 1:
        return "; locations are learned with --task geolocate, from the columns path,latitude,longitude"
    if identities := sorted(_IDENTITIES & lower):
        return f"; {identities[0]}: identities are learned with --task embed, from the columns path,label"
    if lower & {*NAMES["path"]} and len(lower - {*NAMES["path"], "split"}) > 1:
        return "; columns of 0 and 1 are learned with --task attributes"
    return ""


def check_columns(path: Path, columns: Collection[str], images: Collection[str]) -> list[str]:
    """Return a note on box columns, which classification ignores; raise `DataError` if an image has several boxes."""
    boxes = [name for name in columns if name.lower() in _BOXES]
    if len(boxes) > 1 and len(set(images)) < len(images):
        raise DataError(f"{path}: {len(set(images))} images in {len(images)} lines with {listed(boxes)}: {DETECT}")
    return [f"ignored the columns {listed(boxes, 4)}: {DETECT}"] if boxes else []

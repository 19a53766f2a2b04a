"""What columns of tables are called, and which task they are for: errors name it where it is another."""

from collections.abc import Collection, Iterable
from pathlib import Path

from ..errors import DataError
from ..text import listed

__all__ = ["DETECT", "NAMES", "check_columns", "hint_of_columns"]

NAMES = {  # of a column, the first that is there; Hugging Face's metadata.csv has file_name
    "path": ("path", "file_name", "filename", "image", "image_path", "file"),
    "label": ("label", "class", "category", "label_name"),
}


_BOXES = frozenset("xmin ymin xmax ymax x_min y_min x_max y_max x1 y1 x2 y2 bbox boxes objects bounding_box".split())
_PLACES = frozenset("latitude longitude lat lon lng".split())
_IDENTITIES = frozenset("identity identity_id person person_id subject individual".split())
DETECT = "boxes are learned with --task detect, from Pascal VOC or COCO"


def hint_of_columns(names: Iterable[str]) -> str:
    """'; ' and the task that columns of these names are for; nothing where that cannot be told."""
    lower = {name.lower() for name in names}
    if boxes := sorted(_BOXES & lower):
        return f"; {listed(boxes)}: {DETECT}"
    if len(_PLACES & lower) > 1:
        return "; places are learned with --task geolocate, from the columns path,latitude,longitude"
    if identities := sorted(_IDENTITIES & lower):
        return f"; {identities[0]}: identities are learned with --task embed, from the columns path,label"
    if lower & {*NAMES["path"]} and len(lower - {*NAMES["path"], "split"}) > 1:
        return "; columns of 0 and 1 are learned with --task attributes"
    return ""


def check_columns(path: Path, columns: Collection[str], images: Collection[str]) -> list[str]:
    """Return a note on columns of boxes, which classes ignore; `DataError` where an image has several boxes."""
    boxes = [name for name in columns if name.lower() in _BOXES]
    if len(boxes) > 1 and len(set(images)) < len(images):
        raise DataError(f"{path}: {len(set(images))} images in {len(images)} lines with {listed(boxes)}: {DETECT}")
    return [f"ignored the columns {listed(boxes, 4)}: {DETECT}"] if boxes else []

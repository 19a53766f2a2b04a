"""What the pixels of an annotation are counted in: the upright image, or the image as it is stored."""

from pathlib import Path

from PIL import ExifTags, Image

from ...errors import ImageError
from ...image import upright_size

__all__ = ["LYING", "Edges", "Size", "found_size", "orientation", "problem", "turned"]

Size = tuple[int, int]  # (width, height) of an image, in pixels
Edges = tuple[float, float, float, float]  # left, top, right, bottom

LYING = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_SLACK = 1.0  # pixels that an edge may lie outside: programs count pixels from 0 or 1, and round


def found_size(image: Path) -> Size | None:
    """What the image itself says; None where it cannot be read, which is told where it is decoded."""
    try:
        return upright_size(image)
    except ImageError:
        return None


def orientation(image: Path) -> int:
    """What EXIF says of how the image is turned, 1 to 8; 1 where it says nothing."""
    try:
        with Image.open(image) as opened:
            return int(opened.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises nearly anything on damaged EXIF, which then says nothing
        return 1


def turned(edges: Edges, size: Size, how: int) -> Edges:
    """Edges in the stored image as edges in the upright one, of `size`; `how` is an orientation of `LYING`."""
    left, top, right, bottom = edges
    if how in (7, 8):
        left, right = size[1] - right, size[1] - left
    if how in (6, 7):
        top, bottom = size[0] - bottom, size[0] - top
    return top, left, bottom, right


def problem(edges: Edges, size: Size) -> str | None:
    """What is wrong with a box in an image of `size`, None where nothing is."""
    left, top, right, bottom = edges
    width, height = size
    if right <= left or bottom <= top:
        return "has no size: right must be above left, bottom above top"
    if min(left, top) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK:
        return f"leaves its image of {width}x{height} pixels"
    return "lies on the image's edge, outside" if min(right, bottom) <= 0 or left >= width or top >= height else None

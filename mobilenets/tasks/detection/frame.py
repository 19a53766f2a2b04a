"""Convert box coordinates between the image as stored and the upright image (EXIF orientation)."""

from pathlib import Path

from PIL import ExifTags, Image

from ...errors import ImageError
from ...image import Size, upright_size

__all__ = ["LYING", "Edges", "found_size", "orientation", "problem", "turned"]

Edges = tuple[float, float, float, float]  # left, top, right, bottom

LYING = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_SLACK = 1.0  # tolerance in pixels outside of the image: programs count pixels from 0 or 1, and round


def found_size(image: Path) -> Size | None:
    """Return the size of the upright image, or None if it cannot be read, which decoding reports."""
    try:
        return upright_size(image)
    except ImageError:
        return None


def orientation(image: Path) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none."""
    try:
        with Image.open(image) as opened:
            return int(opened.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises many types of exceptions on damaged EXIF
        return 1


def turned(edges: Edges, size: Size, how: int) -> Edges:
    """Return edges in the upright image of `size`, from edges in the stored image with orientation `how` of `LYING`."""
    left, top, right, bottom = edges
    if how in (7, 8):
        left, right = size[1] - right, size[1] - left
    if how in (6, 7):
        top, bottom = size[0] - bottom, size[0] - top
    return top, left, bottom, right


def problem(edges: Edges, size: Size) -> str | None:
    """Return what is wrong with a box in an image of `size`, or None."""
    left, top, right, bottom = edges
    width, height = size
    if right <= left or bottom <= top:
        return "has no area: right must be above left, bottom above top"
    if min(left, top) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK:
        return f"is outside of its image of {width}x{height} pixels"
    return "is outside of its image, at the edge" if min(right, bottom) <= 0 or left >= width or top >= height else None

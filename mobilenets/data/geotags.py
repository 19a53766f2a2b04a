"""Read photos with the location where they were taken: from a CSV file (path,latitude,longitude) or from EXIF GPS."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import ExifTags

from ..errors import DataError, ImageError
from ..image import opened
from ..text import listed
from .classes import list_files
from .parallel import ordered
from .rows import Listing
from .table import Line, read_lines, row_of

__all__ = ["list_geotagged"]

Location = tuple[float, float]  # latitude, longitude in degrees


def list_geotagged(path: Path) -> tuple[Listing, list[Location]]:
    """Return the photos at `path` and the (latitude, longitude) of each in degrees; raise `DataError` if invalid.

    In a folder, photos without GPS data are left out with a note.
    """
    if path.is_dir():
        return _from_exif(path)
    lines = read_lines(path, ("path", "latitude", "longitude"))
    locations = [(_degrees(line, "latitude", 90), _degrees(line, "longitude", 180)) for line in lines]
    return Listing([row_of(line, "") for line in lines]), locations


def _degrees(line: Line, name: str, most: int) -> float:
    text = line.cells[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -most <= value <= most:  # also false for NaN
        raise DataError(f"{line.where}: {name} (={text!r}) must be a number from -{most} to {most}")
    return value


def _from_exif(folder: Path) -> tuple[Listing, list[Location]]:
    files = list_files(folder)
    rows = files.rows
    found = list(ordered(_location_of, [row.read for row in rows]))
    kept = [(row, location) for row, location in zip(rows, found, strict=True) if location is not None]
    without = [row.name for row, location in zip(rows, found, strict=True) if location is None]
    if not kept:
        raise DataError(f"{folder}: none of its {len(rows)} images has GPS coordinates in EXIF: use a CSV file")
    listing = Listing([row for row, _ in kept], notes=files.notes)
    if without:
        listing.notes.append(f"{len(without)} of {len(rows)} images have no GPS coordinates in EXIF: {listed(without)}")
    return listing, [location for _, location in kept]


def _location_of(read: Callable[[], bytes]) -> Location | None:
    try:
        with opened(read()) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    except ImageError:  # an unreadable file has no location
        return None
    latitude = _signed(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S", 90)
    longitude = _signed(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W", 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _signed(gps: dict[int, Any], value: int, reference: int, negative: str, most: int) -> float | None:
    """Return degrees, minutes and seconds as one signed number of degrees, or None if they are invalid."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps[value])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    total = degrees + minutes / 60 + seconds / 3600
    return (-total if gps.get(reference) == negative else total) if 0 <= total <= most else None

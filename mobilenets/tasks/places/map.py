"""A map of the Earth to draw on: equirectangular, a grid every 30 degrees, no coast lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .cells import outlines

__all__ = ["with_cells", "with_points", "world"]

WIDTH = 720
_PAPER, _GRID, _INK = (246, 247, 249), (214, 218, 224), (37, 99, 168)
Colour = tuple[int, int, int]


def world() -> Image.Image:
    """The empty map, twice as wide as high."""
    image = Image.new("RGB", (WIDTH, WIDTH // 2), _PAPER)
    draw = ImageDraw.Draw(image)
    for degrees in range(-180, 181, 30):
        x, _ = _at(0, degrees)
        draw.line([(x, 0), (x, WIDTH // 2)], _GRID)
        if abs(degrees) <= 90:
            _, y = _at(degrees, 0)
            draw.line([(0, y), (WIDTH, y)], _GRID)
    return image


def _at(latitude: float, longitude: float) -> tuple[float, float]:
    return (longitude + 180) / 360 * (WIDTH - 1), (90 - latitude) / 180 * (WIDTH // 2 - 1)


def with_cells(image: Image.Image, cells: Iterable[tuple[str, float]]) -> Image.Image:
    """The map with S2 cells, each as dark as its share (0 to 1) of the largest."""
    shares = dict(cells)
    most = max(shares.values(), default=0.0) or 1.0
    draw = ImageDraw.Draw(image)
    for token, share in shares.items():
        depth = (share / most) ** 0.5
        fill = tuple(round(paper + (ink - paper) * depth) for paper, ink in zip(_PAPER, _INK, strict=True))
        for corners in outlines(token):
            _fill(draw, corners, fill)
    return image


def _fill(draw: ImageDraw.ImageDraw, corners: np.ndarray[Any, Any], colour: tuple[int, ...]) -> None:
    """A small cell; one across the date line is drawn at both edges of the map."""
    latitudes, longitudes = corners.T
    across = np.ptp(longitudes) > 180
    for shift in (0, -360) if across else (0,):
        east = np.where(longitudes < 0, longitudes + 360, longitudes) + shift if across else longitudes
        draw.polygon([_at(*place) for place in zip(latitudes, east, strict=True)], colour)


def with_points(image: Image.Image, places: np.ndarray[Any, Any], colour: Colour, radius: int = 2) -> Image.Image:
    """The map with a dot at each of (N, 2) latitudes and longitudes."""
    draw = ImageDraw.Draw(image)
    for latitude, longitude in places:
        x, y = _at(latitude, longitude)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], colour)
    return image

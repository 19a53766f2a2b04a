"""Draw an equirectangular map of the Earth, with coasts (coasts.json) and a grid of 30 degrees."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .cells import outlines

__all__ = ["with_cells", "with_points", "world"]

WIDTH = 720
STEP = 30  # degrees between grid lines
_SEA, _LAND, _COAST = (246, 247, 249), (226, 225, 216), (138, 143, 148)
_GRID, _TEXT, _INK = (205, 210, 217), (82, 90, 99), (37, 99, 168)
Colour = tuple[int, int, int]
Ring = list[tuple[float, float]]


def world() -> Image.Image:
    """Return the empty map, with an aspect ratio of 2."""
    image = Image.new("RGB", (WIDTH, WIDTH // 2), _SEA)
    draw = ImageDraw.Draw(image)
    land, lakes = _coasts()
    for rings, colour in ((land, _LAND), (lakes, _SEA)):
        for ring in rings:
            draw.polygon(ring, colour)
    return _with_lines(image)


@cache
def _coasts() -> tuple[list[Ring], list[Ring]]:
    """Return the rings of land and of lakes, in pixels."""
    values = json.loads(Path(__file__).with_name("coasts.json").read_text("utf-8"))
    return [_pixels(ring) for ring in values["land"]], [_pixels(ring) for ring in values["lakes"]]


def _pixels(ring: list[int]) -> Ring:
    return [_at(latitude / 10, longitude / 10) for longitude, latitude in zip(ring[::2], ring[1::2], strict=True)]


def _with_lines(image: Image.Image) -> Image.Image:
    """Return the map with grid, coasts and degrees drawn on it."""
    draw = ImageDraw.Draw(image)
    for degrees in range(-180, 181, STEP):
        x, _ = _at(0, degrees)
        draw.line([(x, 0), (x, WIDTH // 2)], _GRID)
        if abs(degrees) <= 90:
            _, y = _at(degrees, 0)
            draw.line([(0, y), (WIDTH, y)], _GRID)
    for ring in (ring for rings in _coasts() for ring in rings):
        draw.line(ring, _COAST)
    font = ImageFont.load_default(15)
    for degrees in range(-60, 61, STEP):
        draw.text((4, _at(degrees, 0)[1] - 2), _degrees(degrees, "NS"), _TEXT, font, anchor="ls")
    for degrees in range(-120, 121, 2 * STEP):
        draw.text((_at(0, degrees)[0] + 3, WIDTH // 2 - 5), _degrees(degrees, "EW"), _TEXT, font, anchor="ls")
    return image


def _degrees(number: int, sides: str) -> str:
    """Return a label such as 60°N or 120°W; the equator and the prime meridian are 0°."""
    return f"{abs(number)}°{sides[number < 0] if number else ''}"


def _at(latitude: float, longitude: float) -> tuple[float, float]:
    return (longitude + 180) / 360 * (WIDTH - 1), (90 - latitude) / 180 * (WIDTH // 2 - 1)


def with_cells(image: Image.Image, cells: Iterable[tuple[str, float]]) -> Image.Image:
    """Return the map with S2 cells, with an opacity of the square root of their share of the largest value."""
    shares = dict(cells)
    most = max(shares.values(), default=0.0) or 1.0
    depths = Image.new("L", image.size)
    draw = ImageDraw.Draw(depths)
    for token, share in shares.items():
        for corners in outlines(token):
            _fill(draw, corners, round(255 * (share / most) ** 0.5))
    image.paste(_INK, mask=depths)
    return _with_lines(image)


def _fill(draw: ImageDraw.ImageDraw, corners: np.ndarray[Any, Any], depth: int) -> None:
    """Fill a small cell; one across the date line is drawn at both edges of the map."""
    latitudes, longitudes = corners.T
    across = np.ptp(longitudes) > 180
    for shift in (0, -360) if across else (0,):
        east = np.where(longitudes < 0, longitudes + 360, longitudes) + shift if across else longitudes
        draw.polygon([_at(*location) for location in zip(latitudes, east, strict=True)], depth)


def with_points(image: Image.Image, locations: np.ndarray[Any, Any], colour: Colour, radius: int = 2) -> Image.Image:
    """Return the map with a dot at each of the locations (N, 2)."""
    draw = ImageDraw.Draw(image)
    for latitude, longitude in locations:
        x, y = _at(latitude, longitude)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], colour)
    return image

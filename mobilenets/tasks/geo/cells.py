"""Partition the Earth into adaptive S2 cells, smaller where photos are dense (PlaNet: Weyand et al. 2016, Section 3).

Locations are (N, 2) float64: latitude and longitude in degrees.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import MissingExtraError

__all__ = ["EARTH_KM", "Cell", "ancestors", "cut", "distances", "outlines", "within"]

EARTH_KM = 6371.0088  # mean radius of the Earth (IUGG)
DEEPEST = 20  # finest level: cells of about 10 m
STRAIGHT = 4  # level of cells of about 600 km, whose edges are nearly straight on a map
Locations = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Cell:
    """An S2 cell by its token, the mean location of its photos, and their number."""

    token: str
    latitude: float
    longitude: float
    photos: int


def _s2() -> Any:
    try:
        import s2geometry
    except ImportError as exc:
        raise MissingExtraError("geolocation needs s2geometry", "train") from exc
    return s2geometry


def _leaf(location: Any) -> Any:
    s2 = _s2()
    return s2.S2CellId(s2.S2LatLng.FromDegrees(float(location[0]), float(location[1])))


def cut(locations: Locations, most: int, least: int) -> list[Cell]:
    """Return the cells with at most `most` photos, in S2's order, without those of fewer than `least`, as in PlaNet."""
    leaves = [_leaf(location) for location in locations]
    left = {face: [i for i, leaf in enumerate(leaves) if leaf.face() == face] for face in range(6)}
    open_cells = [(leaves[held[0]].parent(0), held) for held in left.values() if held]
    done = []
    while open_cells:
        cell, held = open_cells.pop()
        if len(held) <= most or cell.level() == DEEPEST:
            done.append((cell, held))
            continue
        for child in map(cell.child, range(4)):
            inside = [i for i in held if child.contains(leaves[i])]
            if inside:
                open_cells.append((child, inside))
    kept = sorted(((cell, held) for cell, held in done if len(held) >= least), key=lambda one: one[0].id())
    return [Cell(cell.ToToken(), *_middle(locations[held]), len(held)) for cell, held in kept]


def _middle(locations: Locations) -> tuple[float, float]:
    """Return the mean direction, which is well defined at the date line and the poles."""
    x, y, z = _directions(locations).mean(axis=0)
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))


def _directions(locations: Locations) -> Locations:
    """Return unit vectors (N, 3)."""
    latitude, longitude = np.radians(locations).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )


def within(locations: Locations, tokens: list[str]) -> Ints:
    """Return the index (N,) int64 of the cell that contains each location, or -1."""
    s2 = _s2()
    number = {s2.S2CellId.FromToken(token).id(): i for i, token in enumerate(tokens)}
    levels = sorted({s2.S2CellId(one).level() for one in number}) if number else []
    found = []
    for location in locations:
        leaf = _leaf(location)
        found.append(next((n for level in levels if (n := number.get(leaf.parent(level).id())) is not None), -1))
    return np.array(found, np.int64)


def ancestors(tokens: list[str]) -> list[Ints]:
    """Return the group (cells,) of each cell, for every coarser level that merges cells, the finest first."""
    s2 = _s2()
    cells = [s2.S2CellId.FromToken(token) for token in tokens]
    groups, before = [], len(cells)
    for level in range(max(cell.level() for cell in cells) - 1, -1, -1):
        ids = [cell.parent(min(level, cell.level())).id() for cell in cells]
        count = len(Counter(ids))
        if 1 < count < before:
            numbers = {one: i for i, one in enumerate(dict.fromkeys(ids))}
            groups.append(np.array([numbers[one] for one in ids], np.int64))
            before = count
    return groups


def distances(locations: Locations, others: Locations) -> Locations:
    """Return great-circle distances (N,) in km, by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = np.radians(locations).T, np.radians(others).T
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    km: Locations = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1)))
    return km


def outlines(token: str) -> list[Locations]:
    """Return the corners (4, 2) of a cell, or of its subcells if its edges are not straight on the map."""
    s2 = _s2()
    cells = [s2.S2CellId.FromToken(token)]
    while cells[0].level() < STRAIGHT:
        cells = [cell.child(i) for cell in cells for i in range(4)]
    return [_corners(s2.S2Cell(cell)) for cell in cells]


def _corners(cell: Any) -> Locations:
    corners = [_s2().S2LatLng(cell.GetVertex(i)) for i in range(4)]
    return np.array([[corner.lat().degrees(), corner.lng().degrees()] for corner in corners])

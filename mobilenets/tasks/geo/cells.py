"""Adaptive S2 cells, as PlaNet cuts the Earth (Weyand, Kostrikov, Philbin 2016): small where photos are dense.

Places are (N, 2) float64: latitude and longitude in degrees.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import MissingExtraError

__all__ = ["EARTH_KM", "Cell", "ancestors", "cut", "distances", "outlines", "within"]

EARTH_KM = 6371.0088  # mean radius (IUGG)
DEEPEST = 20  # level: cells of some 10 m
STRAIGHT = 4  # level: cells of some 600 km, whose edges are nearly straight on a map
Locations = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of S2 by its token, and the mean place of the photos in it."""

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
    """Cells of at most `most` photos, in S2's order; those of fewer than `least` are dropped, as PlaNet does."""
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
    """The mean direction, which no date line or pole disturbs."""
    x, y, z = _directions(locations).mean(axis=0)
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))


def _directions(locations: Locations) -> Locations:
    """(N, 3) unit vectors."""
    latitude, longitude = np.radians(locations).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )


def within(locations: Locations, tokens: list[str]) -> Ints:
    """(N,): the number of the cell that holds each place, -1 where none does."""
    s2 = _s2()
    number = {s2.S2CellId.FromToken(token).id(): i for i, token in enumerate(tokens)}
    levels = sorted({s2.S2CellId(one).level() for one in number}) if number else []
    found = []
    for location in locations:
        leaf = _leaf(location)
        found.append(next((n for level in levels if (n := number.get(leaf.parent(level).id())) is not None), -1))
    return np.array(found, np.int64)


def ancestors(tokens: list[str]) -> list[Ints]:
    """For each coarser level at which cells fall together: (cells,) the group of each. The finest first."""
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
    """(N,) great-circle distances in km, by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = np.radians(locations).T, np.radians(others).T
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    km: Locations = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1)))
    return km


def outlines(token: str) -> list[Locations]:
    """The corners (4, 2) of a cell, or of the small ones that make it up where its edges are not straight."""
    s2 = _s2()
    cells = [s2.S2CellId.FromToken(token)]
    while cells[0].level() < STRAIGHT:
        cells = [cell.child(i) for cell in cells for i in range(4)]
    return [_corners(s2.S2Cell(cell)) for cell in cells]


def _corners(cell: Any) -> Locations:
    corners = [_s2().S2LatLng(cell.GetVertex(i)) for i in range(4)]
    return np.array([[corner.lat().degrees(), corner.lng().degrees()] for corner in corners])

"""Evaluate geolocation: shares within 1 to 2500 km (Hays and Efros 2008; Table 11 of the MobileNet paper)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError
from ..result import Picture, Section, Table
from .cells import distances

if TYPE_CHECKING:
    from ...data.cache import Images

__all__ = ["RADII", "GeolocationScores", "LocationPrediction", "evaluate_locations"]

RADII = (1, 25, 200, 750, 2500)  # km: street, city, region, country, continent
MOST_MISTAKES = 24
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class LocationPrediction:
    """A predicted location, and every cell with its probability, the most probable first; `top` of them are printed."""

    cells: tuple[tuple[str, float, float, float], ...]  # token, latitude, longitude, probability
    top: int

    @property
    def latitude(self) -> float:
        return self.cells[0][1]

    @property
    def longitude(self) -> float:
        return self.cells[0][2]

    def to_dict(self) -> dict[str, Any]:
        names = ("cell", "latitude", "longitude", "probability")
        cells = [dict(zip(names, cell, strict=True)) for cell in self.cells[: self.top]]
        return {"latitude": self.latitude, "longitude": self.longitude, "top": cells}

    def line(self) -> str:
        return f"{self.latitude:.4f}, {self.longitude:.4f}  {self.cells[0][3]:.1%}"

    def rows(self) -> tuple[tuple[str, ...], ...]:
        return tuple(
            (str(rank), f"{latitude:.6f}", f"{longitude:.6f}", token, f"{p:.6f}")
            for rank, (token, latitude, longitude, p) in enumerate(self.cells[: self.top], 1)
        )


@dataclass(frozen=True, slots=True)
class LocationError:
    """The error of one photo, in km. Locations are (latitude, longitude) in degrees."""

    name: str
    index: int
    km: float
    truth: tuple[float, float]
    predicted: tuple[float, float]


@dataclass(frozen=True, slots=True)
class GeolocationScores:
    """The metrics of a geolocation network on one split.

    `within` maps a distance in km to the share of photos within it; `chance` is the same for predictions drawn at
    random from the training photos' cells.
    """

    images: int
    within: dict[int, float]
    chance: dict[int, float]
    median_km: float
    worst: tuple[LocationError, ...]
    locations: tuple[tuple[float, float, float], ...]  # latitude, longitude, error in km

    @property
    def score(self) -> float:
        return float(np.mean(list(self.within.values())))

    def headline(self) -> str:
        shares = ", ".join(f"{share:.1%} within {km} km" for km, share in reversed(self.within.items()))
        return f"{shares}; median error {self.median_km:,.0f} km, {self.images:,} photos"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        chance = f"by chance {self.chance[2500]:.1%}"
        return (
            ("within 2500 km", f"{self.within[2500]:.1%}", chance),
            ("median error", f"{self.median_km:,.0f} km", "great-circle distance"),
        )

    def metrics(self) -> dict[str, Any]:
        shares = {f"within_{km}_km": share for km, share in self.within.items()}
        return {"images": self.images, "mean_within": self.score, **shares, "median_km": self.median_km}

    def to_dict(self) -> dict[str, Any]:
        values = {**self.metrics(), "chance": {str(km): share for km, share in self.chance.items()}}
        return {**values, "worst": [asdict(one) for one in self.worst]}

    def tables(self) -> tuple[Table, ...]:
        rows = (
            (f"{km} km", f"{self.within[km]:.1%}", f"{self.chance[km]:.2%}", _times(self.within[km], self.chance[km]))
            for km in RADII
        )
        return (Table("share of photos within a distance", ("within", "share", "by chance", "ratio"), tuple(rows)),)

    def sections(self, images: Images) -> tuple[Section, ...]:
        from .map import with_points, world

        chart = world()
        for low, high, colour in ((2500, np.inf, (200, 62, 44)), (750, 2500, (226, 150, 50)), (0, 750, (37, 99, 168))):
            chart = with_points(chart, np.array([p[:2] for p in self.locations if low <= p[2] < high]), colour)
        worst = tuple(
            Picture(images.pixels(one.index), f"{one.name}: {one.truth[0]:.2f}, {one.truth[1]:.2f}", _predicted(one))
            for one in self.worst
        )
        return (
            Section("Distances", "Great-circle distance from the true location.", self.tables()),
            Section(
                "Map",
                "True locations of the photos, by error: blue within 750 km, orange within 2500 km, red above.",
                pictures=(Picture(np.asarray(chart), ""),),
                width=640,
            ),
            Section(
                "Largest errors", "The true location, and in red the predicted location and the error.", pictures=worst
            ),
        )


def _times(share: float, chance: float) -> str:
    return f"{share / chance:.1f}" if chance else ""


def _predicted(one: LocationError) -> str:
    return f"{one.predicted[0]:.2f}, {one.predicted[1]:.2f}: {one.km:,.0f} km"


def evaluate_locations(
    outputs: Array, truth: Array, names: tuple[str, ...], centres: Array, weights: Array
) -> GeolocationScores:
    """Evaluate probabilities (N, cells) against locations (N, 2).

    `centres` (cells, 2) are the cells' locations, `weights` (cells,) their numbers of training photos. Raises
    `DataError` without images.
    """
    if len(truth) == 0:
        raise DataError("no images to evaluate")
    predicted = centres[outputs.argmax(1)]
    km = distances(predicted, truth)
    shares = weights / weights.sum()
    chance = np.zeros(len(RADII))
    for centre, share in zip(centres, shares, strict=True):
        near = distances(np.broadcast_to(centre, truth.shape), truth)
        chance += share * (near[:, None] <= np.array(RADII)).mean(0)
    worst = np.argsort(-km, kind="stable")[:MOST_MISTAKES].tolist()
    return GeolocationScores(
        images=len(truth),
        within={radius: float((km <= radius).mean()) for radius in RADII},
        chance=dict(zip(RADII, chance.tolist(), strict=True)),
        median_km=float(np.median(km)),
        worst=tuple(
            LocationError(names[i], i, float(km[i]), tuple(truth[i].tolist()), tuple(predicted[i].tolist()))
            for i in worst
        ),
        locations=tuple((*location, off) for location, off in zip(truth.tolist(), km.tolist(), strict=True)),
    )

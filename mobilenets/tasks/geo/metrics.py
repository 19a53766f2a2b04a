"""How far off a geolocator is: the shares within 1 to 2500 km (Hays, Efros 2008; the paper's Table 11)."""

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
    """A place, and every cell's probability, the most probable first; `top` of them are told."""

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
    """One photo: how far from the truth it was put. Places are (latitude, longitude)."""

    name: str
    index: int
    km: float
    truth: tuple[float, float]
    predicted: tuple[float, float]


@dataclass(frozen=True, slots=True)
class GeolocationScores:
    """A geolocator on one split. `within`: km -> share of the photos; `chance`: the same for a training photo's cell,
    drawn at random.
    """

    images: int
    within: dict[int, float]
    chance: dict[int, float]
    median_km: float
    worst: tuple[LocationError, ...]
    locations: tuple[tuple[float, float, float], ...]  # latitude, longitude, km off

    @property
    def score(self) -> float:
        return float(np.mean(list(self.within.values())))

    def headline(self) -> str:
        shares = ", ".join(f"{share:.1%} within {km} km" for km, share in reversed(self.within.items()))
        return f"{shares}; median {self.median_km:,.0f} km off, {self.images:,} photos"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        chance = f"by chance {self.chance[2500]:.1%}"
        return (
            ("within 2500 km", f"{self.within[2500]:.1%}", chance),
            ("median", f"{self.median_km:,.0f} km", "half of the photos are put nearer"),
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
        return (Table("share of the photos put so near", ("within", "share", "by chance", "times"), tuple(rows)),)

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
            Section("Distances", "Great-circle distance from the truth.", self.tables()),
            Section(
                "Map",
                "Where the photos are: blue were put within 750 km, orange within 2500, red farther off.",
                pictures=(Picture(np.asarray(chart), ""),),
                width=640,
            ),
            Section("Farthest off", "The truth, and in red where the network put it.", pictures=worst),
        )


def _times(share: float, chance: float) -> str:
    return f"{share / chance:.1f}" if chance else ""


def _predicted(one: LocationError) -> str:
    return f"{one.predicted[0]:.2f}, {one.predicted[1]:.2f}: {one.km:,.0f} km"


def evaluate_locations(
    outputs: Array, truth: Array, names: tuple[str, ...], centres: Array, weights: Array
) -> GeolocationScores:
    """Score probabilities (N, cells) against places (N, 2); `centres` (cells, 2), `weights`: training photos a cell."""
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

"""A prior for the accuracy of a network before training, for ranking only.

It is fitted to published ImageNet results (`points.POINTS`). In log-odds, ln(p / (1 - p)), top-1 is a sum: one term of
the family, one of the recipe by which the network was trained, and

    - width * (alpha^-1/2 - 1) - size * (224 / resolution - 1),

with the same `width` and `size` for all families. Networks that were trained by several recipes connect the families,
so that all are predicted for one recipe (`points.REFERENCE`). A user's own runs calibrate it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arch.network import Network
from ..errors import BudgetError
from .points import POINTS, REFERENCE, Point
from .space import body_of

__all__ = ["MeasuredPoint", "Prior"]

_FULL = "full"  # the term of full convolutions, beside that of the family


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """A network that the user trained: its top-1 in % (0 to 100) on the user's data, and the source."""

    network: Network
    top1: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.top1 <= 100:
            raise BudgetError(f"{self.source}: top1 (={self.top1!r}) must be from 0 to 100%")


@dataclass(frozen=True, slots=True)
class Prior:
    """Predicts top-1 (%) of a network. `Prior.published()` makes it, `calibrated` adapts it."""

    terms: Mapping[str, float]  # log-odds at 1-224 of each family, what full convolutions and each recipe add
    width: float
    size: float
    offset: float = 0.0  # calibrated top-1 = offset + slope * prior
    slope: float = 1.0
    measured: tuple[MeasuredPoint, ...] = ()
    label: str = f"a prior from ImageNet ({len(POINTS)} published networks), good for ranking only"

    @classmethod
    def published(cls, points: Sequence[Point] = POINTS) -> "Prior":
        """Return the least-squares fit of top-1 over `points`."""
        names = list(dict.fromkeys(name for point in points for name in _terms(point)))
        rows = np.array(
            [[*(name in _terms(point) for name in names), *_slopes(point.network)] for point in points], np.float64
        )
        top1 = np.array([point.top1 / 100 for point in points])
        steepness = top1 * (1 - top1)  # of top-1 over log-odds
        odds = np.log(top1 / (1 - top1))
        found = np.linalg.lstsq(rows * steepness[:, None], odds * steepness, rcond=None)[0].tolist()
        return cls(dict(zip(names, found, strict=False)), width=found[-2], size=found[-1])

    def predict(self, network: Network) -> float:
        """Return top-1 in %, clipped to 0 to 100; rank networks by `score`."""
        return min(100.0, max(0.0, self.score(network)))

    def score(self, network: Network) -> float:
        """Return top-1 in % before clipping, so that networks do not tie.

        This is the mean of the network's own measurements where there are any, else the (calibrated) fit. The
        resolution of an input that is not square is sqrt(height * width). Raises `BudgetError` for a body that is
        of no published family.
        """
        own = [point.top1 for point in self.measured if point.network == network]
        if own:
            return sum(own) / len(own)
        return self.offset + self.slope * self._imagenet(network)

    def at(self, point: Point) -> float:
        """Return the top-1 (%) that the fit has for a published network by its own recipe."""
        slopes = sum(c * x for c, x in zip((self.width, self.size), _slopes(point.network), strict=True))
        return 100 / (1 + math.exp(-sum(self.terms[name] for name in _terms(point)) - slopes))

    def _imagenet(self, network: Network) -> float:
        if body_of(network) is None:
            raise BudgetError(f"{network.name}: the prior knows the published bodies of MobileNets only")
        return self.at(Point(network, 0, REFERENCE, ""))

    def calibrated(self, points: Sequence[MeasuredPoint]) -> "Prior":
        """Return this prior calibrated on the user's own runs: one run shifts it, several fit a line through (prior,
        measured).

        Where that line has no slope above zero (all runs of one size, or larger networks not better) the runs are too
        few or too noisy to overrule the published ranking, and the prior is shifted by their mean difference. Raises
        `BudgetError` where there is no run, or where the runs differ in their classes.
        """
        if not points:
            raise BudgetError("calibration needs at least one run")
        classes = sorted({point.network.classes for point in points})
        if len(classes) > 1:
            raise BudgetError(f"calibration runs have {classes} classes: all must come from one data set")
        prior = np.array([self._imagenet(point.network) for point in points])
        top1 = np.array([point.top1 for point in points])
        away = prior - prior.mean()
        slope = float(away @ top1 / (away @ away)) if away @ away > 1e-6 else 0.0
        how = "" if slope > 0 else ", shifted only" if len(points) > 1 else ""
        slope = slope if slope > 0 else 1.0
        runs = f"{len(points)} run{'s' if len(points) > 1 else ''}{how}"
        return replace(
            self,
            offset=float(top1.mean() - slope * prior.mean()),
            slope=slope,
            measured=tuple(points),
            label=f"the published prior, calibrated on {runs}",
        )


def _resolution(network: Network) -> float:
    return math.sqrt(network.height * network.width)


def _terms(point: Point) -> list[str]:
    """Return the names of the terms of a point; that of the reference recipe is 0."""
    full = [_FULL] if point.network.convolution == "full" else []
    recipe = [point.recipe] if point.recipe != REFERENCE else []
    return [str(body_of(point.network)), *full, *recipe]


def _slopes(network: Network) -> tuple[float, float]:
    """Return what `width` and `size` are multiplied with: 0 at 1-224, less for less."""
    return 1 - network.alpha**-0.5, 1 - 224 / _resolution(network)

"""A prior for the accuracy of a network before training, for ranking only.

It is fitted to the paper's sixteen networks {1, 0.75, 0.5, 0.25} x {224, 192, 160, 128} with the model of its Figure 4:
top-1 is linear in log2 alpha and log2 resolution, with a drop as alpha falls below 0.5. All of these are ImageNet
results; a user's own runs calibrate it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arch.network import BODY, SHALLOW_BODY, Network
from ..arch.zoo import PAPER, named
from ..errors import BudgetError

__all__ = ["POINTS", "MeasuredPoint", "Point", "Prior"]

_SLIM = "TF-slim, release of June 2017; the paper only plots it (Figure 4)"


@dataclass(frozen=True, slots=True)
class Point:
    """ImageNet top-1 (%) of a square network, and its source."""

    network: Network
    top1: float
    source: str


POINTS = (
    *(
        Point(row.network, row.top1, f"the paper, {row.table}")
        for row in PAPER
        if row.network.convolution == "separable" and row.network.blocks == BODY
    ),
    Point(named("0.75-192"), 67.4, _SLIM),
    Point(named("0.75-160"), 65.2, _SLIM),
    Point(named("0.75-128"), 61.8, _SLIM),
    Point(named("0.5-192"), 62.1, _SLIM),
    Point(named("0.5-128"), 56.2, _SLIM),
    Point(named("0.25-192"), 49.0, _SLIM),
    Point(named("0.25-160"), 46.0, _SLIM),
    Point(named("0.25-128"), 41.3, _SLIM),
)

# Below the paper's smallest input accuracy falls faster than the fit: a fit to MobileNetV2's published
# networks at 128 to 224 px is 1.7 points too high for those at 96 (mean of four widths, TF-slim's table), and
# 1.7 = 9.8 * log2(128 / 96)^2. A free quadratic term through `POINTS` gives the same for 64 px (9 points).
SMALLEST_PLOTTED = 128
SMALL_INPUT = 9.8


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
    """Predicts top-1 (%) of a network. `Prior.of_the_paper()` makes it, `calibrated` adapts it."""

    coefficients: tuple[float, ...]  # of 1, log2 alpha, log2 resolution, max(0, log2(0.5 / alpha))
    residual: float  # root mean square over the sixteen points, in points of top-1
    shallow: float  # what removing the five 14x14x512 blocks adds: negative
    full: float  # what full 3x3 convolutions add
    offset: float = 0.0  # calibrated top-1 = offset + slope * prior
    slope: float = 1.0
    measured: tuple[MeasuredPoint, ...] = ()
    label: str = "a prior from ImageNet (the paper's 16 networks), good for ranking only"

    @classmethod
    def of_the_paper(cls) -> "Prior":
        """Return the least-squares fit over `POINTS`; variants are offset by their difference to 1.0-224 (Tables 4 and
        5).
        """
        rows = np.array([_features(point.network) for point in POINTS])
        top1 = np.array([point.top1 for point in POINTS])
        coefficients = np.linalg.lstsq(rows, top1, rcond=None)[0]
        printed = {row.network: row.top1 for row in PAPER}
        return cls(
            coefficients=tuple(coefficients.tolist()),
            residual=float(np.sqrt(np.mean((rows @ coefficients - top1) ** 2))),
            shallow=printed[Network(blocks=SHALLOW_BODY)] - printed[Network()],
            full=printed[Network(convolution="full")] - printed[Network()],
        )

    def predict(self, network: Network) -> float:
        """Return top-1 in %, clipped to 0 to 100; rank networks by `score`."""
        return min(100.0, max(0.0, self.score(network)))

    def score(self, network: Network) -> float:
        """Return top-1 in % before clipping, so that networks do not tie.

        This is the mean of the network's own measurements where there are any, else the (calibrated) fit. The
        resolution of an input that is not square is sqrt(height * width). Raises `BudgetError` for a body that is
        neither the paper's nor its shallow variant.
        """
        own = [point.top1 for point in self.measured if point.network == network]
        if own:
            return sum(own) / len(own)
        return self.offset + self.slope * self._imagenet(network)

    def _imagenet(self, network: Network) -> float:
        if network.blocks not in (BODY, SHALLOW_BODY):
            raise BudgetError(f"{network.name}: the prior knows the paper's body and its shallow variant only")
        top1 = sum(c * x for c, x in zip(self.coefficients, _features(network), strict=True))
        top1 -= SMALL_INPUT * max(0.0, math.log2(SMALLEST_PLOTTED / _resolution(network))) ** 2
        top1 += self.shallow if network.blocks == SHALLOW_BODY else 0.0
        return top1 + (self.full if network.convolution == "full" else 0.0)

    def calibrated(self, points: Sequence[MeasuredPoint]) -> "Prior":
        """Return this prior calibrated on the user's own runs: one run shifts it, several fit a line through (prior,
        measured).

        Where that line has no slope above zero (all runs of one size, or larger networks not better) the runs are too
        few or too noisy to overrule the paper's ranking, and the prior is shifted by their mean difference. Raises
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
            label=f"the paper's prior, calibrated on {runs}",
        )


def _resolution(network: Network) -> float:
    return math.sqrt(network.height * network.width)


def _features(network: Network) -> tuple[float, float, float, float]:
    alpha = network.alpha
    return 1.0, math.log2(alpha), math.log2(_resolution(network)), max(0.0, math.log2(0.5 / alpha))

"""Ranges of the activations that int8 covers: three rules on histograms."""

from collections.abc import Callable, Mapping

import numpy as np

from .conversion import Range, quant_params
from .observe import Histogram
from .scheme import HIGH, LOW, Doubles

__all__ = ["RULES", "ranges_by"]

PERCENTILE = 99.99
SMALLEST = 1e-30  # so that an empty range has a scale
SHARES = np.linspace(0.2, 1.0, 81)  # of the whole range, tried for the smallest error


def _whole(histogram: Histogram) -> Range:
    return histogram.low, histogram.high


def _percentile(histogram: Histogram) -> Range:
    """Return the range without its outermost values, the same share on either side that is not 0."""
    shares = np.cumsum(histogram.counts) / max(histogram.counts.sum(), 1)
    edges = histogram.low + np.arange(1, len(shares) + 1) * (histogram.high - histogram.low) / len(shares)
    high = edges[np.searchsorted(shares, PERCENTILE / 100)] if shares[-1] else histogram.high
    low = edges[np.searchsorted(shares, 1 - PERCENTILE / 100)] if histogram.low < 0 else histogram.low
    return float(low), float(high)


def _least_error(histogram: Histogram) -> Range:
    """Return the share of the range for which the squared error of rounding and clipping is smallest."""
    ranges = [(share * histogram.low, share * histogram.high) for share in SHARES]
    errors = [_error(histogram.centres, histogram.counts, found) for found in ranges]
    return ranges[int(np.argmin(errors))]


def _error(values: Doubles, counts: Doubles, found: Range) -> float:
    scale = quant_params(*found, finest=SMALLEST)
    integers = np.clip(np.rint(values / scale.scale) + scale.zero_point, LOW, HIGH)
    return float(counts @ (scale.scale * (integers - scale.zero_point) - values) ** 2)


RULES: dict[str, Callable[[Histogram], Range]] = {"minmax": _whole, "percentile": _percentile, "mse": _least_error}


def ranges_by(rule: str, found: Mapping[str, Histogram]) -> dict[str, Range]:
    """Return op -> range by `rule`, a key of `RULES`.

    The classifier's range is always whole: its largest values are the prediction.
    """
    return {name: (_whole if name == "fc" else RULES[rule])(histogram) for name, histogram in found.items()}

"""Statistics of a float network's activations on calibration images, computed in bounded memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.ops import CONVOLUTIONS, Op
from ..arrays import Floats
from ..errors import ModelFileError
from ..image import Pixels, normalise
from ..model import Model
from .reference import taps
from .scheme import Doubles, integer_layers

__all__ = [
    "BINS",
    "Activations",
    "Histogram",
    "Ranges",
    "batches",
    "channel_ranges",
    "histograms",
    "mean_sums",
    "whole",
]

Activations = Callable[[Pixels], Mapping[str, Floats]]  # of images: {op: (N, H, W, C)}; pool (N, C), fc (N, classes)
Ranges = Mapping[str, tuple[Floats, Floats]]  # op -> smallest and largest value of each channel, (C,) both

BATCH = 8  # images at a time
LARGEST = 1e30  # of activations: beyond, float32 overflows
BINS = 2048  # of a histogram: eight to a step of int8


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in `BINS` equal parts of [low, high]."""

    low: float
    high: float
    counts: Doubles = field(default_factory=lambda: np.zeros(BINS))

    @property
    def centres(self) -> Doubles:
        """Return the centre of each bin."""
        found: Doubles = self.low + (np.arange(BINS) + 0.5) * (self.high - self.low) / BINS
        return found

    def add(self, values: Floats) -> None:
        """Count `values` into the bins."""
        per_unit = BINS / (self.high - self.low) if self.high > self.low else 0.0
        bins = ((values.ravel() - np.float32(self.low)) * np.float32(per_unit)).astype(np.int32)
        self.counts[:] += np.bincount(np.clip(bins, 0, BINS - 1, out=bins), minlength=BINS)


def batches(images: Pixels) -> Iterator[Pixels]:
    """Yield batches of at most `BATCH` images."""
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def channel_ranges(run: Activations, images: Pixels) -> Ranges:
    """Return the range of each channel over all images and pixels; pools are left out, they have the range of their
    input.

    Raises `ModelFileError` for activations that are no numbers, or beyond `LARGEST`.
    """
    found: dict[str, tuple[Floats, Floats]] = {}
    for batch in batches(images):
        for name, values in run(batch).items():
            if name.endswith("pool"):
                continue
            axes = tuple(range(values.ndim - 1))
            low, high = values.min(axis=axes), values.max(axis=axes)
            if not (largest := float(np.maximum(high, -low).max())) <= LARGEST:  # not for NaN either
                raise ModelFileError(f"{name}: activations reach {largest:g}, must be at most {LARGEST:g} for int8")
            before = found.get(name, (low, high))
            found[name] = np.minimum(before[0], low), np.maximum(before[1], high)
    return found


def whole(ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Return op -> the smallest and largest value over all channels."""
    return {name: (float(low.min()), float(high.max())) for name, (low, high) in ranges.items()}


def histograms(run: Activations, images: Pixels, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Histogram]:
    """Return the histogram of each op in `ranges` over its range."""
    found = {name: Histogram(low, high) for name, (low, high) in ranges.items()}
    for batch in batches(images):
        values = run(batch)
        for name, histogram in found.items():
            histogram.add(values[name])
    return found


def mean_sums(model: Model, run: Activations, images: Pixels) -> dict[str, Doubles]:
    """Return layer -> (out,): the mean of each channel before its activation, over all images and pixels.

    A convolution is linear: the mean of what it gives is what it gives of the mean of all that each tap sees. Left out
    are layers with a hard sigmoid, whose integers have other weights.
    """
    graph, weights = fold_batch_norm(model.graph, model.weights)
    found = integer_layers(graph)
    names = ["image", *(layer.name for layer in found)]
    seen: dict[str, Doubles] = {}
    for batch in batches(images):
        values = {"image": normalise(batch, model.preprocess), **run(batch)}
        for layer in found:
            op, scaled = layer.op, layer.activation is not None and layer.activation.kind == "hard_sigmoid"
            if f"{op.name}.weight" in weights and not scaled:
                share = mean_taps(op, values[names[layer.sources[0]]]) * (len(batch) / len(images))
                seen[op.name] = seen[op.name] + share if op.name in seen else share
    return {
        name: weigh(graph.op(name), weights[f"{name}.weight"], means) + weights[f"{name}.bias"]
        for name, means in seen.items()
    }


def mean_taps(op: Op, x: np.ndarray[Any, Any]) -> Doubles:
    """Return (k, k, C), the mean input of each tap of the kernel, of (N, H, W, C); (1, 1, C) for the classifier."""
    if op.kind not in CONVOLUTIONS:
        return np.asarray(x.reshape(len(x), -1).mean(axis=0, dtype=np.float64)[None, None])
    found = np.empty((op.kernel, op.kernel, op.shape_in[2]))
    for at, part in taps(op, x):
        found[at] = part.mean(axis=(0, 1, 2), dtype=np.float64)
    return found


def weigh(op: Op, weight: np.ndarray[Any, Any], means: Doubles) -> Doubles:
    """Return (out,): the products of `weight` with `mean_taps`, summed."""
    kernels = weight.astype(np.float64).reshape(*weight.shape[:2], op.kernel, op.kernel)
    pattern = "oirc,rco->o" if op.kind == "depthwise" else "oirc,rci->o"
    return np.asarray(np.einsum(pattern, kernels, means))

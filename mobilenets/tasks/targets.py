"""Renumber class indices for a trained model, and sample classes evenly."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..arrays import AnyInts
from ..data.sources import Dataset
from ..errors import DataError
from ..text import listed

__all__ = ["balanced", "renumbered"]


def renumbered(dataset: Dataset, labels: tuple[str, ...]) -> Dataset:
    """Return the data set with the class indices of a model with `labels`; raise `DataError` for unknown labels."""
    unknown = [label for label in dataset.labels if label not in labels]
    if unknown:
        lacks = f"the model does not have the labels {listed(unknown, 5)}"
        raise DataError(f"{dataset.root}: {lacks}; its own: {listed(labels)}")
    number = [labels.index(label) for label in dataset.labels]
    splits = {
        split: tuple(replace(sample, target=number[sample.target]) for sample in samples)
        for split, samples in dataset.splits.items()
    }
    return replace(dataset, labels=labels, splits=splits)


def balanced(labels: AnyInts) -> Callable[[np.random.Generator], AnyInts]:
    """Return an order that samples every class with equal probability, with replacement."""
    counts = np.bincount(labels)
    weight = 1.0 / counts[labels]
    return lambda rng: rng.choice(len(labels), len(labels), p=weight / weight.sum())

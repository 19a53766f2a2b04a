"""Evaluate multi-label classification: compute all metrics of the report from probabilities and labels."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..data.cache import Images
from ..errors import DataError, MissingExtraError, WorkError
from .result import Picture, Section, Table

__all__ = ["AttributeScore", "AttributeScores", "average_precisions", "evaluate_attributes"]

MOST_MISTAKES = 24

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """The scores of one attribute: its labelled images, those that have it, and its average precision (a fraction).

    `ap` is None if no image has the attribute. Random predictions have positives / images.
    """

    label: str
    images: int
    positives: int
    ap: float | None


@dataclass(frozen=True, slots=True)
class AttributeMistake:
    """One wrong prediction: the image's name and position, whether it has the attribute, and the probability."""

    name: str
    index: int
    label: str
    truth: bool
    probability: float


@dataclass(frozen=True, slots=True)
class AttributeScores:
    """The metrics of a multi-label network on one split. `mean_ap` is the mean over attributes with a positive."""

    images: int
    mean_ap: float
    accuracy: float  # over all known labels, at a threshold of 0.5
    per_attribute: tuple[AttributeScore, ...]
    errors: tuple[AttributeMistake, ...]  # the most confident first, at most 24

    @property
    def score(self) -> float:
        return self.mean_ap

    @property
    def without(self) -> tuple[str, ...]:
        """Return the attributes without a positive image, which are left out of the mean."""
        return tuple(one.label for one in self.per_attribute if one.ap is None)

    def headline(self) -> str:
        counted = len(self.per_attribute) - len(self.without)
        left_out = f" (no image has {', '.join(self.without[:5])})" if self.without else ""
        return f"mean AP {self.mean_ap:.2%} of {counted} attributes{left_out}, {self.images:,} images"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        chance = np.mean([one.positives / one.images for one in self.per_attribute if one.ap is not None] or [0])
        return (
            ("mean AP", f"{self.mean_ap:.1%}", f"chance {chance:.1%}"),
            ("accuracy", f"{self.accuracy:.1%}", "over all labels, at a threshold of 0.5"),
        )

    def metrics(self) -> dict[str, Any]:
        return {"images": self.images, "mean_ap": self.mean_ap, "accuracy": self.accuracy}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def tables(self) -> tuple[Table, ...]:
        rows = tuple(
            (one.label, f"{one.images:,}", f"{one.positives:,}", "" if one.ap is None else f"{one.ap:.1%}")
            for one in sorted(self.per_attribute, key=lambda one: -1 if one.ap is None else one.ap, reverse=True)
        )
        return (Table("by attribute", ("attribute", "images", "with it", "AP"), rows),)

    def sections(self, images: Images) -> tuple[Section, ...]:
        pictures = tuple(
            Picture(
                images.pixels(one.index),
                f"{one.label}: {'yes' if one.truth else 'no'}",
                f"predicted {one.probability:.0%}",
            )
            for one in self.errors
        )
        ap = "Average precision (area under the precision-recall curve). Random predictions have the share "
        wrong = "Wrong predictions with the highest confidence. Many of them are label errors."
        return (
            Section("Attributes", ap + "of images with the attribute.", self.tables()),
            *([Section("Mistakes", wrong, pictures=pictures)] if pictures else []),
        )


def average_precisions(probabilities: Floats, truth: Floats) -> Floats:
    """Return the average precision (A,) of each column of (N, A), over known labels; NaN without a positive."""
    try:
        from sklearn.metrics import average_precision_score
    except ImportError as exc:
        raise MissingExtraError("evaluation needs scikit-learn", "train") from exc
    found = np.full(truth.shape[1], np.nan)
    for at in range(truth.shape[1]):
        known = ~np.isnan(truth[:, at])
        if (truth[known, at] == 1).any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                found[at] = average_precision_score(truth[known, at], probabilities[known, at])
    return found


def evaluate_attributes(
    probabilities: Floats, truth: Floats, labels: Sequence[str], names: Sequence[str]
) -> AttributeScores:
    """Evaluate `probabilities` (N, A) against `truth` (N, A): 0, 1, or NaN for missing labels.

    Raises `DataError` if the shapes disagree or no image has an attribute, and `WorkError` for values that are not
    probabilities.
    """
    if not len(truth):
        raise DataError("no images to evaluate")
    if probabilities.shape != (len(names), len(labels)) or truth.shape != probabilities.shape:
        raise DataError(f"probabilities are {probabilities.shape}, must be {truth.shape}: (images, attributes)")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise WorkError("probabilities must be from 0 to 1: the network returns other values")
    aps = average_precisions(probabilities, truth)
    if np.isnan(aps).all():
        raise DataError("no image has an attribute: average precision is undefined")
    known = ~np.isnan(truth)
    right = (probabilities >= 0.5) == (truth == 1)
    return AttributeScores(
        images=len(truth),
        mean_ap=float(np.nanmean(aps)),
        accuracy=float(right[known].mean()),
        per_attribute=tuple(
            AttributeScore(label, int(known[:, at].sum()), int((truth[:, at] == 1).sum()), _number(aps[at]))
            for at, label in enumerate(labels)
        ),
        errors=_errors(probabilities, truth, labels, names),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _errors(
    probabilities: Floats, truth: Floats, labels: Sequence[str], names: Sequence[str]
) -> tuple[AttributeMistake, ...]:
    off = np.abs(probabilities - truth)  # NaN for missing labels, which sorts last
    worst = np.argsort(-off, axis=None, kind="stable")[:MOST_MISTAKES]
    return tuple(
        AttributeMistake(names[i], int(i), labels[a], bool(truth[i, a]), float(probabilities[i, a]))
        for i, a in zip(*np.unravel_index(worst, off.shape), strict=True)
        if off[i, a] > 0.5
    )

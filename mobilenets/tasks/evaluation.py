"""Evaluate a classifier: compute all metrics of the report from probabilities and labels, without torch.

The prediction is the class of the highest probability; of equal ones, the lower index.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arrays import AnyFloats, AnyInts, Bools
from ..data.cache import Images
from ..errors import DataError, WorkError
from .result import Picture, Section, Table

__all__ = [
    "CalibrationBin",
    "ClassScore",
    "Confused",
    "Evaluation",
    "Mistake",
    "Threshold",
    "evaluate_probabilities",
]

BINS = 15  # bins of the calibration error, as in Guo et al. (2017)
MOST_MISTAKES = 24
MOST_PAIRS = 12
ASKED = (0.9, 0.95, 0.99)  # accuracies for which a threshold is reported
EXAMPLES = 4  # pictures of each confused pair


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The scores of one class, as fractions.

    Undefined scores are None: `recall` of a class without an image in the split, `precision` of a class that was never
    predicted, `f1` if both hold.
    """

    label: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong prediction: the image's name, its position in the split, and the probability of `predicted`."""

    name: str
    index: int
    truth: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class Confused:
    """Images of class `truth` predicted as `predicted`; `examples` are positions in the split, most confident first."""

    truth: str
    predicted: str
    images: int
    share: float  # of the true class's images
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The images whose highest probability is in (low, high]: its mean, and the share predicted correctly.

    Both are 0 if `images` is 0.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest confidence threshold at which predictions reach `accuracy` on this split.

    `answered` is the coverage: the share of images whose highest probability is at least `confidence`.
    """

    accuracy: float  # the requested accuracy
    confidence: float
    answered: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of a classifier on one split; all rates are fractions.

    `top5` is 1 with 5 or fewer classes. `ece` is the expected calibration error: |confidence - accuracy| over the bins
    of `calibration`, weighted by their images (Guo et al. 2017, Equation 3).
    """

    images: int
    top1: float
    top1_interval: tuple[float, float]  # 95%, Wilson
    top5: float
    ece: float
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]  # rows: truth; columns: prediction
    calibration: tuple[CalibrationBin, ...]
    mistakes: tuple[Mistake, ...]  # the most confident first, at most 24
    confused: tuple[Confused, ...]  # the most frequent first, at most 12
    thresholds: tuple[Threshold, ...]  # for the accuracies of `ASKED` above top1 that can be reached
    suspects: tuple[Mistake, ...]  # suspected label errors, the least probable label first, at most 24

    @property
    def score(self) -> float:
        return self.top1

    def headline(self) -> str:
        low, high = self.top1_interval
        top5 = f", top-5 {self.top5:.1%}" if len(self.per_class) > 5 else ""
        calibration = f"expected calibration error {self.ece:.3f}"
        return f"top-1 {self.top1:.2%} (95%: {low:.1%} to {high:.1%}){top5}, {calibration}, {self.images:,} images"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        low, high = self.top1_interval
        few = len(self.per_class) <= 5
        moot = "always 100% with 5 classes or fewer" if few else "the true class is among the five most probable"
        return (
            ("top-1", f"{self.top1:.1%}", f"95% interval {low:.1%} to {high:.1%}"),
            ("top-5", f"{self.top5:.1%}", moot),
        )

    def metrics(self) -> dict[str, Any]:
        return {"images": self.images, "top1": self.top1, "top5": self.top5, "ece": self.ece}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def tables(self) -> tuple[Table, ...]:
        rows = (
            (one.label, f"{one.images:,}", *(_rate(rate) for rate in (one.precision, one.recall, one.f1)))
            for one in self.per_class
        )
        return (Table("by class", ("class", "images", "precision", "recall", "F1"), tuple(rows)),)

    def sections(self, images: Images) -> tuple[Section, ...]:
        """Return the sections that the report's template for classifiers does not contain."""
        pictures = tuple(
            Picture(images.pixels(i), pair.truth, f"predicted as {pair.predicted}")
            for pair in self.confused
            for i in pair.examples
        )
        caption = f"Up to {EXAMPLES} images of each of the most frequent confusions, the most confident first."
        pairs = (Section("Confused pairs", caption, pictures=pictures),) if pictures else ()
        return (*pairs, *self._suspect_labels(images))

    def _suspect_labels(self, images: Images) -> tuple[Section, ...]:
        pictures = tuple(
            Picture(images.pixels(one.index), f"{one.truth}: {one.name}", f"possibly {one.predicted}")
            for one in self.suspects
        )
        caption = (
            "The suggested class is at least as probable as on average for images with that label, and more probable "
            "than the given label (confident learning, Northcutt et al. 2021). Review these labels first; a network "
            "that is often wrong suspects too many."
        )
        return (Section("Suspected label errors", caption, pictures=pictures),) if pictures else ()


def evaluate_probabilities(
    probabilities: AnyFloats, truth: AnyInts, labels: Sequence[str], names: Sequence[str]
) -> Evaluation:
    """Evaluate `probabilities` (N, classes) against the class indices `truth` (N,) of the images `names` (N).

    Raises `DataError` if the shapes disagree or N is 0, `WorkError` with the first image whose values are not
    probabilities (NaN, logits).
    """
    _check_sizes(probabilities, truth, labels, names)
    _check_values(probabilities, truth, names)
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(truth)), predicted]
    right = predicted == truth
    confusion, per_class = _per_class(truth, predicted, labels)
    bins = _calibration(confidence, right)
    return Evaluation(
        images=len(truth),
        top1=float(right.mean()),
        top1_interval=wilson(int(right.sum()), len(truth)),
        top5=float((_rank_of_truth(probabilities, truth) < 5).mean()),
        ece=sum(b.images * abs(b.confidence - b.accuracy) for b in bins) / len(truth),
        per_class=per_class,
        confusion=confusion,
        calibration=bins,
        mistakes=_mistakes(predicted, truth, confidence, labels, names),
        confused=_confused(predicted, truth, confidence, labels),
        thresholds=_thresholds(confidence, right),
        suspects=_suspects(probabilities, truth, labels, names),
    )


def wilson(right: int, images: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of the rate right / images (Wilson 1927), valid near 0 and 1."""
    z = 1.959964
    rate, share = right / images, z * z / images
    middle = (rate + share / 2) / (1 + share)
    half = z * (rate * (1 - rate) / images + share / (4 * images)) ** 0.5 / (1 + share)
    return max(0.0, middle - half), min(1.0, middle + half)


def _check_sizes(probabilities: AnyFloats, truth: AnyInts, labels: Sequence[str], names: Sequence[str]) -> None:
    if len(truth) == 0:
        raise DataError("no images to evaluate")
    expected = (len(truth), len(labels))
    if probabilities.shape != expected or truth.ndim != 1:
        raise DataError(f"probabilities are {probabilities.shape}, must be {expected}: (images, classes)")
    if len(names) != len(truth):
        raise DataError(f"{len(names)} names for {len(truth)} images")


def _check_values(probabilities: AnyFloats, truth: AnyInts, names: Sequence[str]) -> None:
    high, low = probabilities.max(axis=1), probabilities.min(axis=1)  # NaN propagates through both
    bad = np.flatnonzero(~((low >= 0) & (high <= 1 + 1e-3)))
    if len(bad):
        row = probabilities[bad[0]]
        value = row[~((row >= 0) & (row <= 1 + 1e-3))][0]
        raise WorkError(
            f"{names[bad[0]]}: probability {value:g} must be from 0 to 1 ({len(bad)} of {len(truth)} images)"
        )
    classes = probabilities.shape[1]
    outside = np.flatnonzero((truth < 0) | (truth >= classes))
    if len(outside):
        raise DataError(f"{names[outside[0]]}: class {truth[outside[0]]} must be from 0 to {classes - 1}")


def _rank_of_truth(probabilities: AnyFloats, truth: AnyInts) -> AnyInts:
    """Return the rank (N,) of the true class, from 0.

    In contrast to scikit-learn's top-k, the lower index wins a tie, so that top-1 equals the accuracy.
    """
    own = probabilities[np.arange(len(truth)), truth][:, None]
    before = np.arange(probabilities.shape[1]) < truth[:, None]
    ranks: AnyInts = np.count_nonzero((probabilities > own) | ((probabilities == own) & before), axis=1)
    return ranks


def _per_class(
    truth: AnyInts, predicted: AnyInts, labels: Sequence[str]
) -> tuple[tuple[tuple[int, ...], ...], tuple[ClassScore, ...]]:
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    columns = (confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1))
    rows = zip(labels, *(column.tolist() for column in columns), strict=True)
    return tuple(tuple(row) for row in confusion.tolist()), tuple(
        ClassScore(label, images, _share(right, guesses), _share(right, images), _share(2 * right, guesses + images))
        for label, right, guesses, images in rows
    )


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _calibration(confidence: AnyFloats, right: Bools) -> tuple[CalibrationBin, ...]:
    """Return `BINS` bins of equal width, (low, high], as in Guo et al. (2017), On Calibration of Modern Networks."""
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    images = np.bincount(bins, minlength=BINS)
    safe = np.maximum(images, 1)
    means = np.bincount(bins, confidence.astype(np.float64), BINS) / safe
    rates = np.bincount(bins, right, BINS) / safe
    columns = (edges[:-1], edges[1:], images, means, rates)
    return tuple(CalibrationBin(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def _thresholds(confidence: AnyFloats, right: Bools) -> tuple[Threshold, ...]:
    order = np.argsort(-confidence, kind="stable")
    ranked, answered = confidence[order], np.arange(1, len(order) + 1)
    accuracy = np.cumsum(right[order]) / answered
    whole = np.append(ranked[1:] < ranked[:-1], True)  # equal confidences share a threshold
    found = []
    for asked in ASKED:
        reached = np.flatnonzero(whole & (accuracy >= asked))
        if accuracy[-1] < asked and len(reached):
            found.append(Threshold(asked, float(ranked[reached[-1]]), float(answered[reached[-1]] / len(order))))
    return tuple(found)


def _mistakes(
    predicted: AnyInts, truth: AnyInts, confidence: AnyFloats, labels: Sequence[str], names: Sequence[str]
) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(names[i], i, labels[truth[i]], labels[predicted[i]], float(confidence[i])) for i in worst.tolist()
    )


def _suspects(
    probabilities: AnyFloats, truth: AnyInts, labels: Sequence[str], names: Sequence[str]
) -> tuple[Mistake, ...]:
    """Return suspected label errors by confident learning (Northcutt et al. 2021, Equations 1 and 2).

    The threshold of a class is its mean probability over the images with that label. An image is suspected if the most
    probable class among those that reach their threshold is not its label. Sorted by the probability of the label.
    """
    sums = np.zeros(len(labels))
    np.add.at(sums, truth, probabilities[np.arange(len(truth)), truth])
    counts = np.bincount(truth, minlength=len(labels))
    least = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= least, probabilities, -1.0)
    likely = reached.argmax(axis=1)
    own = probabilities[np.arange(len(truth)), truth]
    found = np.flatnonzero((reached.max(axis=1) > own) & (likely != truth))
    worst = found[np.argsort(own[found], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(names[i], i, labels[truth[i]], labels[likely[i]], float(probabilities[i, likely[i]]))
        for i in worst.tolist()
    )


def _confused(predicted: AnyInts, truth: AnyInts, confidence: AnyFloats, labels: Sequence[str]) -> tuple[Confused, ...]:
    wrong = np.flatnonzero(predicted != truth)
    pairs: dict[tuple[int, int], list[int]] = {}
    for i in wrong[np.argsort(-confidence[wrong], kind="stable")].tolist():
        pairs.setdefault((int(truth[i]), int(predicted[i])), []).append(i)
    counts = np.bincount(truth, minlength=len(labels))
    ranked = sorted(pairs.items(), key=lambda one: (-len(one[1]), -len(one[1]) / counts[one[0][0]], one[0]))
    return tuple(
        Confused(labels[a], labels[b], len(found), len(found) / float(counts[a]), tuple(found[:EXAMPLES]))
        for (a, b), found in ranked[:MOST_PAIRS]
    )

"""Evaluate embeddings by verification (are two photos of the same identity?) and retrieval (is the nearest photo?)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...data.cache import Images
from ...errors import DataError, MissingExtraError, WorkError
from ...image import Pixels
from ..result import Picture, Section, Table

__all__ = ["EmbeddingScores", "evaluate_embeddings", "nearest", "verification_auc"]

FALSE_ACCEPTS = (1e-1, 1e-2, 1e-3, 1e-4)
KS = (1, 5, 10)
MOST_DIFFERENT = 2_000_000  # most pairs of different identities; of more, a random sample is used
BLOCK = 256  # queries per matrix product
NEIGHBOURS = 5  # neighbours of a query in the report
QUERIES = 12

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Pairs = tuple[Ints, Ints, np.ndarray[Any, np.dtype[np.bool_]]]  # first, second, whether their identities are equal


@dataclass(frozen=True, slots=True)
class Query:
    """A photo and its nearest photos, by position; `right` states which have the same identity."""

    name: str
    index: int
    neighbours: tuple[int, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class EmbeddingScores:
    """The metrics of embeddings on one split; all rates are fractions.

    `accepted` is the true accept rate at false accept rates of 1e-1 to 1e-4, None if there are too few negative pairs.
    `recall` is the share of photos with the same identity among the 1, 5, 10 nearest.
    """

    images: int
    identities: int
    pairs: int
    auc: float
    accepted: dict[str, float | None]
    recall: dict[str, float]
    queries: tuple[Query, ...]  # for the report, failures first

    @property
    def score(self) -> float:
        return self.auc

    def headline(self) -> str:
        found = f", recall@1 {self.recall['1']:.1%}" if self.recall else ""
        known = [f"{rate:.1%} accepted at {far} false" for far, rate in self.accepted.items() if rate is not None]
        accepted = f", {known[-1]}" if known else ""
        return f"AUC {self.auc:.4f}{accepted}{found}, {self.identities} identities, {self.images:,} images"

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        facts = [("AUC", f"{self.auc:.4f}", f"{self.pairs:,} pairs of photos of {self.identities} identities")]
        if self.recall:
            facts.append(("recall@1", f"{self.recall['1']:.1%}", "the nearest photo is of the same identity"))
        return tuple(facts)

    def metrics(self) -> dict[str, Any]:
        return {"images": self.images, "auc": self.auc, "accepted": self.accepted, "recall": self.recall}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def tables(self) -> tuple[Table, ...]:
        accepted = ((far, "too few pairs" if rate is None else f"{rate:.1%}") for far, rate in self.accepted.items())
        tables = [Table("verification", ("false accepts", "true accepts"), tuple(accepted))]
        if self.recall:
            rows = tuple((k, f"{rate:.1%}") for k, rate in self.recall.items())
            tables.append(Table("retrieval", ("among the nearest", "found"), rows))
        return tuple(tables)

    def sections(self, images: Images) -> tuple[Section, ...]:
        caption = (
            "True accept rate (pairs of the same identity) at each false accept rate (pairs of different identities)."
        )
        pictures = tuple(self._picture(images, query) for query in self.queries)
        nearest = f"A photo and its {NEIGHBOURS} nearest neighbours; failed queries come first."
        return (
            Section("Verification", caption, self.tables()),
            *([Section("Nearest neighbours", nearest, pictures=pictures, width=480)] if pictures else []),
        )

    def _picture(self, images: Images, query: Query) -> Picture:
        row = [images.pixels(query.index), *(images.pixels(i) for i in query.neighbours)]
        right = sum(query.right)
        return Picture(
            side_by_side(row),
            f"{query.name}: {right} of {len(query.right)}",
            "" if query.right and query.right[0] else "nearest has another identity",
        )


def side_by_side(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures (H, W, C) of equal size in a row, with white gaps, the first gap wider."""
    h, w, c = pictures[0].shape
    row: list[Pixels] = []
    for at, picture in enumerate(pictures):
        row += [np.full((h, (0, w // 8, w // 32)[min(at, 2)], c), 255, np.uint8), picture]
    return np.concatenate(row, axis=1)


def verification_auc(vectors: Floats, identities: Ints) -> float:
    """Return the area under the ROC curve over all pairs of unit `vectors` (N, D) with `identities` (N,)."""
    return _roc(vectors, all_pairs(identities))[0]


def evaluate_embeddings(vectors: Floats, targets: Ints, names: Sequence[str]) -> EmbeddingScores:
    """Evaluate unit `vectors` (N, D) with the identities `targets` (N,), or (N, 2): identity and number of the pair.

    Raises `DataError` without a pair of the same identity or of different ones, `WorkError` for non-finite vectors.
    """
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise WorkError(f"{names[bad]}: its embedding must be finite numbers")
    listed = targets.ndim == 2
    identities = targets[:, 0] if listed else targets
    pairs = listed_pairs(targets) if listed else all_pairs(identities)
    auc, accepted = _roc(vectors, pairs)
    recall, queries = ({}, ()) if listed else _retrieval(vectors, identities, names)
    return EmbeddingScores(len(names), len(set(identities.tolist())), len(pairs[0]), auc, accepted, recall, queries)


def all_pairs(identities: Ints) -> Pairs:
    """Return all pairs, or those of the same identity and a random sample of others beyond `MOST_DIFFERENT` pairs."""
    n = len(identities)
    if n * (n - 1) // 2 <= MOST_DIFFERENT:
        first, second = np.triu_indices(n, 1)
        return first, second, identities[first] == identities[second]
    of_one = [np.flatnonzero(identities == one) for one in np.unique(identities)]
    pairs = [(own[a], own[b]) for own in of_one for a, b in [np.triu_indices(len(own), 1)]]
    drawn = np.random.default_rng(0).integers(0, n, (2, MOST_DIFFERENT))
    drawn = drawn[:, identities[drawn[0]] != identities[drawn[1]]]
    first = np.concatenate([*(a for a, _ in pairs), drawn[0]])
    second = np.concatenate([*(b for _, b in pairs), drawn[1]])
    return first, second, np.arange(len(first)) < len(first) - drawn.shape[1]


def listed_pairs(targets: Ints) -> Pairs:
    """Return the pairs in rows (identity, number of the pair) with both photos present."""
    _, start, count = np.unique(targets[:, 1], return_index=True, return_counts=True)
    first = start[count == 2]
    return first, first + 1, targets[first, 0] == targets[first + 1, 0]


def _roc(vectors: Floats, pairs: Pairs) -> tuple[float, dict[str, float | None]]:
    """Return the area under the ROC curve, and the true accept rate at each rate of `FALSE_ACCEPTS`."""
    try:
        from sklearn.metrics import roc_auc_score, roc_curve
    except ImportError as exc:
        raise MissingExtraError("evaluation needs scikit-learn", "train") from exc
    first, second, same = pairs
    different = int((~same).sum())
    if not same.any() or not different:
        lacking = "the same identity" if different else "different identities"
        raise DataError(f"no pair of photos of {lacking}: verification needs both")
    similarity = np.concatenate(
        [
            np.einsum("nd,nd->n", vectors[first[at : at + 65536]], vectors[second[at : at + 65536]])
            for at in range(0, len(first), 65536)
        ]
    )
    false, true, _ = roc_curve(same, similarity, drop_intermediate=False)
    accepted = {f"{far:g}": float(true[false <= far].max()) if different * far >= 1 else None for far in FALSE_ACCEPTS}
    return float(roc_auc_score(same, similarity)), accepted


def nearest(vectors: Floats, queries: Floats, k: int) -> tuple[Ints, Floats]:
    """Return indices and cosines (Q, k) of the `k` unit `vectors` (N, D) nearest to each of the `queries` (Q, D)."""
    found, cosines = [], []
    for at in range(0, len(queries), BLOCK):
        similarity = queries[at : at + BLOCK] @ vectors.T
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        found.append(best)
        cosines.append(np.take_along_axis(similarity, best, 1))
    return np.concatenate(found), np.concatenate(cosines)


def _retrieval(vectors: Floats, identities: Ints, names: Sequence[str]) -> tuple[dict[str, float], tuple[Query, ...]]:
    """Return recall@k over the photos whose identity has another photo, and queries for the report."""
    counts = np.bincount(identities)
    asked = np.flatnonzero(counts[identities] > 1)
    found, _ = nearest(vectors, vectors[asked], max(KS) + 1)
    others = np.stack([row[row != i][: max(KS)] for row, i in zip(found, asked, strict=True)])
    right = identities[others] == identities[asked][:, None]
    recall = {str(k): float(right[:, :k].any(1).mean()) for k in KS}
    shown = np.argsort(right[:, 0] * NEIGHBOURS + right[:, :NEIGHBOURS].sum(1), kind="stable")
    shown = np.concatenate([shown[: QUERIES // 2], shown[QUERIES // 2 :: max(1, len(shown) // (QUERIES // 2))]])
    return recall, tuple(
        Query(
            names[asked[at]],
            int(asked[at]),
            tuple(others[at, :NEIGHBOURS].tolist()),
            tuple(right[at, :NEIGHBOURS].tolist()),
        )
        for at in shown[:QUERIES].tolist()
    )

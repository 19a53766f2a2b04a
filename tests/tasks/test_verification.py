"""Verification, retrieval and the order of photos: small cases by hand, others against a loop."""

import numpy as np
import pytest
import torch

from mobilenets.tasks.embed import VALIDATED, Embed
from mobilenets.tasks.verification import metrics
from mobilenets.tasks.verification.metrics import EmbeddingScores, evaluate_embeddings
from mobilenets.tasks.verification.triplets import photos_of_each, triplet_loss


def pairs(same: list[float], different: list[float]) -> EmbeddingScores:
    """Pairs of photos whose vectors have these cosines."""
    vectors, targets = [], []
    for number, cosine in enumerate([*same, *different]):
        vectors += [(1.0, 0.0), (cosine, (1 - cosine**2) ** 0.5)]
        targets += [(2 * number, number), (2 * number + (number >= len(same)), number)]
    return evaluate_embeddings(np.float32(vectors), np.array(targets), [str(i) for i in range(len(targets))])


def test_as_many_false_accepts_as_are_allowed() -> None:
    """One of ten pairs is a tenth."""
    found = pairs([0.9, 0.5], [0.7, *[0.1] * 9])
    assert found.accepted == {"0.1": 1.0, "0.01": None, "0.001": None, "0.0001": None}
    assert pairs([0.9, 0.5], [0.7, 0.6, *[0.1] * 8]).accepted["0.1"] == 0.5
    assert pairs([0.9, 0.5], [0.7, *[0.1] * 8]).accepted["0.1"] is None  # of nine pairs none is a tenth


def test_photos_that_stand_alone_are_never_asked_for() -> None:
    """But they may be what is found: here the stranger is the nearest to both."""
    vectors = np.float32([[1, 0], [0, 1], [0.6, 0.8]])
    found = evaluate_embeddings(vectors, np.array([0, 0, 1]), ("a", "b", "stranger"))
    assert found.recall == {"1": 0.0, "5": 1.0, "10": 1.0} and found.identities == 2
    assert [query.name for query in found.queries] and {query.name for query in found.queries} == {"a", "b"}


def test_a_photo_is_not_its_own_neighbour_even_among_equal_vectors() -> None:
    vectors, identity = np.float32([[1, 0]] * 4), np.array([0, 1, 0, 1])
    found = evaluate_embeddings(vectors, identity, "abcd")
    assert all(query.index not in query.neighbours for query in found.queries)
    assert found.recall["5"] == 1 and found.recall["1"] == 0.25  # of equal ones the first: b for a, a for the others


def test_failures_are_shown_first() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = evaluate_embeddings(vectors, np.arange(60) // 3, [str(i) for i in range(60)])
    right = [query.right[0] for query in found.queries]
    assert len(right) == 12 and not any(right[:6]) and found.recall["1"] < 0.5


def test_the_worst_and_the_whole_range_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def shown(photos: int) -> list[tuple[str, tuple[bool, ...]]]:
        found = evaluate_embeddings(vectors[:photos], np.arange(photos) // 3, [str(i) for i in range(photos)])
        return [(query.name, query.right) for query in found.queries]

    few, some = shown(9), shown(60)
    monkeypatch.setattr(metrics, "QUERIES", 120)
    whole = shown(60)
    assert [right for _, right in whole] == sorted(
        (right for _, right in whole), key=lambda right: (right[0], sum(right))
    )
    assert len(whole) == 60 and some == whole[:6] + whole[6::10]
    assert few == shown(9) and len(few) == 9


def test_every_epoch_mixes_identities_and_photos_anew() -> None:
    identities = np.repeat(np.arange(20), 6)
    epochs = [photos_of_each(identities, 3)(np.random.default_rng(seed)) for seed in range(3)]
    groups = [identities[epoch][::3].tolist() for epoch in epochs]
    assert all(sorted(one) == sorted(np.repeat(np.arange(20), 2).tolist()) != one for one in groups)
    assert len({tuple(one) for one in groups}) == 3
    together = [{frozenset(epoch[at : at + 3].tolist()) for at in range(0, 120, 3)} for epoch in epochs]
    assert together[0] != together[1] != together[2]


def test_the_validation_loss_is_the_mean_over_parts_of_its_photos() -> None:
    count, task = VALIDATED + 37, Embed(dimensions=8, margin=0.4)
    outputs = torch.randn(count, 8, generator=torch.Generator().manual_seed(0))
    targets = np.arange(count) % 9
    _, loss = task.validate(outputs, targets, {})
    parts = [triplet_loss(0.4)(outputs[a:b], torch.from_numpy(targets[a:b])) for a, b in ((0, 128), (128, count))]
    assert loss == pytest.approx(float(parts[0] * 128 + parts[1] * 37) / count, rel=1e-5)

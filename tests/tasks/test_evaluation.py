"""Scores against scikit-learn, SciPy and torchmetrics, and by hand where a case is small."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.errors import DataError, WorkError
from mobilenets.tasks.evaluation import Evaluation, evaluate_probabilities, wilson

Array = np.ndarray[Any, Any]


def sample(images: int, classes: int, seed: int = 0, skill: float = 2.0) -> tuple[Array, Array]:
    """(N, classes) float32 probabilities that favour the truth, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), truth] += skill
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True), truth


def score(probabilities: Any, truth: Any, labels: tuple[str, ...] = ()) -> Evaluation:
    probabilities = np.asarray(probabilities, np.float32)
    truth = np.asarray(truth, np.int64)
    labels = labels or tuple(f"c{i}" for i in range(probabilities.shape[1]))
    return evaluate_probabilities(probabilities, truth, labels, [f"{i}.jpg" for i in range(len(truth))])


def test_small_case_by_hand() -> None:
    found = score([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], [0, 1, 1, 0])
    assert (found.images, found.top1, found.top5) == (4, 0.5, 1.0)
    assert found.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    assert [(m.name, m.truth, m.predicted) for m in found.mistakes] == [
        ("3.jpg", "c0", "c1"),
        ("2.jpg", "c1", "c0"),
    ]
    assert found.mistakes[0].probability == pytest.approx(0.8)
    assert found.ece == pytest.approx((0.1 + 0.3 + 0.6 + 0.8) / 4)
    absent = found.per_class[2]
    assert (absent.images, absent.precision, absent.recall, absent.f1) == (0, None, None, None)


def test_absent_but_predicted_class_has_precision_and_no_recall() -> None:
    found = score([[0.1, 0.9], [0.8, 0.2]], [0, 0])
    assert (found.per_class[1].precision, found.per_class[1].recall) == (0.0, None)
    assert (found.per_class[0].precision, found.per_class[0].recall) == (1.0, 0.5)


def test_agrees_with_scikit_learn_and_scipy() -> None:
    from scipy.stats import binomtest  # type: ignore[import-untyped]
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, top_k_accuracy_score
    from sklearn.metrics import precision_recall_fscore_support as scores

    probabilities, truth = sample(500, 12)
    found = score(probabilities, truth)
    predicted = probabilities.argmax(axis=1)
    assert found.top1 == accuracy_score(truth, predicted)
    assert found.top5 == top_k_accuracy_score(truth, probabilities, k=5, labels=np.arange(12))
    known = [c.f1 for c in found.per_class if c.f1 is not None]
    assert np.mean(known) == pytest.approx(f1_score(truth, predicted, average="macro"))
    ours = np.array([(c.precision, c.recall, c.f1, c.images) for c in found.per_class])
    assert ours.T == pytest.approx(np.array(scores(truth, predicted)))
    assert np.array_equal(found.confusion, confusion_matrix(truth, predicted))
    assert np.sum(found.confusion) == 500 and np.trace(np.array(found.confusion)) == found.top1 * 500
    for right, images in ((0, 3), (3, 3), (417, 500), (1, 1000)):
        interval = binomtest(right, images).proportion_ci(method="wilson")
        assert wilson(right, images) == pytest.approx((interval.low, interval.high), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("skill", [0.0, 2.0, 8.0])
def test_ece_agrees_with_torchmetrics(skill: float) -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, truth = sample(2000, 7, skill=skill)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=7, n_bins=15
    )
    assert score(probabilities, truth).ece == pytest.approx(float(expected), abs=1e-6)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    """Bins are (low, high], as in Guo et al. 2017."""
    edges = np.linspace(0, 1, 16)
    just_above = [(np.nextafter(edges[at - 1], 1), at) for at in range(9, 16)]
    for confidence, at in [(edges[at], at) for at in range(8, 16)] + just_above:
        found = evaluate_probabilities(np.array([[confidence, 1 - confidence]]), np.array([0]), ("a", "b"), ["x"])
        (one,) = (one for one in found.calibration if one.images)
        assert (one.low, one.high, one.confidence, one.accuracy) == (edges[at - 1], edges[at], confidence, 1)


def test_certain_and_right_is_calibrated() -> None:
    found = score([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    assert found.ece == 0 and found.mistakes == () and found.calibration[-1].images == 2


def test_ties_go_to_the_lower_index_everywhere() -> None:
    uniform = np.full((6, 6), 1 / 6)
    found = score(uniform, range(6))
    assert found.top1 == pytest.approx(1 / 6) and found.top5 == pytest.approx(5 / 6)
    assert [row[0] for row in found.confusion] == [1] * 6
    assert [mistake.index for mistake in found.mistakes] == [1, 2, 3, 4, 5]


def test_one_class_and_one_image() -> None:
    found = score([[1.0]], [0])
    assert (found.top1, found.top5, found.confusion) == (1.0, 1.0, ((1,),))


def test_at_most_24_mistakes_the_most_confident_first() -> None:
    probabilities, truth = sample(400, 5, skill=0.0)
    found = score(probabilities, truth).mistakes
    assert len(found) == 24
    assert [m.probability for m in found] == sorted((m.probability for m in found), reverse=True)
    assert found[0].probability == probabilities.max(axis=1)[probabilities.argmax(axis=1) != truth].max()


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 7.0])
def test_what_is_no_probability_is_named(value: float) -> None:
    with pytest.raises(WorkError, match=rf"1\.jpg: probability {value:g} must be from 0 to 1 \(1 of 2 images\)"):
        score([[0.5, 0.5], [value, 0.5]], [0, 1])


@pytest.mark.parametrize(
    ("probabilities", "truth", "message"),
    [
        (np.zeros((0, 3)), [], "no images to evaluate"),
        (np.zeros((2, 3)), [0, 3], r"1\.jpg: class 3 must be from 0 to 2"),
        (np.zeros((2, 3)), [-1, 0], r"0\.jpg: class -1 must be from 0 to 2"),
        (np.zeros((2, 3)), [0], r"probabilities are \(2, 3\), must be \(1, 3\)"),
    ],
)
def test_inputs_that_disagree(probabilities: Array, truth: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(probabilities, truth)


def test_names_must_be_as_many_as_images() -> None:
    with pytest.raises(DataError, match="1 names for 2 images"):
        evaluate_probabilities(np.full((2, 2), 0.5), np.array([0, 1]), ("a", "b"), ["x"])


def test_dict_is_json() -> None:
    probabilities, truth = sample(50, 4)
    found = json.loads(json.dumps(score(probabilities, truth).to_dict()))
    assert found["images"] == 50 and {"top1", "top5", "ece", "confusion", "per_class"} <= set(found)


@pytest.mark.timeout(60)  # it takes seconds where nothing is done class by class and image by image
def test_scores_a_set_of_imagenets_size() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((50_000, 1000), np.float32)
    truth = rng.integers(0, 1000, 50_000)
    assert score(probabilities, truth).top1 == (probabilities.argmax(1) == truth).mean()


def test_confused_pairs_are_those_of_the_matrix() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(6), 400)
    truth = rng.integers(0, 6, 400)
    result = evaluate_probabilities(p, truth, tuple("abcdef"), tuple(map(str, range(400))))
    counts = np.array(result.confusion)
    np.fill_diagonal(counts, 0)
    assert [pair.images for pair in result.confused] == sorted(counts.ravel().tolist(), reverse=True)[:12]
    for pair in result.confused:
        row, column = "abcdef".index(pair.truth), "abcdef".index(pair.predicted)
        assert pair.images == counts[row, column] and pair.share == pytest.approx(pair.images / (truth == row).sum())
        assert all(truth[i] == row and p[i].argmax() == column for i in pair.examples) and len(pair.examples) == 4
        said = [p[i].max() for i in pair.examples]
        assert said == sorted(said, reverse=True)


def test_of_pairs_as_frequent_the_larger_share_comes_first() -> None:
    """One of ten a is taken for b, one of two b for c, one of two c for a."""
    truth = [0] * 10 + [1] * 2 + [2] * 2
    said = [1] + [0] * 9 + [2, 1] + [0, 2]
    found = score(np.eye(3)[said] * 0.7 + 0.1, truth)
    assert [(pair.truth, pair.predicted, pair.share) for pair in found.confused] == [
        ("c1", "c2", 0.5),
        ("c2", "c0", 0.5),
        ("c0", "c1", 0.1),
    ]


def test_thresholds_by_hand() -> None:
    """Confidences .95 right, .9 right, .8 wrong, .7 right, .6 right (two of them), .5 wrong: five of seven right."""
    confidence = np.array([0.9, 0.5, 0.6, 0.95, 0.6, 0.8, 0.7])
    right = np.array([1, 0, 1, 1, 1, 0, 1], bool)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    truth = np.where(right, 0, 1)
    probabilities[:, 0] += 1e-9  # 0.5 is a prediction of the first
    found = evaluate_probabilities(probabilities, truth, ("a", "b"), [str(i) for i in range(7)]).thresholds
    assert [(t.accuracy, round(t.confidence, 6), t.answered) for t in found] == [
        (0.9, 0.9, 2 / 7),
        (0.95, 0.9, 2 / 7),
        (0.99, 0.9, 2 / 7),
    ]


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=40))
def test_thresholds_against_every_cut(images: list[tuple[int, bool]]) -> None:
    confidence = np.array([0.5 + level / 50 for level, _ in images])
    right = np.array([ok for _, ok in images])
    probabilities = np.stack([confidence, 1 - confidence], 1)
    names = [str(i) for i in range(len(images))]
    found = evaluate_probabilities(probabilities, np.where(right, 0, 1), ("a", "b"), names).thresholds
    for asked in (0.9, 0.95, 0.99):
        cuts = [cut for cut in sorted(set(confidence)) if right[confidence >= cut].mean() >= asked]
        wanted = [(asked, cuts[0], float((confidence >= cuts[0]).mean()))] if cuts and right.mean() < asked else []
        assert [(t.accuracy, t.confidence, t.answered) for t in found if t.accuracy == asked] == wanted


def test_suspect_labels_by_hand() -> None:
    """Thresholds: a 0.7, b 0.65. The third image, labelled a, reaches b's and is likelier b; the last reaches none."""
    probabilities = [[0.9, 0.1], [0.95, 0.05], [0.25, 0.75], [0.1, 0.9], [0.6, 0.4]]
    found = score(probabilities, [0, 0, 0, 1, 1], ("a", "b")).suspects
    assert [(one.index, one.truth, one.predicted) for one in found] == [(2, "a", "b")]
    assert found[0].probability == pytest.approx(0.75) and found[0].name == "2.jpg"


def test_labels_that_were_exchanged_are_suspect() -> None:
    probabilities, truth = sample(600, 5, skill=5.0)
    wrong = np.random.default_rng(1).choice(600, 20, replace=False)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + 2) % 5
    found = score(probabilities, labels).suspects
    assert len(found) >= 15
    assert len({one.index for one in found} - set(wrong.tolist())) <= 1
    own = [probabilities[one.index, labels[one.index]] for one in found]
    assert own == sorted(own)
    assert all(one.truth == f"c{labels[one.index]}" != one.predicted for one in found)


def test_a_class_without_an_image_suspects_nobody() -> None:
    assert score([[0.2, 0.8, 0.0], [0.1, 0.9, 0.0]], [1, 1]).suspects == ()

"""Average precision on cases worked out by hand."""

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detection.average_precision import Precision, average_precision
from mobilenets.tasks.detection.boxes import Boxes

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.5), (0.6, 0.2, 0.9, 0.8)


def truth(*boxes: tuple[tuple[float, ...], int], ignored: int | None = None) -> Boxes:
    edges = np.array([edges for edges, _ in boxes], np.float32).reshape(-1, 4)
    hidden = np.array([i == ignored for i in range(len(boxes))], bool)
    return Boxes(edges, np.array([label for _, label in boxes], np.int64), hidden, (200, 100))


def found(*rows: tuple[tuple[float, ...], float, int]) -> np.ndarray:
    table = np.full((10, 6), -1, np.float32)
    for i, (edges, score, label) in enumerate(rows):
        table[i] = (*edges, score, label)
    return table


def judged(images: list[tuple[np.ndarray, Boxes]], classes: int = 2) -> Precision:
    outputs, targets = zip(*images, strict=True)
    return average_precision(np.stack(outputs), targets, [f"class {i}" for i in range(classes)])


def test_all_found() -> None:
    result = judged([(found((LEFT, 0.9, 0), (RIGHT, 0.8, 1)), truth((LEFT, 0), (RIGHT, 1)))])
    assert (result.ap, result.ap50) == pytest.approx((1, 1))
    assert [(one.boxes, one.ap) for one in result.per_class] == [(1, pytest.approx(1))] * 2


def test_nothing_found() -> None:
    result = judged([(found(), truth((LEFT, 0)))])
    assert result.ap == result.ap50 == 0


def test_half_of_the_boxes_found() -> None:
    """Recall .5: 51 of COCO's 101 points of recall have precision 1."""
    result = judged([(found((LEFT, 0.9, 0)), truth((LEFT, 0), (RIGHT, 0)))], 1)
    assert result.ap50 == pytest.approx(51 / 101)


def test_a_better_score_for_a_wrong_box_halves_the_precision() -> None:
    result = judged([(found((RIGHT, 0.9, 0), (LEFT, 0.5, 0)), truth((LEFT, 0)))], 1)
    assert result.ap50 == pytest.approx(0.5)


def test_the_second_box_on_one_thing_is_wrong() -> None:
    twice = found((LEFT, 0.9, 0), (LEFT, 0.8, 0), (RIGHT, 0.7, 0))
    result = judged([(twice, truth((LEFT, 0), (RIGHT, 0)))], 1)
    assert result.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_overlap_decides() -> None:
    """A box of 70 % overlap counts at .50 to .70 (5 of 10), however the image was stretched."""
    left, top, right, bottom = LEFT
    narrower = (left, top, left + 0.7001 * (right - left), bottom)
    result = judged([(found((narrower, 0.9, 0)), truth((LEFT, 0)))], 1)
    assert result.ap50 == pytest.approx(1) and result.ap == pytest.approx(0.5)


def test_the_wrong_class_is_wrong() -> None:
    result = judged([(found((LEFT, 0.9, 1)), truth((LEFT, 0), (RIGHT, 1)))])
    assert result.ap50 == 0


def test_a_class_without_boxes_counts_nowhere() -> None:
    result = judged([(found((LEFT, 0.9, 0), (RIGHT, 0.9, 1)), truth((LEFT, 0)))])
    assert result.ap50 == pytest.approx(1) and result.per_class[1].ap is None


def test_ignored_boxes_are_neither_right_nor_wrong() -> None:
    """Found with a better score than the one that counts: no harm; not found: no harm."""
    both = truth((LEFT, 0), (RIGHT, 0), ignored=1)
    for rows in (found((RIGHT, 0.9, 0), (LEFT, 0.5, 0)), found((LEFT, 0.5, 0))):
        assert judged([(rows, both)], 1).ap50 == pytest.approx(1)


def test_images_without_boxes_hold_false_alarms() -> None:
    images = [(found((LEFT, 0.5, 0)), truth((LEFT, 0))), (found((LEFT, 0.9, 0)), truth())]
    assert judged(images, 1).ap50 == pytest.approx(0.5)


def test_without_any_box_there_is_nothing_to_say() -> None:
    with pytest.raises(DataError, match="no box to evaluate on"):
        judged([(found(), truth((LEFT, 0), ignored=0))])

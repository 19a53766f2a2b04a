"""What is told of answers and results: lines, tables, captions and facts, to the digit."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mobilenets.tasks.attributes import Shown
from mobilenets.tasks.classify import NONE, Top
from mobilenets.tasks.detection.average_precision import ClassPrecision, Precision
from mobilenets.tasks.detection.boxes import Boxes
from mobilenets.tasks.detection.result import Detected, DetectedBox, Detections, found
from mobilenets.tasks.embed import Vector
from mobilenets.tasks.evaluation import evaluate_probabilities
from mobilenets.tasks.geo.metrics import GeolocationScores, LocationError, LocationPrediction
from mobilenets.tasks.multilabel import AttributeMistake, AttributeScore, AttributeScores
from mobilenets.tasks.result import Result
from mobilenets.tasks.verification.metrics import EmbeddingScores, Query, evaluate_embeddings, side_by_side

GREY = SimpleNamespace(pixels=lambda i: np.full((8, 64, 3), i, np.uint8))
BOXES = Detected((DetectedBox("cat", 3, 0.9876, (1.5, 2, 30, 40.25)), DetectedBox("dog", 0, 0.5, (0, 0, 7, 8))))


@pytest.mark.parametrize(
    ("prediction", "line", "rows"),
    [
        (
            Top((("cat", 0.9054), ("dog", 0.0946))),
            "cat 90.5%  dog 9.5%",
            (("1", "cat", "0.905400"), ("2", "dog", "0.094600")),
        ),
        (Top((("cat", 0.31), ("dog", 0.3)), none=True), "none of these (cat 31.0%  dog 30.0%)", (("0", NONE, ""),)),
        (
            Shown((("hat", 0.906), ("bag", 0.5), ("tie", 0.1)), 2),
            "hat 91%  bag 50%",
            (("hat", "0.906000"), ("bag", "0.500000"), ("tie", "0.100000")),
        ),
        (
            LocationPrediction((("5", 48.13719, 11.57549, 0.7), ("b", -33.9, 151.2, 0.2), ("c", 40.7, -74.0, 0.1)), 2),
            "48.1372, 11.5755  70.0%",
            (("1", "48.137190", "11.575490", "5", "0.700000"), ("2", "-33.900000", "151.200000", "b", "0.200000")),
        ),
        (Vector((0.6, -0.8)), "0.600 -0.800", (("0", "0.600000"), ("1", "-0.800000"))),
        (
            BOXES,
            "cat 98.8% (1.5, 2, 30, 40.25)  dog 50.0% (0, 0, 7, 8)",
            (
                ("1", "cat", "0.987600", "1.5", "2", "30", "40.25"),
                ("2", "dog", "0.500000", "0", "0", "7", "8"),
            ),
        ),
        (
            Detected(()),
            "no boxes with a score of at least 50%",
            (("0", "no boxes with a score of at least 50%", "", "", "", "", ""),),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_prediction_as_a_line_and_as_rows(prediction: Any, line: str, rows: tuple[tuple[str, ...], ...]) -> None:
    assert prediction.line() == line and prediction.rows() == rows


def test_a_prediction_as_json_takes_it() -> None:
    assert Top((("cat", 0.9),)).to_dict() == {"top": [{"label": "cat", "probability": 0.9}]}
    assert Top((("cat", 0.4),), none=True).to_dict() == {"top": [{"label": "cat", "probability": 0.4}], "none": True}
    assert Shown((("hat", 0.9), ("bag", 0.5)), 1).to_dict() == {"attributes": {"hat": 0.9, "bag": 0.5}}
    assert Vector((0.6, 0.8)).to_dict() == {"embedding": [0.6, 0.8]}
    assert LocationPrediction((("5", 1.0, 2.0, 0.7), ("b", 3.0, 4.0, 0.3)), 1).to_dict() == {
        "latitude": 1.0,
        "longitude": 2.0,
        "top": [{"cell": "5", "latitude": 1.0, "longitude": 2.0, "probability": 0.7}],
    }
    assert BOXES.to_dict()["boxes"][1] == {"label": "dog", "score": 0.5, "box": [0, 0, 7, 8]}


def test_boxes_are_told_from_a_score_on_the_best_first_and_in_the_pixels_of_the_image() -> None:
    rows = np.array(
        [
            [0.1, 0.2, 0.3, 0.4, 0.5, 1],
            [0, 0, 1, 1, 0.49, 1],
            [0, 0, 0.5, 1, 0.75, 0],
            [0, 0, 1, 1, 0.99, -1],  # no box
            [0.5, 0, 1, 1, 0.75, 1],
        ]
    )
    told = found(rows, ("a", "b"), 10).on((200, 100))
    assert [(one.label, one.number, one.score) for one in told.boxes] == [("a", 0, 0.75), ("b", 1, 0.75), ("b", 1, 0.5)]
    assert [one.edges for one in told.boxes] == [(0, 0, 100, 100), (100, 0, 200, 100), (20, 20, 60, 40)]
    assert found(rows, ("a", "b"), 2) == Detected(found(rows, ("a", "b"), 10).boxes[:2])
    assert [one.score for one in found(rows, ("a", "b"), 10, 0.49).boxes][-1] == 0.49


LOCATED = GeolocationScores(
    images=1234,
    within={1: 0.01, 25: 0.1, 200: 0.2, 750: 0.4, 2500: 0.54},
    chance={1: 0.0, 25: 0.001, 200: 0.01, 750: 0.1, 2500: 0.3},
    median_km=2017.4,
    worst=(LocationError("a.jpg", 7, 15_999.6, (48.137, 11.575), (-33.87, 151.21)),),
    locations=((0.0, 0.0, 10.0), (0.0, 90.0, 750.0), (60.0, -90.0, 2500.0)),
)


def test_places_are_told_with_their_share_by_chance() -> None:
    assert LOCATED.headline() == (
        "54.0% within 2500 km, 40.0% within 750 km, 20.0% within 200 km, 10.0% within 25 km, 1.0% within 1 km; "
        "median error 2,017 km, 1,234 photos"
    )
    assert LOCATED.facts() == (
        ("within 2500 km", "54.0%", "by chance 30.0%"),
        ("median error", "2,017 km", "great-circle distance"),
    )
    (table,) = LOCATED.tables()
    assert table.rows == (
        ("1 km", "1.0%", "0.00%", ""),  # no multiple of nothing
        ("25 km", "10.0%", "0.10%", "100.0"),
        ("200 km", "20.0%", "1.00%", "20.0"),
        ("750 km", "40.0%", "10.00%", "4.0"),
        ("2500 km", "54.0%", "30.00%", "1.8"),
    )
    assert LOCATED.metrics() == {
        "images": 1234,
        "mean_within": pytest.approx(0.25),
        "within_1_km": 0.01,
        "within_25_km": 0.1,
        "within_200_km": 0.2,
        "within_750_km": 0.4,
        "within_2500_km": 0.54,
        "median_km": 2017.4,
    }
    assert LOCATED.to_dict()["chance"]["2500"] == 0.3 and LOCATED.to_dict()["worst"][0]["km"] == 15_999.6


def test_places_are_shown_on_a_map_by_how_far_off_they_were_put() -> None:
    """Each at its place, below 750 km blue, below 2500 orange, else red; the worst with truth and answer."""
    pytest.importorskip("s2geometry")
    _, chart, worst = LOCATED.sections(GREY)  # type: ignore[arg-type]
    (one,) = chart.pictures
    assert one.pixels.shape == (360, 720, 3)
    assert one.pixels[180, 360].tolist() == [37, 99, 168]
    assert one.pixels[180, 539].tolist() == [226, 150, 50]
    assert one.pixels[60, 180].tolist() == [200, 62, 44]
    (far,) = worst.pictures
    assert (far.caption, far.wrong) == ("a.jpg: 48.14, 11.57", "-33.87, 151.21: 16,000 km")
    assert (far.pixels == 7).all()


def scores(*attributes: AttributeScore) -> AttributeScores:
    return AttributeScores(1000, 0.654321, 0.91, attributes, (AttributeMistake("a.jpg", 5, "hat", True, 0.06),))


def test_attributes_are_told_with_what_random_answers_would_have() -> None:
    """Chance is the mean over the attributes that count: those that some image has."""
    one, other = AttributeScore("hat", 1000, 100, 0.5), AttributeScore("bag", 50, 20, 0.8086)
    none = AttributeScore("tie", 1000, 0, None)
    told = scores(one, none, other)
    assert told.headline() == "mean AP 65.43% of 2 attributes (no image has tie), 1,000 images"
    assert told.facts()[0] == ("mean AP", "65.4%", "chance 25.0%")
    assert told.facts()[1][:2] == ("accuracy", "91.0%")
    assert told.tables()[0].rows == (
        ("bag", "50", "20", "80.9%"),
        ("hat", "1,000", "100", "50.0%"),
        ("tie", "1,000", "0", ""),
    )
    assert scores(none).facts()[0][2] == "chance 0.0%"
    (picture,) = told.sections(GREY)[1].pictures  # type: ignore[arg-type]
    assert (picture.caption, picture.wrong) == ("hat: yes", "predicted 6%") and (picture.pixels == 5).all()


def test_a_classifier_is_told_with_its_interval_and_a_top_5_that_means_something() -> None:
    """Of 3 of 4 right, Wilson's interval: 30.1 to 95.4 %."""
    outputs = np.eye(6, dtype=np.float32)[[0, 1, 2, 3]]
    many = evaluate_probabilities(outputs, np.array([0, 1, 2, 5]), "abcdef", "wxyz")
    assert many.headline() == (
        "top-1 75.00% (95%: 30.1% to 95.4%), top-5 75.0%, expected calibration error 0.250, 4 images"
    )
    assert many.facts()[0] == ("top-1", "75.0%", "95% interval 30.1% to 95.4%")
    few = evaluate_probabilities(outputs[:, :5], np.array([0, 1, 2, 4]), "abcde", "wxyz")
    assert "top-5" not in few.headline() and few.facts()[1] == (
        "top-5",
        "100.0%",
        "always 100% with 5 classes or fewer",
    )
    assert many.tables()[0].rows[3:] == (
        ("d", "0", "0.0%", "", "0.0%"),
        ("e", "0", "", "", ""),
        ("f", "1", "", "0.0%", "0.0%"),
    )
    (section,) = many.sections(GREY)  # type: ignore[arg-type]
    (picture,) = section.pictures
    assert (picture.caption, picture.wrong) == ("f", "predicted as d") and (picture.pixels == 3).all()


def test_embeddings_are_told_at_the_fewest_false_accepts_that_can_be_told() -> None:
    accepted = {"0.1": 0.95, "0.01": 0.805, "0.001": None, "0.0001": None}
    query = Query("a.jpg", 9, (1, 2, 3), (False, True, True))
    told = EmbeddingScores(1500, 12, 4321, 0.98765, accepted, {"1": 0.75, "5": 0.9, "10": 1.0}, (query,))
    assert told.headline() == ("AUC 0.9877, 80.5% accepted at 0.01 false, recall@1 75.0%, 12 identities, 1,500 images")
    assert told.facts() == (
        ("AUC", "0.9877", "4,321 pairs of photos of 12 identities"),
        ("recall@1", "75.0%", "the nearest photo is of the same identity"),
    )
    verification, retrieval = told.tables()
    assert verification.rows == (
        ("0.1", "95.0%"),
        ("0.01", "80.5%"),
        ("0.001", "too few pairs"),
        ("0.0001", "too few pairs"),
    )
    assert retrieval.rows == (("1", "75.0%"), ("5", "90.0%"), ("10", "100.0%"))
    (picture,) = told.sections(GREY)[1].pictures  # type: ignore[arg-type]
    assert (picture.caption, picture.wrong) == ("a.jpg: 2 of 3", "nearest has another identity")
    listed = EmbeddingScores(4, 2, 2, 1.0, dict.fromkeys(accepted), {}, ())
    assert listed.headline() == "AUC 1.0000, 2 identities, 4 images"
    assert len(listed.facts()) == len(listed.tables()) == len(listed.sections(GREY)) == 1  # type: ignore[arg-type]


def test_the_photo_that_is_asked_for_stands_apart_from_its_neighbours() -> None:
    """In a row; white between: an eighth of a width after the first, a 32nd after each other."""
    row = side_by_side([np.full((8, 64, 3), value, np.uint8) for value in (10, 20, 30, 40)])
    values = [int(value) for value in row[0, :, 0]]
    assert (row == row[:1, :, :1]).all()
    assert values == [10] * 64 + [255] * 8 + [20] * 64 + [255] * 2 + [30] * 64 + [255] * 2 + [40] * 64


def test_a_detector_is_told_by_class_where_there_are_boxes_of_it() -> None:
    precision = Precision(0.4567, 0.71234, (ClassPrecision("cat", 12, 0.4, 0.8), ClassPrecision("dog", 0, None, None)))
    told = Detections(1100, precision, np.zeros((0, 1, 6)), ("cat", "dog"))
    assert told.headline() == "mAP at 0.5 71.23%, mAP 45.67% (COCO's, 0.5 to 0.95), 1,100 images"
    assert [fact[:2] for fact in told.facts()] == [("mAP at 0.5", "71.2%"), ("mAP", "45.7%")]
    assert told.tables()[0].rows == (("cat", "12", "80.0%", "40.0%"),)
    assert told.metrics() == {"images": 1100, "map50": 0.71234, "map": 0.4567}


def test_the_score_is_the_figure_by_which_people_compare() -> None:
    """Here of an AUC: each of two pairs is nearer than three of the four pairs of strangers."""
    vectors = np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]])
    results: list[tuple[Result, float]] = [
        (scores(AttributeScore("hat", 9, 3, 0.5)), 0.654321),
        (evaluate_embeddings(vectors, np.array([0, 0, 1, 1]), "abcd"), 0.75),
        (evaluate_probabilities(np.eye(2, dtype=np.float32), np.array([0, 0]), "ab", "xy"), 0.5),
        (Detections(1, Precision(0.4, 0.7, ()), np.zeros((0, 1, 6)), ()), 0.7),
        (LOCATED, 0.25),
    ]
    for result, score in results:
        assert result.score == pytest.approx(score), result


@pytest.mark.parametrize(
    ("count", "shown"), [(3, [0, 1, 2]), (8, [*range(8)]), (9, [0, 2, 4, 6, 8]), (80, [*range(0, 80, 10)])]
)
def test_the_pages_of_a_detector_show_up_to_eight_images_spread_evenly(count: int, shown: list[int]) -> None:
    """In pairs, found and true, the longer side 256 pixels."""
    target = Boxes(np.float32([[0, 0, 0.5, 1]]), np.array([0]), np.array([False]), (80, 60))

    class Photos:
        targets, names = [target] * count, [str(i) for i in range(count)]

        def __len__(self) -> int:
            return count

        def pixels(self, i: int) -> Any:
            return np.zeros((32, 32, 3), np.uint8)

    outputs = np.array([[[0, 0, 0.5, 1, 0.9, 0], [0, 0, 1, 1, 0.6, 0]]] * count)
    pictures = Detections(count, Precision(0, 0, ()), outputs, ("cat",)).sections(Photos())[1].pictures  # type: ignore[arg-type]
    assert [one.caption for one in pictures[::2]] == [f"{i}: 2 boxes detected" for i in shown]
    assert {one.caption for one in pictures[1::2]} == {"1 box annotated"} and len(pictures) == 2 * len(shown)
    assert {one.pixels.shape for one in pictures} == {(192, 256, 3)}

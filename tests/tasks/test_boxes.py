"""Boxes: which are left out, what a view keeps of them, which are told, what anchors are cut for."""

from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.ssd import SSD

from mobilenets.arch.network import Network
from mobilenets.data.augment import Augmentation, drawn
from mobilenets.errors import DataError
from mobilenets.heads import Layout
from mobilenets.image import Preprocess
from mobilenets.tasks.detection.annotations import Annotations, Box, Photo, gathered
from mobilenets.tasks.detection.boxes import Boxes, view
from mobilenets.tasks.detection.layout import faster_rcnn_config, scales, smallest, ssd_config
from mobilenets.tasks.detection.result import found

WHOLE = Preprocess(32, 32, fit="stretch", crop=1.0)


def boxes(edges: Any, labels: Any, ignored: Any = None) -> Boxes:
    labels = np.array(labels, np.int64)
    hidden = np.zeros(len(labels), bool) if ignored is None else np.array(ignored, bool)
    return Boxes(np.array(edges, np.float32).reshape(-1, 4), labels, hidden, (80, 60))


def read(bad: int, good: int) -> Annotations:
    """One image of 80 x 60 pixels with boxes of no size and others."""
    found = [Box("b", 0, (5, 5, 5, 9))] * bad + [Box("g", 0, (5, 5, 9, 9))] * good
    return Annotations(("thing",), [Photo(Path("none.jpg"), "none.jpg", None, "file", found, (80, 60))])


def test_one_bad_box_in_a_hundred_is_left_out_and_no_more() -> None:
    annotations = read(1, 99)
    listing, (target,) = gathered(Path("data"), annotations)
    assert len(target.labels) == 99 and listing.notes[0].startswith("1 of 100 boxes left out: b: box")
    for bad, good in ((1, 98), (2, 198), (3, 197)):
        if bad > 0.01 * (bad + good):
            with pytest.raises(DataError, match="has no area"):
                gathered(Path("data"), read(bad, good))
        else:
            assert len(gathered(Path("data"), read(bad, good))[1][0].labels) == good


def naive(target: Boxes, place: Any) -> list[tuple[list[float], int, bool]]:
    """Box by box, in pixels: those whose middle the view holds, cut at its edges, as fractions of it."""
    left, top, right, bottom = place.box
    kept = []
    for edges, label, ignored in zip(target.edges.tolist(), target.labels.tolist(), target.ignored, strict=True):
        a, b, c, d = edges[0] * 80, edges[1] * 60, edges[2] * 80, edges[3] * 60
        if not (left < (a + c) / 2 < right and top < (b + d) / 2 < bottom):
            continue
        a, c = ((min(max(x, left), right) - left) / (right - left) for x in (a, c))
        b, d = ((min(max(y, top), bottom) - top) / (bottom - top) for y in (b, d))
        kept.append(([1 - c, b, 1 - a, d] if place.mirrored else [a, b, c, d], label, bool(ignored)))
    return kept


def test_a_view_keeps_the_boxes_whose_middle_it_holds() -> None:
    rng, how, counts = np.random.default_rng(0), Augmentation(1.0, True), set()
    corners = np.sort(rng.random((12, 2, 2)), axis=1)
    target = boxes(corners.reshape(12, 4), range(12), rng.random(12) < 0.5)
    for seed in range(40):
        pixels = np.zeros((60, 80, 3), np.uint8)
        expected = naive(target, drawn(pixels, WHOLE, how, np.random.default_rng(seed)))
        _, seen = view(pixels, target, WHOLE, how, np.random.default_rng(seed))
        np.testing.assert_allclose(seen.edges, np.array([one[0] for one in expected]).reshape(-1, 4), atol=1e-6)
        assert seen.labels.tolist() == [one[1] for one in expected]
        assert seen.ignored.tolist() == [one[2] for one in expected] and seen.size == target.size
        counts.add(len(expected))
    assert len(counts) > 3 and seen.edges.dtype == np.float32


def test_boxes_of_a_score_of_a_half_are_told_the_best_first() -> None:
    rows = np.full((6, 6), -1, np.float32)
    for at, (score, label) in enumerate(((0.5, 1), (0.9, 0), (0.49999, 0), (0.7, 1), (0.9, 1))):
        rows[at] = at / 10, 0, 1, 1, score, label
    told = [(box.label, box.number, round(box.edges[0], 5)) for box in found(rows, ("a", "b"), 9).boxes]
    assert told == [("a", 0, 0.1), ("b", 1, 0.4), ("b", 1, 0.3), ("b", 1, 0.0)]
    assert len(found(rows, ("a", "b"), 2).boxes) == 2 and len(found(rows, ("a", "b"), 9, 0.0).boxes) == 5


def test_the_smallest_things_are_those_of_the_class_with_the_least_median() -> None:
    """Of what is ignored nothing is learned, so that it does not count."""
    one = boxes([[0, 0, 0.4, 0.1], [0, 0, 0.3, 0.3], [0, 0, 0.9, 0.4]], [0, 0, 1])
    other = boxes([[0, 0, 0.8, 0.8], [0, 0, 0.01, 0.01], [0, 0, 0.02, 0.02]], [0, 1, 2], [False, True, True])
    assert smallest([one, other]) == pytest.approx(0.3)
    assert smallest([one]) == pytest.approx(0.25)
    assert smallest([replace(other, ignored=np.ones(3, bool))]) == pytest.approx(0.2)


@pytest.mark.parametrize(("small", "first"), [(0.5, 0.2), (0.15, 0.15), (0.01, 1 / 14)])
def test_the_first_anchors_follow_small_things_down_to_a_cell(small: float, first: float) -> None:
    layout = Layout.of(Network(0.25, 224, 224, output="features"))
    found = scales(layout, small)
    assert layout.maps[0] == (14, 14) and found[0] == pytest.approx(first, abs=1e-4)
    assert found[-2:] == [0.95, 1.0] and len(found) == len(layout.maps) + 1
    np.testing.assert_allclose(found[1:-1], np.linspace(0.2, 0.95, len(layout.maps))[1:], atol=1e-4)


def test_boxes_are_chosen_by_the_numbers_of_the_papers() -> None:
    """SSD's as torchvision has them; of Faster R-CNN all but the least score and the pool, which here are a model's."""
    network = Network(0.25, 224, 224, output="features")
    ssd, peer = ssd_config(network, 0.2, False), signature(SSD).parameters
    assert [ssd[name] for name in ("score", "overlap", "candidates", "boxes")] == [0.01, 0.45, 400, 100]
    assert [peer[name].default for name in ("score_thresh", "nms_thresh", "topk_candidates")] == [0.01, 0.45, 400]
    found, peer = faster_rcnn_config(network, 0.2), signature(FasterRCNN).parameters
    assert found["overlap"] == peer["box_nms_thresh"].default == 0.5
    assert found["proposal_overlap"] == peer["rpn_nms_thresh"].default == 0.7
    assert found["boxes"] == peer["box_detections_per_img"].default == 100
    assert (found["proposals"], found["candidates"], found["score"]) == (300, 600, 0.01)
    assert found["ratios"] == [0.5, 1.0, 2.0] and ssd["ratios"] == [[2.0]] + [[2.0, 3.0]] * (len(ssd["scales"]) - 2)
    sizes = np.array(found["sizes"])
    assert len(sizes) == 4 and sizes[0] == 0.2 and sizes[-1] == 0.85
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], (0.85 / 0.2) ** (1 / 3), rtol=1e-3)
    assert faster_rcnn_config(network, 0.5)["sizes"] == found["sizes"]
    tiny = faster_rcnn_config(network, 1e-3)["sizes"]  # half a cell of 14 x 14 is the least
    assert isinstance(tiny, list) and tiny[0] == round(1 / 28, 4) and tiny[-1] == 0.85

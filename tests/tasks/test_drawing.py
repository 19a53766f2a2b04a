"""Answers drawn on images: what a reader must be able to see."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.result import Detected, DetectedBox, boxed
from mobilenets.tasks.drawing import captioned, stacked

GREEN = Image.new("RGB", (300, 40), (0, 128, 0))


@pytest.mark.parametrize("width", [100, 301, 900])
def test_a_caption_stands_between_equal_margins_below_the_image(width: int) -> None:
    """Of lines as full as they can be, no letter nears the left or the right border by more than a pixel or two."""
    image = GREEN.resize((width, 40))
    size = max(12, width // 28)
    ink = np.zeros(width, bool)
    for count in range(1, 40):
        page = np.asarray(captioned(image, " ".join("i" * count)))
        assert (page[:40] == image).all() and page.shape[0] > 40
        below = page[40:] < 128
        assert below.any() and not below[0].any() and not below[-1].any()
        ink |= below.any((0, 2))
    left, right = ink.nonzero()[0][[0, -1]]
    assert left == pytest.approx(size // 2, abs=2) and right <= width - size // 2 + 1


def test_a_caption_is_wrapped_and_nothing_of_it_lost() -> None:
    one, two = captioned(GREEN, "cat 90.0%"), captioned(GREEN, "  ".join(["cat 90.0%"] * 9))
    assert one.size[0] == two.size[0] == 300 and two.height > one.height + 12
    assert captioned(GREEN, "cat  dog").tobytes() == captioned(GREEN, "cat, dog").tobytes()
    ink = [(np.asarray(captioned(GREEN, " ".join(["cat"] * n)))[40:] < 128).sum() for n in (1, 10, 40)]
    assert ink[1] == pytest.approx(10 * ink[0], rel=0.02) and ink[2] == pytest.approx(40 * ink[0], rel=0.02)


def test_every_line_of_a_caption_is_filled() -> None:
    heights = [captioned(GREEN, " ".join(["cat"] * count)).height for count in range(1, 60)]
    fit = heights.count(heights[0])
    assert 2 < fit < 30 and heights[:fit] == heights[:1] * fit
    assert heights[fit : 2 * fit] == heights[fit : fit + 1] * fit and heights[2 * fit] > heights[fit] > heights[0]


def test_a_word_wider_than_the_image_has_a_line_of_its_own() -> None:
    heights = [captioned(GREEN, text).height for text in ("i", "w" * 99, f"{'w' * 99} i", f"i {'w' * 99}")]
    assert heights[0] == heights[1] < heights[2] == heights[3]


def test_one_above_the_other_as_wide_as_the_lower() -> None:
    blue = Image.new("RGB", (150, 30), (0, 0, 255))
    page = np.asarray(stacked(GREEN, blue))
    assert page.shape == (50, 150, 3)
    assert (page[:20] == (0, 128, 0)).all() and (page[20:] == (0, 0, 255)).all()


def test_a_box_is_drawn_along_its_edges_and_the_best_one_last() -> None:
    grey = Image.new("L", (100, 80), 200)
    one, other = DetectedBox("a", 0, 0.9, (10, 20, 60, 70)), DetectedBox("b", 1, 0.6, (10, 20, 90, 75))
    drawn = np.asarray(boxed(grey, Detected((one, other)), names=False))
    changed = (drawn != 200).any(2)
    outline = np.zeros((80, 100), bool)
    for x, y in ((60, 70), (90, 75)):
        outline[20 : y + 1, [10, x]] = outline[[20, y], 10 : x + 1] = True
    assert (changed == outline).all()
    assert (drawn[20, 10] == drawn[70, 60]).all() and (drawn[20, 70] == drawn[75, 90]).all()
    assert (drawn[20, 10] != drawn[75, 90]).any()
    named = np.asarray(boxed(grey, Detected((one,))))
    assert (named[8:20, 10:40] != drawn[8:20, 10:40]).any()


def test_classes_have_colours_of_their_own() -> None:
    grey = Image.new("RGB", (40, 40), "grey")
    colours = {
        boxed(grey, Detected((DetectedBox("a", i, 1.0, (5, 5, 30, 30)),)), False).getpixel((5, 5)) for i in range(8)
    }
    again = boxed(grey, Detected((DetectedBox("a", 8, 1.0, (5, 5, 30, 30)),)), False).getpixel((5, 5))
    assert len(colours) == 8 and again in colours


@pytest.mark.parametrize(
    "edges", [(5, 5, 60, 60), (180, 40, 199, 60), (0, 0, 9, 9), (100, 90, 199, 99), (-3, -2, 9, 9)]
)
def test_label_and_score_of_a_box_are_drawn_whole(edges: tuple[int, int, int, int]) -> None:
    """As much white ink as in the middle of the image, wherever the box lies."""
    dark = Image.new("RGB", (200, 100))

    def ink(box: tuple[int, int, int, int]) -> int:
        drawn = np.asarray(boxed(dark, Detected((DetectedBox("square", 2, 0.93, box),)))).astype(int)
        return int((drawn.min(2) > 128).sum())

    assert ink(edges) == pytest.approx(ink((60, 40, 140, 80)), rel=0.1) and ink(edges) > 50


def test_a_label_stands_above_its_box_where_there_is_room() -> None:
    grey = Image.new("RGB", (200, 100), (99, 99, 99))
    small = np.asarray(boxed(grey, Detected((DetectedBox("x", 0, 0.5, (50, 50, 62, 60)),))))
    assert (small[52:58, 52:60] == 99).all() and (small[38:48, 52:60] != 99).any()


def test_a_picture_without_boxes_says_so() -> None:
    image = Image.new("RGB", (200, 100), "white")
    box = Detected((DetectedBox("cat", 0, 0.9, (20, 20, 100, 60)),))
    assert Detect().draw(image, box).size == image.size
    without = Detect().draw(image, Detected(()))
    assert (
        without.tobytes() == captioned(image, "no boxes with a score of at least 50%").tobytes()
        and without.height > image.height
    )

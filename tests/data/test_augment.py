"""Views and colours: what augmentation does to a picture, how often, and how far."""

import numpy as np
import pytest

from mobilenets.data.augment import Augmentation, drawn, random_colours, random_view, seen
from mobilenets.image import Preprocess, as_image, crop_resize

SQUARE = Preprocess(32, 32)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)


def view(seed: int, flip: bool, strength: float = 0.5) -> np.ndarray:
    return random_view(NOISE, SQUARE, Augmentation(strength, flip), np.random.default_rng(seed))


def test_half_of_the_views_are_mirrored_and_nothing_else_changes() -> None:
    mirrored = 0
    for seed in range(100):
        plain, found = view(seed, flip=False), view(seed, flip=True)
        turned = np.array_equal(found, np.fliplr(plain))
        assert turned or np.array_equal(found, plain)
        mirrored += turned
    assert 35 < mirrored < 65


def test_a_view_is_the_place_that_was_drawn() -> None:
    """The box is cut from the picture and resized, by the kernel that evaluation uses."""
    how = Augmentation(0.8, False)
    for seed in range(5):
        place = drawn(NOISE, SQUARE, how, np.random.default_rng(seed))
        expected = crop_resize(as_image(NOISE), SQUARE, place.box)
        assert np.array_equal(view(seed, False, 0.8), expected) and np.array_equal(seen(NOISE, SQUARE, place), expected)


def places(preprocess: Preprocess, strength: float, width: int, height: int, count: int = 2000) -> np.ndarray:
    """Boxes (count, 4) of views of an image of that size."""
    how, pixels, rng = Augmentation(strength, True), np.zeros((height, width, 3), np.uint8), np.random.default_rng(0)
    return np.array([drawn(pixels, preprocess, how, rng).box for _ in range(count)])


@pytest.mark.parametrize("strength", [0.2, 0.5, 1.0])
def test_crops_are_as_small_and_as_stretched_as_the_strength_says(strength: float) -> None:
    """Areas are spread evenly from the smallest to the whole, ratios evenly in logarithms about the network's."""
    smallest, stretch = 1 - 0.75 * strength, 1 + strength / 3
    left, top, right, bottom = places(SQUARE, strength, 300, 300).T
    w, h = right - left, bottom - top
    area, ratio = w * h / 300**2, w / h
    assert smallest - 1e-9 <= area.min() < 1.02 * smallest
    assert area.max() > 0.95 and (area < (smallest + 1) / 2).mean() == pytest.approx(0.5, abs=0.1)
    free = ratio[area < 1 / stretch]  # never cut off at the image's border
    assert 1 / stretch - 1e-9 <= free.min() < 1.02 / stretch and 0.98 * stretch < free.max() <= stretch + 1e-9
    assert np.log(free).mean() == pytest.approx(0, abs=0.02)


def test_crops_lie_anywhere_in_the_image() -> None:
    left, top, right, bottom = places(SQUARE, 1.0, 300, 200).T
    free = ((right - left) < 250) & ((bottom - top) < 150)
    for low, high, side in ((left[free], right[free], 300), (top[free], bottom[free], 200)):
        share = low / (side - (high - low))
        assert share.min() < 0.02 and share.max() > 0.98 and share.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("preprocess", "shape"), [(Preprocess(32, 64), 2.0), (Preprocess(32, 32, fit="stretch", crop=1.0), 3.0)]
)
def test_crops_have_the_shape_of_what_evaluation_sees(preprocess: Preprocess, shape: float) -> None:
    """The network's, or the image's (300 x 100) where that is stretched."""
    left, top, right, bottom = places(preprocess, 0.9, 300, 100).T
    w, h = right - left, bottom - top
    ratio = (w / h)[w * h < 15_000]  # never cut off
    assert np.exp(np.log(ratio).mean()) == pytest.approx(shape, rel=0.02)


def test_the_smallest_crop_has_the_network_s_resolution() -> None:
    for strength in (0.0, 0.3, 1.0):
        how = Augmentation(strength, True)
        side = how.short_side(96, 64)
        assert side * how.min_area**0.5 >= 96 > (side - 1) * how.min_area**0.5


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_brightness_and_contrast_reach_as_far_as_the_strength_says(strength: float) -> None:
    """Of grey pictures there is no white balance: gain and shift are contrast and brightness."""
    most = 0.4 * strength
    colour = random_colours(4000, 1, Augmentation(strength, True), np.random.default_rng(0))
    assert colour.gain.shape == colour.shift.shape == (4000, 1)
    for change in (colour.gain - 1, colour.shift):
        assert np.abs(change).max() <= most + 1e-6
        assert change.min() < -0.98 * most and change.max() > 0.98 * most
        assert change.mean() == pytest.approx(0, abs=0.03 * most) and np.unique(change).size > 3000
    assert np.corrcoef(colour.gain[:, 0], colour.shift[:, 0])[0, 1] == pytest.approx(0, abs=0.05)


def test_white_balance_moves_channels_apart_and_leaves_the_mean() -> None:
    """The mean of an image's gains is its contrast alone: within the bound of contrast."""
    colour = random_colours(4000, 3, Augmentation(1.0, True), np.random.default_rng(0))
    mean = colour.gain.mean(axis=1, keepdims=True)
    assert np.abs(mean - 1).max() <= 0.4 + 1e-6
    balance = colour.gain / mean - 1
    spread = np.ptp(balance, axis=1)
    assert 0.35 < spread.max() <= 0.4 + 1e-6 and spread.mean() == pytest.approx(0.2, abs=0.01)
    assert np.abs(balance.mean(axis=0)).max() < 0.01  # no channel is favoured
    assert (colour.shift == colour.shift[:, :1]).all() and colour.gain.dtype == colour.shift.dtype == np.float32

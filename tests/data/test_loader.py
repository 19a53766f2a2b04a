"""Batches and augmentation: determined by (seed, epoch, batch), balanced where asked, boxes inside the image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.data.augment import Augmentation, _random_box, random_colours, random_view
from mobilenets.data.cache import Images, decode_split
from mobilenets.data.loader import Batch, Order, TrainingBatches, central_batches, plain_batches
from mobilenets.data.sources import open_dataset
from mobilenets.image import Preprocess, as_image, crop_resize
from mobilenets.tasks.targets import balanced

PREPROCESS = Preprocess(32, 48)


@pytest.fixture(scope="module")
def images(photos: Path) -> Images:
    return decode_split(open_dataset(photos).splits["train"], PREPROCESS, short_side=72)


def batches(images: Images, **changes: object) -> TrainingBatches:
    values = {"batch_size": 10, "seed": 0, "workers": 2, **changes}
    return TrainingBatches(images, PREPROCESS, Augmentation(0.7, True), **values)  # type: ignore[arg-type]


def test_a_batch_follows_from_seed_epoch_and_number(images: Images) -> None:
    whole = list(batches(images).epoch(3))
    later = list(batches(images, workers=1).epoch(3, start=4))
    assert len(whole) == len(images) // 10 == 7 and len(later) == 3
    for one, other in zip(whole[4:], later, strict=True):
        assert np.array_equal(one.pixels, other.pixels) and np.array_equal(one.targets, other.targets)
        assert one.colour and other.colour and np.array_equal(one.colour.gain, other.colour.gain)
    assert whole[0].pixels.shape == (10, 32, 48, 3) and whole[0].pixels.dtype == np.uint8
    for different in (batches(images).epoch(4), batches(images, seed=1).epoch(3)):
        assert not np.array_equal(next(different).pixels, whole[0].pixels)


def test_every_epoch_and_seed_has_an_order_of_its_own(images: Images) -> None:
    """With as many images as batches hold: each is a shuffle of them all."""
    numbered = replace(images, targets=np.arange(len(images)))

    def order(epoch: int, seed: int = 0) -> tuple[int, ...]:
        parts = [batch.targets for batch in batches(numbered, batch_size=12, seed=seed).epoch(epoch)]
        return tuple(np.concatenate(parts).tolist())

    orders = {order(epoch) for epoch in range(3)} | {order(0, seed) for seed in (1, 2)}
    assert len(orders) == 5 and all(sorted(one) == list(range(72)) for one in orders)
    assert order(1) in orders and tuple(range(72)) not in orders


def test_every_batch_epoch_and_seed_has_views_of_its_own(images: Images) -> None:
    """Of one image, ever again: crops and colours differ."""

    def shown(epoch: int, seed: int = 0) -> list[Batch]:
        return list(batches(images, seed=seed, order=lambda rng: np.zeros(len(images), np.int64)).epoch(epoch))[:3]

    found = [*shown(0), *shown(1), *shown(0, seed=1)]
    assert len({view.tobytes() for batch in found for view in batch.pixels}) > 85  # of 90
    colours = [batch.colour for batch in found if batch.colour]
    assert len({gain.tobytes() for colour in colours for gain in colour.gain}) == 90


def test_an_epoch_shows_no_image_twice(images: Images) -> None:
    numbered = replace(images, targets=np.arange(len(images)))
    seen = np.concatenate([batch.targets for batch in batches(numbered).epoch(0)])
    assert len(set(seen.tolist())) == len(seen) == 70


def test_balanced_draws_every_class_equally_often(images: Images) -> None:
    rare = replace(images, targets=np.array([0] * 66 + [1] * 6))

    def drawn_by(order: Order | None) -> np.ndarray:
        epochs = (batches(rare, order=order).epoch(epoch) for epoch in range(20))
        return np.concatenate([batch.targets for epoch in epochs for batch in epoch])

    drawn = drawn_by(balanced(rare.targets))
    assert 0.45 < drawn.mean() < 0.55
    assert drawn_by(None).mean() == pytest.approx(6 / 72, abs=0.01)


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.floats(0, 1),
    st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4),
)
def test_boxes_lie_inside_the_image(width: int, height: int, strength: float, draws: tuple[float, ...]) -> None:
    left, top, right, bottom = _random_box(width, height, PREPROCESS, Augmentation(strength, True), *draws)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_without_strength_nothing_but_the_crop_s_place_is_random(images: Images) -> None:
    how = Augmentation(0.0, False)
    colour = random_colours(4, 3, how, np.random.default_rng(0))
    assert np.all(colour.gain == 1) and np.all(colour.shift == 0)
    square = np.asarray(as_image(images.pixels(0)).resize((48, 32)))
    view = random_view(square, PREPROCESS, how, np.random.default_rng(0))
    assert np.array_equal(view, crop_resize(as_image(square), PREPROCESS, (0, 0, 48, 32)))


def test_grey_has_one_channel() -> None:
    how = Augmentation(1.0, True)
    view = random_view(np.zeros((40, 40, 1), np.uint8), Preprocess(32, 32, 1), how, np.random.default_rng(0))
    assert view.shape == (32, 32, 1)
    assert random_colours(5, 1, how, np.random.default_rng(0)).gain.shape == (5, 1)


def test_evaluation_batches_are_in_order_and_complete(photos: Path) -> None:
    val = decode_split(open_dataset(photos).splits["val"], PREPROCESS, short_side=None)
    parts = list(plain_batches(val, 7))
    assert [len(part.targets) for part in parts] == [7, 7, 7, 3]
    assert np.array_equal(np.concatenate([part.targets for part in parts]), val.targets)
    assert all(np.array_equal(parts[1].pixels[i], val.pixels(7 + i)) for i in range(7))


def test_central_batches_see_what_evaluation_would(images: Images) -> None:
    parts = list(central_batches(images, PREPROCESS, 16, 30))
    assert sum(map(len, parts)) == len(range(0, len(images), len(images) // 30))
    assert np.array_equal(parts[0][0], crop_resize(as_image(images.pixels(0)), PREPROCESS))

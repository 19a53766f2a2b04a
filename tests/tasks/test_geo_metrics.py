"""Cells and what is said of places: small cases by hand."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mobilenets.tasks.geo.cells import cut
from mobilenets.tasks.geo.map import with_cells, with_points, world
from mobilenets.tasks.geo.metrics import evaluate_locations
from mobilenets.tasks.geolocate import Geolocate

pytest.importorskip("s2geometry")


def test_a_cell_may_hold_just_as_many_photos_as_are_allowed() -> None:
    """Around Munich, in one face of the cube: it is cut only where one more is there than may be."""
    points = np.random.default_rng(0).uniform((46, 9), (50, 13), (12, 2))
    (whole,) = cut(points, 12, 1)
    assert whole.photos == 12 and whole.token == "5"  # S2's face 2
    parts = cut(points, 11, 1)
    assert all(cell.token != "5" for cell in parts) and sum(cell.photos for cell in parts) == 12
    largest = max(cell.photos for cell in parts)
    assert largest in [cell.photos for cell in cut(points, 11, largest)] and cut(points, 11, largest + 1) == []


def test_a_cell_stands_for_the_middle_of_its_photos() -> None:
    (cell,) = cut(np.array([[10.0, 20.0], [10.0, 22.0]]), 5, 1)
    assert (cell.latitude, cell.longitude) == (pytest.approx(10, abs=0.01), pytest.approx(21))
    (across,) = cut(np.array([[0.0, 179.0], [0.0, -179.0]]), 5, 1)
    assert abs(across.longitude) == pytest.approx(180) and across.latitude == pytest.approx(0)


def test_chance_draws_a_training_photo_not_a_cell() -> None:
    """Three of four training photos are at (0, 0), and so is each photo that is judged, but for the last."""
    centres, weights = np.array([[0.0, 0.0], [0.0, 90.0]]), np.array([3.0, 1.0])
    truth, outputs = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [0.0, 90.0]]), np.eye(2)[[0, 0, 1, 1]]
    found = evaluate_locations(outputs, truth, tuple("abcd"), centres, weights)
    assert found.chance == {1: pytest.approx(0.25), **dict.fromkeys((25, 200, 750, 2500), pytest.approx(0.625))}
    assert found.within == {1: 0.5, **dict.fromkeys((25, 200, 750, 2500), 0.75)}
    assert [one.name for one in found.worst] == ["c", "b", "a", "d"] and found.worst[0].predicted == (0.0, 90.0)


def test_validation_has_a_loss_where_the_cell_is_known_and_a_distance_everywhere() -> None:
    """Of the photos that lie in a cell, the first one included."""
    head_config = {"cells": [["a", 0.0, 0.0, 5], ["b", 0.0, 90.0, 5]]}
    outputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    targets = np.array([[0.0, 0.0, 0], [0.0, 90.0, 1], [1.0, 1.0, 0], [50.0, 50.0, -1]])
    _, loss = Geolocate().validate(outputs, targets, head_config)
    assert loss == pytest.approx(cross_entropy(outputs[:3], torch.tensor([0, 1, 0])).item())
    right = torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])
    score, _ = Geolocate().validate(right, targets, head_config)
    assert score == pytest.approx((2 + 2 + 3 + 3 + 3) / 5 / 4)  # the third is 157 km off, the fourth a third of the way
    targets[:, 2] = -1
    assert Geolocate().validate(outputs, targets, head_config)[1] == 0


@pytest.mark.parametrize(
    ("latitude", "longitude", "x", "y"),
    [
        (90, -180, 0, 0),
        (90, 180, 719, 0),
        (-90, -180, 0, 359),
        (-90, 180, 719, 359),
        (45, 90, 539, 90),
        (-45, -90, 180, 269),
    ],
)
def test_the_map_is_all_of_the_earth_to_its_last_pixel(latitude: float, longitude: float, x: int, y: int) -> None:
    before = np.asarray(world())
    after = np.asarray(with_points(world(), np.array([[latitude, longitude]]), (200, 62, 44), 1))
    rows, columns = (before != after).any(2).nonzero()
    assert before.shape == (360, 720, 3)
    np.testing.assert_allclose(rows, y, atol=2)
    np.testing.assert_allclose(columns, x, atol=2)
    assert after[y, x].tolist() == [200, 62, 44]


def test_a_cell_is_as_dark_as_the_root_of_its_share_of_the_largest() -> None:
    """Two faces of the cube: Africa's (S2's face 0) and the north pole's; a quarter is half as dark."""
    chart, paper = np.int64(with_cells(world(), [("1", 0.8), ("5", 0.2)])), np.int64(world())
    ink = (37, 99, 168)
    assert chart[190, 370].tolist() == list(ink)
    np.testing.assert_allclose(chart[10, 550], (paper[10, 550] + ink) / 2, atol=1)
    assert chart[190, 170].tolist() == paper[190, 170].tolist()


@pytest.mark.parametrize(
    "place, land",
    [
        ((48.0, 10.0), True),
        ((-25.0, 135.0), True),
        ((70.0, -40.0), True),  # Greenland
        ((-85.0, 10.0), True),
        ((40.0, -45.0), False),
        ((42.0, 51.0), False),  # the Caspian Sea, a lake in land
    ],
)
def test_the_map_has_land_and_sea(place: tuple[float, float], land: bool) -> None:
    latitude, longitude = place
    pixel = world().getpixel((round((longitude + 180) / 360 * 719), round((90 - latitude) / 180 * 359)))
    assert pixel == ((226, 225, 216) if land else (246, 247, 249))


def test_coasts_and_degrees_are_seen_through_cells() -> None:
    chart = np.asarray(with_cells(world(), [("1", 1.0)]))  # all of Africa
    coast = (chart == (138, 143, 148)).all(2)
    grid = (chart == (205, 210, 217)).all(2)
    text = (chart == (82, 90, 99)).all(2)
    assert coast[110:240, 330:460].sum() > 200 and grid[:, 359:361].any()
    assert text[:, :45].any() and text[-20:, 360:380].any()  # latitudes at the left edge, longitudes at the lower

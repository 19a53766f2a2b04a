"""Geolocation: cells against counting, distances against known ones, a network that learns where colours are."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobilenets import evaluate, predict, train
from mobilenets.arch.network import Block, Network
from mobilenets.cli import main
from mobilenets.errors import DataError
from mobilenets.model import load
from mobilenets.tasks.geo.cells import ancestors, cut, distances, outlines, within
from mobilenets.tasks.geo.metrics import RADII, evaluate_locations
from mobilenets.tasks.geolocate import Geolocate, _cross_entropies
from mobilenets.training.recipe import Recipe

pytest.importorskip("s2geometry")
CPU = torch.device("cpu")
COLOURS = {(48.1, 11.6): (220, 40, 40), (-33.9, 151.2): (40, 220, 40), (40.7, -74.0): (40, 40, 220)}
places = st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=200)


@given(places, st.integers(1, 20), st.integers(1, 20))
def test_cells_hold_between_least_and_most_and_every_photo_but_the_dropped(found, one: int, other: int) -> None:
    least, most = sorted((one, other))
    points = np.array(found, np.float64)
    cells = cut(points, most, least)
    numbers = within(points, [cell.token for cell in cells])
    assert [cell.photos for cell in cells] == [int((numbers == i).sum()) for i in range(len(cells))]
    assert all(least <= cell.photos for cell in cells)
    spread = {i: len({tuple(p) for p in points[numbers == i].round(5)}) for i in range(len(cells))}
    assert all(cell.photos <= most or spread[i] < cell.photos for i, cell in enumerate(cells))  # equal places stay


@given(places)
def test_without_a_least_no_photo_is_dropped(found) -> None:
    points = np.array(found, np.float64)
    assert (within(points, [cell.token for cell in cut(points, 10, 1)]) >= 0).all()


def test_levels_join_neighbours_and_end_before_all_are_one() -> None:
    points = np.random.default_rng(0).uniform((-60, -180), (70, 180), (3000, 2))
    tokens = [cell.token for cell in cut(points, 40, 5)]
    counts = [len(set(level.tolist())) for level in ancestors(tokens)]
    assert counts == sorted(counts, reverse=True) and counts[-1] == 6 and counts[0] < len(tokens)
    assert {corners.shape for corners in outlines(tokens[0])} == {(4, 2)} and len(outlines("5")) == 256


def test_known_distances() -> None:
    cities = {"Munich": (48.1372, 11.5755), "Berlin": (52.52, 13.405), "Sydney": (-33.8688, 151.2093)}
    munich, berlin, sydney = (np.array([place]) for place in cities.values())
    assert distances(munich, berlin)[0] == pytest.approx(504.3, abs=0.5)
    assert distances(berlin, sydney)[0] == pytest.approx(16_094, rel=2e-3)
    assert distances(np.array([[0.0, 179.9]]), np.array([[0.0, -179.9]]))[0] == pytest.approx(22.24, abs=0.05)
    assert distances(munich, munich)[0] == 0


def test_shares_and_chance_by_hand() -> None:
    centres, weights = np.array([[0.0, 0.0], [0.0, 90.0]]), np.array([3.0, 1.0])
    truth = np.array([[0.0, 0.1], [0.0, 80.0], [50.0, 0.0]])
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    result = evaluate_locations(outputs, truth, ("a", "b", "c"), centres, weights)
    assert result.within == {1: 0, 25: pytest.approx(1 / 3), 200: pytest.approx(1 / 3), 750: pytest.approx(1 / 3)} | {
        2500: pytest.approx(2 / 3)
    }
    assert result.chance[2500] == pytest.approx((0.75 + 0.25) / 3) and result.worst[0].name == "c"
    assert tuple(result.within) == RADII and result.score == pytest.approx(5 / 15)


def test_the_hierarchy_s_loss_is_the_mean_over_the_levels() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    cell = torch.tensor([0, 1, 2, 3, 4, 0])
    target = torch.stack([torch.zeros(6), torch.zeros(6), cell.double()], 1)
    groups = np.array([0, 0, 1, 1, 1])
    p = logits.softmax(1)
    joined = torch.stack([p[:, :2].sum(1), p[:, 2:].sum(1)], 1)
    expected = (-p[range(6), cell].log().mean() - joined[range(6), torch.from_numpy(groups)[cell]].log().mean()) / 2
    torch.testing.assert_close(_cross_entropies([groups], CPU)(logits, target), expected)
    torch.testing.assert_close(
        _cross_entropies([], CPU)(logits, target), torch.nn.functional.cross_entropy(logits, cell)
    )


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three cities, each of its own colour."""
    folder, rng = tmp_path_factory.mktemp("places"), np.random.default_rng(0)
    rows = []
    for number, ((latitude, longitude), colour) in enumerate(list(COLOURS.items()) * 30):
        pixels = np.clip(np.array(colour) + rng.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = "val" if number % 5 == 0 else "train"
        rows.append((f"{number}.png", latitude + rng.normal(0, 0.3), longitude + rng.normal(0, 0.3), split))
    with (folder / "places.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "latitude", "longitude", "split"), *rows])
    return folder / "places.csv"


def test_a_network_learns_where_colours_are(coloured: Path, tmp_path: Path, capsys) -> None:
    network = Network(0.25, 32, 32, blocks=(Block(2, 64), Block(2, 128)))
    task = Geolocate(max_photos=40, min_photos=5, hierarchy=True)
    done = train(coloured, network, Recipe(epochs=8, batch_size=16), task=task, project=tmp_path)
    result = done.evaluated.evaluation
    assert result.within[750] == 1.0 and result.chance[750] < 0.5  # type: ignore[attr-defined]
    assert "Largest errors" in done.report.read_text() and "Map" in done.report.read_text()
    model = load(done.run / "best.safetensors")
    assert model.task == "geolocate" and len(model.head_config["cells"]) == len(model.labels) == 3
    again = evaluate(done.run, coloured, "val")
    assert again.evaluation.to_dict() == result.to_dict()
    (prediction,) = predict(done.run, [coloured.parent / "1.png"], top=2)
    assert (
        distances(
            np.array([[prediction.prediction.latitude, prediction.prediction.longitude]]), np.array([[-33.9, 151.2]])
        )
        < 100
    )
    assert main(["predict", str(done.run), str(coloured.parent / "0.png"), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["predictions"]
    assert abs(said["latitude"] - 48.1) < 1 and abs(said["longitude"] - 11.6) < 1 and len(said["top"]) == 3
    page = Geolocate().draw(Image.open(coloured.parent / "1.png"), prediction.prediction)
    assert page.width == 720


def test_too_few_photos_for_cells(coloured: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0 S2 cells, at least 2 with 100 photos or more are needed"):
        train(coloured, Network(0.25, 32, 32), task=Geolocate(max_photos=200, min_photos=100), project=tmp_path)
    with pytest.raises(DataError, match=r"min_photos \(=30\) must be from 1 to max_photos \(=20\)"):
        Geolocate(max_photos=20, min_photos=30)
    with pytest.raises(DataError, match=r"min_photos \(=0\) must be from 1"):
        Geolocate(max_photos=20, min_photos=0)
    assert Geolocate(max_photos=2, min_photos=1).min_photos == 1 and Geolocate(max_photos=9, min_photos=9)

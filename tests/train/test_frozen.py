"""The classifier alone: the body stays as it is, bit for bit, and the figures are those of evaluation."""

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from photos import make_photos

from mobilenets.api import train_network
from mobilenets.arch import Network
from mobilenets.errors import UsageError
from mobilenets.model import load
from mobilenets.train.recipe import Recipe

NETWORK = Network(alpha=0.25, height=32, width=32, classes=7, activation="relu6")
RECIPE = Recipe(freeze=True, device="cpu", workers=2)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_photos(tmp_path_factory.mktemp("two"))
    for split in ("train", "val"):
        for photo in (folder / split / "green").iterdir():
            photo.unlink()
        (folder / split / "green").rmdir()
    return folder


@pytest.mark.parametrize("classes", [2, 3])
def test_only_the_classifier_changes(
    classes: int, photos: Path, two_classes: Path, tmp_path: Path, random_model: MakeModel
) -> None:
    pretrained = random_model(NETWORK)
    data = photos if classes == 3 else two_classes
    done = train_network(data, None, RECIPE, pretrained=pretrained, runs=tmp_path, name="run")
    assert done.model.network == NETWORK.replace(classes=classes)
    for name, array in done.model.weights.items():
        assert name.startswith("fc.") or np.array_equal(array, pretrained.weights[name])
    assert done.evaluated.evaluation.top1 > 0.8  # random features tell colours apart
    assert done.evaluated.evaluation.top1 == pytest.approx(done.model.metrics["val_top1"])
    assert load(tmp_path / "run" / "last.safetensors").digest() == done.model.digest()
    assert len((tmp_path / "run" / "results.csv").read_text().splitlines()) == 2


def test_the_same_seed_gives_the_same_classifier(photos: Path, tmp_path: Path, random_model: MakeModel) -> None:
    runs = [
        train_network(photos, None, RECIPE, pretrained=random_model(NETWORK), runs=tmp_path, name=name)
        for name in ("a", "b")
    ]
    assert runs[0].model.digest() == runs[1].model.digest()


def test_there_must_be_a_trained_network(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="freeze"):
        train_network(photos, NETWORK, RECIPE, runs=tmp_path)

"""The classifier alone: the body stays as it is, bit for bit, and the figures are those of evaluation."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeModel
from photos import make_photos
from sklearn.linear_model import LogisticRegression
from small import NETWORK as SMALL
from small import PREPROCESS, figures, images_of, make_squares, module_with, small_run

from mobilenets import train
from mobilenets.arch import Network
from mobilenets.data.augment import Augmentation
from mobilenets.data.cache import decode_split
from mobilenets.data.sources import open_dataset
from mobilenets.errors import UsageError
from mobilenets.model import load
from mobilenets.progress import Watch
from mobilenets.tasks.classify import class_weights
from mobilenets.training import frozen
from mobilenets.training.frozen import _classifier, _evaluated, _regression, _views, fit_frozen
from mobilenets.training.recipe import Recipe

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


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_only_the_classifier_changes(
    classes: int, photos: Path, two_classes: Path, tmp_path: Path, random_model: MakeModel
) -> None:
    pretrained = random_model(NETWORK)
    data = photos if classes == 3 else two_classes
    done = train(data, None, RECIPE, pretrained=pretrained, project=tmp_path, name="run")
    assert done.model.network == NETWORK.replace(classes=classes)
    for name, array in done.model.weights.items():
        assert name.startswith("fc.") or np.array_equal(array, pretrained.weights[name])
    assert done.evaluated.evaluation.top1 > 0.8  # random features tell colours apart
    assert done.evaluated.evaluation.top1 == pytest.approx(done.model.metrics["val_top1"])
    assert load(tmp_path / "run" / "last.safetensors").digest() == done.model.digest()
    assert len((tmp_path / "run" / "results.csv").read_text().splitlines()) == 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_classifier(photos: Path, tmp_path: Path, random_model: MakeModel) -> None:
    runs = [
        train(photos, None, RECIPE, pretrained=random_model(NETWORK), project=tmp_path, name=name)
        for name in ("a", "b")
    ]
    assert runs[0].model.digest() == runs[1].model.digest()


def test_there_must_be_a_trained_network(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="freeze"):
        train(photos, NETWORK, RECIPE, project=tmp_path)


def of_sklearn(x: np.ndarray, labels: np.ndarray, strength: float, **more: object) -> np.ndarray:
    """(N, classes): log-probabilities of the logistic regression fitted to standardised features."""
    scaled = (x - x.mean(0)) / (x.std(0) + 1e-3)
    return LogisticRegression(C=strength, max_iter=500, **more).fit(scaled, labels).predict_log_proba(scaled)


def log_probabilities(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    logits = torch.from_numpy(x @ weight.T + bias)
    return torch.log_softmax(logits, 1).numpy()


def features(told: bool, classes: int = 3, count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 20) far from standardised, which tell the labels or do not."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    x = rng.normal(0, 1, (count, 20))
    if told:
        x[:, :classes] += 6 * np.eye(classes)[labels]
    return (x * np.linspace(0.5, 3, 20) + 2).astype(np.float32), labels


@pytest.mark.parametrize(("told", "strength"), [(False, 0.0003), (True, 0.1)])
def test_the_classifier_is_as_free_as_what_it_was_not_fitted_to_allows(told: bool, strength: float) -> None:
    """Where the features say nothing it learns next to nothing; the images fitted to would always have it freest."""
    x, labels = features(told)
    found = log_probabilities(x, *_classifier([x], labels, None))
    np.testing.assert_allclose(found, of_sklearn(x, labels, strength), atol=1e-3)


def test_a_class_that_only_the_held_out_images_show_leaves_the_choice_to_the_default() -> None:
    x, labels = features(True)
    labels = np.where(np.arange(150) % 5 == 0, 2, labels % 2)
    found = log_probabilities(x, *_classifier([x], labels, None))
    np.testing.assert_allclose(found, of_sklearn(x, labels, 0.003), atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_balance_weighs_rare_classes_up(classes: int) -> None:
    """Each class then counts the same; the probabilities are scikit-learn's, of two classes too."""
    x, labels = features(False, classes)
    labels[:60] = 0
    for balanced, weights in ((False, None), (True, "balanced")):
        found = log_probabilities(
            x, *_regression([x], labels, 0.01, class_weights(labels, classes) if balanced else None)
        )
        np.testing.assert_allclose(found, of_sklearn(x, labels, 0.01, class_weight=weights), atol=1e-3)
        assert (np.ptp(np.exp(found).mean(0)) < 0.1) == balanced


def test_every_view_of_an_image_is_learned_with_its_label() -> None:
    x, labels = features(True)
    seen = [x, x + np.float32(0.5), x * np.float32(1.1)]
    found = log_probabilities(np.concatenate(seen), *_classifier(seen, labels, None))
    expected = of_sklearn(np.concatenate(seen), np.concatenate([labels] * 3), 0.1)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_figures_are_accuracy_and_cross_entropy_of_any_logits() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 300, (50, 4)).astype(np.float32), rng.integers(0, 4, 50)
    top1, loss = _evaluated(logits, labels)
    tensor = torch.from_numpy(logits)
    assert top1 == pytest.approx((tensor.argmax(1).numpy() == labels).mean())
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(tensor, torch.from_numpy(labels))), rel=1e-5)


def test_the_row_tells_of_whole_images_as_evaluation_sees_them(tmp_path: Path, random_model: MakeModel) -> None:
    data = make_squares(tmp_path / "data", train=20, noise=120)
    run = small_run(data, tmp_path / "run", freeze=True, augment=1.0, flip=True)
    random_model(SMALL).save(run.initial)
    rows: list[dict[str, float]] = []
    watch = Watch()
    watch.epoch = rows.append  # type: ignore[method-assign]
    model = fit_frozen(open_dataset(data), run, watch)
    (row,) = rows
    module = module_with(model)
    top1, loss = figures(module, *images_of(open_dataset(data), "val"))
    assert (row["val_top1"], row["val_loss"]) == pytest.approx((top1, loss), rel=1e-3)
    assert row["train_loss"] == pytest.approx(figures(module, *images_of(open_dataset(data), "train"))[1], rel=1e-3)
    assert model.metrics["val_top1"] == row["val_top1"] and (model.data["train"], model.data["val"]) == (60, 18)


def test_steps_tell_batches_and_images_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the second of three views, of two whole batches; the clock ticks every half second that it is asked."""
    ticks = iter(np.arange(7, 20, 0.5).tolist())
    monkeypatch.setattr(frozen, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    body: Any = SimpleNamespace(logits=lambda pixels: pixels[:, 0, 0].astype(np.float32))
    steps: list[tuple[float, ...]] = []
    watch = Watch()
    watch.step = lambda *step: steps.append(step)  # type: ignore[method-assign]
    found = frozen._features(body, lambda i: np.full((2, 2, 3), i, np.uint8), 256, watch, 1, 3)
    assert np.array_equal(found, np.tile(np.arange(256)[:, None], 3))
    assert steps == [(1, 3, 1, 2, 128 / 0.5), (1, 3, 2, 2, 256 / 1.0)]


def test_views_are_the_centre_its_mirror_image_and_six_crops(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", train=1, val=1)
    images = decode_split(open_dataset(data).splits["train"], PREPROCESS, short_side=40)
    views = _views(images, PREPROCESS, Augmentation(1.0, True), 0)
    centre, mirrored, *crops = (view(1) for view in views)
    assert np.array_equal(centre, images.pixels(1)) and np.array_equal(mirrored, centre[:, ::-1])
    assert len({crop.tobytes() for crop in crops}) == 6 and all(crop.shape == (32, 32, 3) for crop in crops)
    assert all(np.array_equal(view(1), again) for view, again in zip(views[2:], crops, strict=True))
    assert len(_views(images, PREPROCESS, Augmentation(1.0, False), 0)) == 7
    other = _views(images, PREPROCESS, Augmentation(1.0, True), 1)[2]
    assert not np.array_equal(other(1), crops[0])

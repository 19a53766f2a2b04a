"""`--task detect` from annotations to boxes in the pixels of a photo, small."""

import json
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from scenes import LABELS, SIZE, make_coco, make_voc

from mobilenets import evaluate, export, plan, predict, resume, train
from mobilenets.arch.network import Network
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.errors import DataError, UsageError
from mobilenets.progress import Watch
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.result import SHOWN, Detected, Detections
from mobilenets.training.recipe import Recipe
from mobilenets.verbs.train import Trained

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")

RECIPE = Recipe(epochs=24, batch_size=8, lr=2e-2, warmup_epochs=1, augment=0.0, ema=0.9, replicas=1, workers=1)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voc(tmp_path_factory.mktemp("scenes") / "voc")


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(scenes, Network(0.25, 96, 96), RECIPE, task=Detect(), project=tmp_path_factory.mktemp("runs"))


def test_it_learns(run: Trained) -> None:
    assert run.evaluated.evaluation.score > 0.4


def test_evaluate_gives_the_figures_of_train(run: Trained, scenes: Path, tmp_path: Path) -> None:
    """From the run, and from the exported file, on annotations in the other layout as well."""
    exported = export(run.run, tmp_path / "m.onnx")
    assert exported.difference < 1e-4
    result = evaluate(exported.path, scenes).evaluation
    assert isinstance(result, Detections) and result.metrics() == {
        name: run.model.metrics[name] for name in ("images", "map50", "map")
    }
    assert evaluate(run.run, make_coco(tmp_path / "coco", 8)).evaluation.score > 0.2


def test_boxes_are_in_the_pixels_of_the_photo(run: Trained, scenes: Path, tmp_path: Path) -> None:
    """The same picture at three times its size has boxes three times as large."""
    small = scenes / "JPEGImages" / "050.png"
    large = tmp_path / "large.png"
    with Image.open(small) as image:
        image.resize((SIZE[0] * 3, SIZE[1] * 3), Image.Resampling.NEAREST).save(large)
    a, b = (p.prediction for p in predict(run.run, [small, large], top=2))
    assert isinstance(a, Detected) and isinstance(b, Detected) and len(a.boxes) == len(b.boxes) > 0
    for one, other in zip(a.boxes, b.boxes, strict=True):
        assert one.label == other.label in LABELS and one.score >= SHOWN
        np.testing.assert_allclose(np.array(one.edges) * 3, other.edges, atol=12)
        left, top, right, bottom = other.edges
        assert 0 <= left < right <= SIZE[0] * 3 and 0 <= top < bottom <= SIZE[1] * 3


def test_a_lower_confidence_lists_more_boxes(run: Trained, scenes: Path) -> None:
    """The boxes are those of the default and of lower scores, best first; above all scores there are none."""
    photo = scenes / "JPEGImages" / "050.png"

    def boxes(least: float | None) -> Detected:
        (image,) = predict(run.run, photo, min_confidence=least)
        assert isinstance(image.prediction, Detected)
        return image.prediction

    default, low = boxes(None), boxes(0.02)
    scores = [box.score for box in low.boxes]
    assert scores == sorted(scores, reverse=True) and min(scores) < SHOWN and len(low.boxes) > len(default.boxes)
    assert low.boxes[: len(default.boxes)] == default.boxes == boxes(SHOWN).boxes
    assert boxes(1.0).line() == "no boxes with a score of at least 100%"


def test_predict_prints_and_draws(
    run: Trained, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(scenes / "JPEGImages" / "051.png")
    assert main(["predict", str(run.run), image, "--json"]) == 0
    boxes = json.loads(capsys.readouterr().out)["predictions"][0]["boxes"]
    assert boxes and set(boxes[0]) == {"label", "score", "box"}
    assert main(["predict", str(run.run), image, "--csv", "--pictures", str(tmp_path / "drawn")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "image,rank,label,score,left,top,right,bottom,error" and len(lines) == len(boxes) + 1
    (picture,) = (tmp_path / "drawn").iterdir()
    with Image.open(picture) as drawn, Image.open(image) as plain:
        assert drawn.size == plain.size and drawn.convert("RGB").tobytes() != plain.convert("RGB").tobytes()


def test_the_report_shows_boxes_and_the_truth(run: Trained) -> None:
    page = run.report.read_text()
    assert "mAP at 0.5" in page and "Average precision" in page
    assert len(re.findall(r"<figcaption>[^<]*: \d+ box\w* detected", page)) == 8
    assert len(re.findall(r"<figcaption>2 boxes annotated", page)) == 8


@pytest.mark.parametrize("detector", ["ssd", pytest.param("faster-rcnn", marks=pytest.mark.slow)])
def test_a_resumed_run_ends_in_the_same_weights(tmp_path: Path, detector: Literal["ssd", "faster-rcnn"]) -> None:
    class Stop(Watch):
        def epoch(self, row: dict[str, float]) -> None:
            if row["epoch"] == 1:
                raise KeyboardInterrupt

    recipe, data = Recipe(epochs=2, batch_size=4, replicas=2, workers=1), make_voc(tmp_path / "voc", 8, 2)
    task, network = Detect(detector=detector), Network(0.25, 64, 64)
    whole = train(data, network, recipe, task=task, project=tmp_path, name="whole")
    with pytest.raises(KeyboardInterrupt):
        train(data, network, recipe, task=task, project=tmp_path, name="cut", watch=Stop())
    assert resume(tmp_path / "cut").model.digest() == whole.model.digest()


@pytest.mark.parametrize("recipe", [Recipe(smoothing=0.1), Recipe(balance="loss"), Recipe(balance="sample")])
def test_what_a_detector_cannot_follow_is_refused(recipe: Recipe, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for a detector"):
        train(scenes, Network(0.25, 64, 64), recipe, task=Detect(), project=tmp_path)


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        pytest.param(["compile"], "a detector) is not compiled", marks=needs_compiler),
        (["benchmark"], "its task is detect"),
        (["export", "--format", "tflite"], "format tflite holds classifiers"),
    ],
)
def test_verbs_that_take_no_detector_say_so(
    run: Trained, verb: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb[0], str(run.run), *verb[1:]]) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_other_classes_are_refused(run: Trained, tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 2, 2, lambda text: text.replace("<name>bar", "<name>tree"))
    with pytest.raises(DataError, match="the model does not have the classes tree"):
        evaluate(run.run, root)


def test_a_plan_of_a_detector(scenes: Path) -> None:
    found = plan(scenes, Network(0.25, 96, 96), RECIPE, task=Detect())
    assert found.images == {"train": 48, "val": 16} and found.epochs == RECIPE.epochs
    assert found.seconds and found.images_per_second and found.settings.task == Detect()

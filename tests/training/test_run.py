"""The run folder: settings come back, only an empty one is discarded, what is written into it."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from small import NETWORK, PREPROCESS, small_run

from mobilenets.errors import TrainingError, UsageError
from mobilenets.tasks.classify import Classify
from mobilenets.tasks.embed import Embed
from mobilenets.training.recipe import Recipe
from mobilenets.training.run import Run, Settings

FULL = Settings(
    "data",
    NETWORK.replace(classes=5, padding="same"),
    replace(PREPROCESS, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), crop=0.5),
    Recipe(epochs=3, lr=0.25, seed=9),
    "mobilenets train data",
    "a file",
    Classify(noisy_labels=True),
)


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    for number, settings in enumerate((FULL, replace(FULL, task=Embed()), Settings("", NETWORK, PREPROCESS, Recipe()))):
        run = Run.create(tmp_path / str(number), settings, ("a", "b"), unique=False)
        assert Run.open(run.path) == run and run.settings == settings
        assert (run.path / "labels.txt").read_text() == "a\nb\n"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        Run.create(tmp_path / "file" / "run", FULL, ("a",), unique=True)


@pytest.mark.parametrize(
    ("left", "discarded"),
    [
        ((), True),
        (("initial.safetensors", "teacher.safetensors"), True),
        (("checkpoint.safetensors",), False),
        (("notes.txt", "initial.safetensors"), False),
    ],
)
def test_only_a_run_without_an_epoch_is_discarded(left: tuple[str, ...], discarded: bool, tmp_path: Path) -> None:
    run = small_run(tmp_path, tmp_path / "run")
    for name in left:
        (run.path / name).write_text("")
    before = {path.name for path in run.path.iterdir()}
    run.discard_if_empty()
    assert run.path.exists() != discarded
    assert discarded or {path.name for path in run.path.iterdir()} == before


def test_results_are_written_whole_with_six_digits(tmp_path: Path) -> None:
    run = small_run(tmp_path, tmp_path / "run")
    history = [{"epoch": 1, "loss": 1 / 3}, {"epoch": 2, "loss": 12345678.0}]
    run.write_results(history[:1])
    run.write_results(history)
    with (run.path / "results.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["epoch", "loss"], ["1", "0.333333"], ["2", "1.23457e+07"]]


def test_a_model_says_how_good_it_is_on_which_images(tmp_path: Path, random_model: MakeModel) -> None:
    run, weights = small_run(tmp_path, tmp_path / "run"), random_model(NETWORK).weights
    data = {"fingerprint": "f", "train": 7, "val": 5}
    model = run.model(weights, ("a", "b", "c"), data, 0.75)
    assert model.metrics == {"split": "val", "images": 5, "top1": 0.75, "val_top1": 0.75}
    assert (model.labels, model.data, model.preprocess, model.head_config) == (("a", "b", "c"), data, PREPROCESS, {})
    assert model.network == NETWORK and model.task == "classify"
    assert run.model(weights, ("a", "b", "c"), data, 0.75, {"key": 1}).head_config == {"key": 1}


def test_weights_that_are_not_finite_make_no_model(tmp_path: Path, random_model: MakeModel) -> None:
    run, weights = small_run(tmp_path, tmp_path / "run", lr=0.5), dict(random_model(NETWORK).weights)
    weights["fc.bias"] = np.full(3, np.inf, np.float32)
    with pytest.raises(TrainingError, match=r"training diverged .*lower --lr \(now 0.5\)"):
        run.model(weights, ("a", "b", "c"), {"val": 5}, 0.0)

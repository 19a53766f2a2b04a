"""Which weights a run ends with: the best epoch's, with the better of two sets of batch-norm statistics."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from small import figures, images_of, make_squares, module_with, trained
from torch import nn

from mobilenets.data.sources import open_dataset
from mobilenets.model import Model, load
from mobilenets.quant import file
from mobilenets.training.fit import _out_of_patience
from mobilenets.training.module import weights_of

SLOW = {"opt": "sgd", "lr": 1e-9, "epochs": 4, "ema": 0.0}  # nothing moves but the running statistics
FAST = {"lr": 0.01, "epochs": 4, "batch_size": 32, "ema": 0.5, "seed": 2}  # all is right after the second epoch


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """257 training images: the statistics' third batch is of one image."""
    folder = make_squares(tmp_path_factory.mktemp("squares"), train=86, val=16)
    (folder / "train" / "2" / "85.png").unlink()
    return folder


def judged(row: dict[str, float]) -> tuple[float, float]:
    return row["val_top1"], -row["val_loss"]


def restated(model: Model, data: Path) -> nn.Module:
    """torch's layers with the weights of `model` and the mean of the statistics of two batches of 128 images."""
    module, x = module_with(model), images_of(open_dataset(data), "train")[0]
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    found = []
    for batch in (x[:128], x[128:256]):
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            module.train()(batch)
        found.append([(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms])  # type: ignore[union-attr, operator]
    for norm, (one, two) in zip(norms, zip(*found, strict=True), strict=True):
        norm.running_mean, norm.running_var = (one[0] + two[0]) / 2, (one[1] + two[1]) / 2
    return module.eval()


def same(a: Model, b: Model) -> bool:
    return all(np.array_equal(array, b.weights[name]) for name, array in a.weights.items())


@pytest.mark.parametrize("rising", [True, False])
def test_the_best_epoch_has_the_best_score_and_of_these_the_least_loss(
    rising: bool, squares: Path, tmp_path: Path
) -> None:
    """Of epochs with one score and losses that rise, or fall, as the rows say."""
    _, kept = trained(squares, tmp_path / "run", **(SLOW if rising else FAST))
    tied = [row["val_loss"] for row in kept.rows if row["val_top1"] == kept.rows[-1]["val_top1"]]
    assert len(tied) >= 3 and (tied[0] < tied[-1]) == rising
    for epoch, best in enumerate(kept.best):
        assert same(best, kept.last[max(range(epoch + 1), key=lambda i: judged(kept.rows[i]))])


@pytest.mark.parametrize(
    ("anew", "recipe"),
    [
        (True, {"lr": 0.02, "epochs": 2, "batch_size": 128}),  # a better score
        (True, {"lr": 0.01, "epochs": 4, "batch_size": 64, "ema": 0.5}),  # the same, and a smaller loss
        (False, SLOW),  # the same, and a larger loss
        (False, {**SLOW, "seed": 2}),  # a worse score, and a smaller loss
    ],
)
def test_batch_norms_are_measured_anew_where_that_is_better(
    anew: bool, recipe: dict[str, Any], squares: Path, tmp_path: Path
) -> None:
    """Evenly over whole batches of training images; else the best epoch's model stays as it was."""
    model, kept = trained(squares, tmp_path / "run", **recipe)
    x, targets = images_of(open_dataset(squares), "val")
    best, other = kept.best[-1], restated(kept.best[-1], squares)
    (score, loss), (new_score, new_loss) = figures(module_with(best), x, targets), figures(other, x, targets)
    assert ((new_score, -new_loss) > (score, -loss)) == anew
    expected = weights_of(other.state_dict()) if anew else best.weights
    for name, array in model.weights.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-4 if anew else 0, err_msg=name)
    assert model.metrics["val_top1"] == pytest.approx(new_score if anew else score)
    assert any("re-estimated" in note for note in kept.notes) == (anew and new_score > score)
    with safe_open(kept.run.checkpoint, "numpy") as file:  # epochs that are added later are compared with it as it was
        assert json.loads(file.metadata()["progress"])["best"][0] == pytest.approx(score)
    assert any(note.startswith(f"best: epoch {1 + kept.rows.index(max(kept.rows, key=judged))}") for note in kept.notes)
    assert load(kept.run.best).digest() == model.digest()


def test_integers_are_learned_from_the_best_float_weights(squares: Path, tmp_path: Path) -> None:
    """Which, like the last float ones, stay in their files; so does the best of the int8 epochs."""
    recipe = {"opt": "sgd", "lr": 0.4, "epochs": 10, "warmup_epochs": 0, "ema": 0.0, "weight_decay": 0.0}
    model, kept = trained(squares, tmp_path / "run", quantize=True, **recipe)
    floats, integers = kept.rows[:10], kept.rows[10:]
    best = max(range(10), key=lambda i: judged(floats[i]))
    assert len(integers) == 2 and best < 9
    assert same(load(kept.run.last), kept.last[9]) and kept.last[9].metrics["val_top1"] == floats[9]["val_top1"]
    made = file.load(kept.run.integers)
    assert made.metrics["val_top1"] == max(integers, key=judged)["val_top1"]
    assert made.data["quantized"] == {"from_sha256": model.digest(), "rule": "learned"}
    assert (model.data["train"], model.data["val"]) == (257, 48)
    fc = made.layers["fc"].weight * made.layers["fc"].scale[:, None]
    assert np.abs(fc - model.weights["fc.weight"]).max() < 0.2 * np.abs(fc - kept.last[9].weights["fc.weight"]).max()


@pytest.mark.parametrize("recipe", [FAST, {**SLOW, "epochs": 1, "seed": 5}], ids=["above", "below"])
def test_the_int8_network_is_kept_whatever_the_floats_came_to(
    recipe: dict[str, Any], squares: Path, tmp_path: Path
) -> None:
    """One that ends a little above the floats, one that ends a little below."""
    _, kept = trained(squares, tmp_path / "run", quantize=True, **recipe)
    assert file.load(kept.run.integers).metrics["val_top1"] == kept.rows[-1]["val_top1"]
    assert any(f"val top-1 {kept.rows[-1]['val_top1']:.2%}" in note and "int8" in note for note in kept.notes)
    assert f"quantisation-aware training from epoch {recipe['epochs'] + 1} on" in kept.notes


@pytest.mark.parametrize("patience", [1, 2, 300])
def test_patience_is_out_when_as_many_epochs_were_no_better(patience: int) -> None:
    """And stays so, where a run that had ended is resumed."""
    notes: list[str] = []
    for since, over in ((patience - 1, False), (patience, True), (patience + 1, True)):
        progress = SimpleNamespace(epoch=5 + since, best_epoch=4)  # the best is the fifth, counted from 0
        recipe, watch = SimpleNamespace(patience=patience), SimpleNamespace(note=notes.append)
        loop: Any = SimpleNamespace(
            state=SimpleNamespace(progress=progress), recipe=recipe, watch=watch, task=SimpleNamespace(score="top1")
        )
        assert _out_of_patience(loop) == over
        recipe.patience = None
        assert not _out_of_patience(loop)
    assert len(notes) == 2 and f"after epoch {patience + 5}" in notes[0]


def test_threads_are_those_of_before(squares: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        trained(squares, tmp_path / "run", epochs=1, batch_size=128)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_fewer_images_than_a_batch_and_its_replicas_take(tmp_path: Path) -> None:
    """One batch of all three, which two replicas would not share: batch norm takes two images."""
    data = make_squares(tmp_path / "data", train=1, val=1)
    _, kept = trained(data, tmp_path / "run", epochs=1, replicas=4, ema=0.0)
    assert kept.rows[0]["train_loss"] == pytest.approx(np.log(3), abs=0.2)
    assert kept.last[0].data["train"] == 3

"""Whole runs against a naive loop over torch's layers: rates, steps, averages, what the rows say."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from small import NETWORK, figures, images_of, make_squares, module_with, small_run, trained
from torch import Tensor, nn

from mobilenets.arch import expand
from mobilenets.data.sources import open_dataset
from mobilenets.progress import Watch
from mobilenets.training.group import Group
from mobilenets.training.interrupt import Interrupts
from mobilenets.training.loop import prepare
from mobilenets.training.module import MobileNet, initialise

RECIPE = {"opt": "sgd", "lr": 0.05, "layer_decay": 0.8, "weight_decay": 3.0, "smoothing": 0.1, "ema": 0.7, "seed": 3}
DEPTHS = {"fc": 0, "dw2": 1, "pw2": 1, "dw1": 2, "pw1": 2, "conv0": 3}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 training images: two batches of 16 an epoch."""
    return make_squares(tmp_path_factory.mktemp("squares"))


@dataclass
class Naive:
    """The same run written down step by step; `averages`, `losses` and `rates` at the end of each epoch."""

    averages: list[dict[str, Tensor]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def run(self, x: Tensor, targets: Tensor) -> None:
        module = MobileNet(expand(NETWORK))
        initialise(module, 3)
        optimiser = torch.optim.SGD(_groups(module), momentum=0.9, nesterov=True)
        average = {name: array.clone() for name, array in module.state_dict().items()}
        for epoch in range(3):
            order = np.random.default_rng((3, epoch)).permutation(len(x))
            losses = []
            for batch in range(2):
                step = 2 * epoch + batch
                rate = 0.05 * ((step + 1) / 2 if step < 2 else 0.5 + 0.5 * math.cos(math.pi * (step - 2) / 4))
                for group in optimiser.param_groups:
                    group["lr"] = rate * group["scale"]
                chosen = order[16 * batch : 16 * batch + 16]
                loss = nn.functional.cross_entropy(module.train()(x[chosen]), targets[chosen], label_smoothing=0.1)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                losses.append(loss.item())
                decay = min(0.7, (1 + step) / (10 + step))
                average = {name: decay * average[name] + (1 - decay) * new for name, new in module.state_dict().items()}
            self.averages.append(average)
            self.losses.append(sum(losses) / 2)
            self.rates.append(rate)


def _groups(module: MobileNet) -> list[dict[str, object]]:
    """One for each parameter: batch norms stand as deep as their convolutions, their arrays do not decay."""
    groups: list[dict[str, object]] = []
    for name, parameter in module.named_parameters():
        layer = name.split(".")[0].removesuffix("_bn")
        decay = 0.03 if name.endswith("weight") and parameter.ndim > 1 and not layer.startswith("dw") else 0.0
        groups.append({"params": [parameter], "lr": 0.0, "scale": 0.8 ** DEPTHS[layer], "weight_decay": decay})
    return groups


def test_every_epoch_is_that_of_the_naive_loop(squares: Path, tmp_path: Path) -> None:
    """Rates, training loss, and the averaged weights that are kept."""
    naive = Naive()
    naive.run(*images_of(open_dataset(squares), "train"))
    _, kept = trained(squares, tmp_path / "run", **RECIPE)
    assert [row["lr"] for row in kept.rows] == pytest.approx(naive.rates)
    assert [row["train_loss"] for row in kept.rows] == pytest.approx(naive.losses, rel=1e-4)
    for model, average in zip(kept.last, naive.averages, strict=True):
        for name, array in model.weights.items():
            torch.testing.assert_close(torch.from_numpy(array), average[name], rtol=1e-3, atol=1e-4, msg=name)


def test_rows_tell_of_the_averaged_weights_on_the_validation_images(squares: Path, tmp_path: Path) -> None:
    """Not of the weights that learn, not of the images that they learn from."""
    _, kept = trained(squares, tmp_path / "run", opt="sgd", lr=0.2, ema=0.9)
    x, targets = images_of(open_dataset(squares), "val")
    for row, model in zip(kept.rows, kept.last, strict=True):
        expected = figures(module_with(model), x, targets)
        assert (row["val_top1"], row["val_loss"]) == pytest.approx(expected, rel=1e-4)
        assert model.metrics["val_top1"] == row["val_top1"]
        assert model.metrics["images"] == len(targets) and model.data["train"] == 36


def test_averaging_can_be_switched_off(squares: Path, tmp_path: Path) -> None:
    """With a batch an epoch, the averages of one run follow from what another without averaging keeps."""
    recipe = {"batch_size": 36, "epochs": 4, "opt": "sgd", "lr": 0.2}
    _, raw = trained(squares, tmp_path / "raw", ema=0.0, **recipe)
    _, averaged = trained(squares, tmp_path / "averaged", ema=0.2, **recipe)
    mean = raw.last[0].weights["pw1.weight"]
    first = averaged.last[0].weights["pw1.weight"]
    assert np.abs(first - mean).max() > 1e-4
    mean = first
    for step in (1, 2, 3):
        decay = min(0.2, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * raw.last[step].weights["pw1.weight"]
        np.testing.assert_allclose(averaged.last[step].weights["pw1.weight"], mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("warmup", "shares"),
    [
        (0.0, (0.5 + 0.5 * math.cos(math.pi / 4), 0.5 + 0.5 * math.cos(math.pi * 3 / 4))),
        (0.5, (1.0, 0.25)),
        (100.0, (1.0, 0.5)),
    ],
)
def test_warm_up_takes_what_was_asked_for_and_no_more_than_half(
    warmup: float, shares: tuple[float, ...], squares: Path, tmp_path: Path
) -> None:
    """Two epochs of two batches: the rate of each epoch's second batch, as a share of the peak."""
    _, kept = trained(squares, tmp_path / "run", epochs=2, lr=0.004, warmup_epochs=warmup)
    assert [row["lr"] / 0.004 for row in kept.rows] == pytest.approx(list(shares))


def test_the_epochs_in_integers_come_down_once_more_from_a_hundredth_of_the_peak(squares: Path, tmp_path: Path) -> None:
    """Seven epochs of two batches in floats, one in integers."""
    _, kept = trained(squares, tmp_path / "run", epochs=7, lr=0.004, quantize=True)
    assert len(kept.rows) == 8
    assert kept.rows[-1]["lr"] == pytest.approx(0.004 * 0.01 * 0.5)


def test_blocks_near_the_image_learn_less(squares: Path, tmp_path: Path) -> None:
    """At the smallest decay there is, the first layer stays where it began; the row tells the classifier's rate."""
    start = MobileNet(expand(NETWORK))
    initialise(start, 3)
    _, kept = trained(squares, tmp_path / "run", epochs=2, lr=0.004, layer_decay=0.01, ema=0.0, seed=3)
    moved = {
        name: float(np.abs(array - start.state_dict()[name].numpy()).max())
        for name, array in kept.last[-1].weights.items()
    }
    assert moved["conv0.weight"] < 1e-6 < 1e-3 < moved["fc.weight"]
    assert kept.rows[0]["lr"] == pytest.approx(0.004)


def test_balance_weighs_the_loss_of_rare_classes(tmp_path: Path) -> None:
    """Of a network that says nothing yet each image's loss is log 3, whatever its weight: the weights' mean is 1."""
    data = make_squares(tmp_path / "data")
    for i in range(4, 12):
        (data / "train" / "0" / f"{i}.png").unlink()
    recipe = {"batch_size": 28, "epochs": 1, "lr": 1e-9, "opt": "sgd"}
    losses = {b: trained(data, tmp_path / b, balance=b, **recipe)[1].rows[0]["train_loss"] for b in ("none", "loss")}
    x, targets = images_of(open_dataset(data), "train")
    start = MobileNet(expand(NETWORK))
    initialise(start, 0)
    each = nn.functional.cross_entropy(start.train()(x), targets, reduction="none")
    weights = 28 / (3 * torch.bincount(targets).float())[targets]
    assert losses["none"] == pytest.approx(each.mean().item(), rel=1e-5)
    assert losses["loss"] == pytest.approx((each * weights).mean().item(), rel=1e-5)
    assert losses["loss"] != pytest.approx(losses["none"], rel=1e-4)


@pytest.mark.parametrize(("replicas", "used"), [(1, 1), (2, 2), (8, 3)])
def test_each_replica_has_two_images(tmp_path: Path, replicas: int, used: int) -> None:
    """Where there are fewer than a batch: 6."""
    data = make_squares(tmp_path / "data", 2, 2)
    run = small_run(data, tmp_path / "run", replicas=replicas)
    with Interrupts() as interrupts:
        assert len(prepare(open_dataset(data), run, Watch(), interrupts, Group()).replicas.modules) == used

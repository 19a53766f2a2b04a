"""Recipe, optimiser groups, learning rate."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import Network, expand
from mobilenets.arch.network import SHALLOW_BODY
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.schema import read
from mobilenets.training.device import resolve
from mobilenets.training.module import MobileNet
from mobilenets.training.optimiser import build_optimiser, learning_rate, parameter_groups
from mobilenets.training.recipe import EPOCHS, FINE_TUNING_LR, LAYER_DECAY, LEARNING_RATE, Recipe


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"opt": "adam"},
        {"lr": -1.0},
        {"lr": float("nan")},
        {"smoothing": 1.0},
        {"augment": 1.5},
        {"patience": 0},
        {"balance": "yes"},
        {"seed": -1},
        {"max_bad": 2},
        {"layer_decay": 0.0},
    ],
)
def test_values_that_no_run_can_have(bad: dict) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(bad))} \\(="):
        Recipe(**bad)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("epochs", 1, 100_000),
        ("batch_size", 2, 65_536),
        ("weight_decay", 0, 10),
        ("warmup_epochs", 0, 100_000),
        ("smoothing", 0, 0.9),
        ("ema", 0, 0.999999),
        ("max_bad", 0, 1),
        ("replicas", 0, 1024),
        ("workers", 0, 1024),
        ("seed", 0, 4_294_967_295),
        ("lr", 1e-9, 100),
        ("layer_decay", 0.01, 1),
        ("augment", 0, 1),
        ("patience", 1, 100_000),
    ],
)
def test_settings_are_taken_up_to_their_limits_and_not_beyond(name: str, low: float, high: float) -> None:
    """Whole numbers by one, others by the next float."""
    whole = isinstance(getattr(Recipe(), name), int) or name in ("epochs", "patience")
    for limit, direction in ((low, -1), (high, 1)):
        assert getattr(Recipe(**{name: limit}), name) == limit
        beyond = limit + direction if whole else math.nextafter(limit, direction * math.inf)
        with pytest.raises(UsageError, match=f"^{name} \\(="):
            Recipe(**{name: beyond})


def test_round_trip_and_unknown_settings() -> None:
    recipe = Recipe(epochs=7, lr=0.01)
    assert read(Recipe, recipe.to_dict(), "recipe") == recipe
    with pytest.raises(ModelFileError, match="recipe has the unknown field 'mixup'"):
        read(Recipe, {"mixup": 1}, "recipe")


def test_augmentation_grows_with_alpha() -> None:
    strengths = [Recipe().strength(alpha) for alpha in (0.1, 0.25, 0.5, 1.0, 2.0)]
    assert strengths == sorted(strengths) and strengths[0] < strengths[3] == strengths[4] == 1.0
    assert Recipe(augment=0.3).strength(1.0) == 0.3


def test_no_weight_decay_on_depthwise_batch_norm_and_bias() -> None:
    module = MobileNet(expand(Network(alpha=0.25, height=32, width=32, classes=3)))
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    decayed, rest = parameter_groups(module, 13, 0.1)
    decayed_names = [names[id(parameter)] for parameter in decayed["params"]]  # type: ignore[attr-defined]
    assert decayed_names == ["conv0.weight", *(f"pw{i}.weight" for i in range(1, 14)), "fc.weight"]
    assert decayed["weight_decay"] == 0.1 and rest["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(rest["params"]) == len(names)  # type: ignore[arg-type]


@pytest.mark.parametrize("opt", ["adamw", "sgd", "rmsprop"])
def test_every_optimiser_learns(opt: str) -> None:
    torch.manual_seed(0)
    module = MobileNet(expand(Network(alpha=0.25, height=32, width=32, classes=2)))
    optimiser = build_optimiser(module, 13, Recipe(opt=opt, batch_size=16).settled(0.25))  # type: ignore[arg-type]
    x, y = torch.randn(16, 3, 32, 32), torch.arange(16) % 2
    losses = []
    for _ in range(12):
        module.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@given(st.integers(1, 5000), st.floats(0, 0.5))
def test_learning_rate_rises_to_its_peak_then_falls_to_zero(steps: int, share: float) -> None:
    warmup = int(steps * share)
    rates = [learning_rate(step, steps, warmup, 1.0) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert max(rates) == 1.0


def test_resolve_leaves_nothing_to_the_machine() -> None:
    recipe = resolve(Recipe(device="cpu"), 0.5)
    assert recipe.replicas >= 1 and recipe.workers >= 1 and recipe.precision in ("fp32", "bf16")
    assert (recipe.lr, recipe.augment) == (LEARNING_RATE["adamw"], Recipe().strength(0.5))
    assert (recipe.epochs, recipe.layer_decay) == (EPOCHS[0], 1.0)
    assert resolve(recipe, 0.5) == recipe


def test_fine_tuning_is_shorter_and_gentler_most_of_all_near_the_image() -> None:
    scratch, tuned = (resolve(Recipe(batch_size=128), 0.5, tuned_on=images) for images in (0, 5000))
    assert tuned.epochs == EPOCHS[1] < EPOCHS[0] == scratch.epochs
    assert tuned.lr == pytest.approx(scratch.lr * FINE_TUNING_LR) and scratch.lr == pytest.approx(0.01 * 2**0.5)
    assert tuned.layer_decay == LAYER_DECAY
    own = Recipe(epochs=3, lr=0.5, layer_decay=0.3, augment=0.1)
    assert own.settled(0.5, tuned_on=100) == own == own.settled(0.5)


@pytest.mark.parametrize(
    ("images", "epochs", "factor"),
    [(5000, None, 1.0), (640, None, 1.0), (639, 10, 2.0), (600, 15, 200 / 150), (280, None, 2.0), (10, None, 2.0)],
)
def test_fine_tuning_in_few_steps_takes_a_larger_rate(images: int, epochs: int | None, factor: float) -> None:
    """Twice as large below 100 steps of a batch, as large as ever from 200 on; never from scratch. Views are weaker."""
    usual = LEARNING_RATE["adamw"] * FINE_TUNING_LR
    tuned = Recipe(epochs=epochs).settled(0.5, tuned_on=images)
    assert (tuned.lr, tuned.augment) == pytest.approx((usual * factor, 1.2 - 0.2 * factor))
    assert Recipe(epochs=epochs, augment=0.3).settled(0.5, tuned_on=images).augment == 0.3
    assert Recipe(epochs=epochs).settled(0.5).lr == LEARNING_RATE["adamw"]


def test_layer_decay_shrinks_with_every_block_below_the_classifier() -> None:
    module = MobileNet(expand(Network(alpha=0.25, height=32, width=32, classes=3, blocks=SHALLOW_BODY, head=64)))
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    scales = {
        names[id(parameter)]: group["scale"]
        for group in parameter_groups(module, len(SHALLOW_BODY), 0.1, layer_decay=0.5)
        for parameter in group["params"]
    }
    assert scales.keys() == set(names.values())
    assert scales["fc.weight"] == scales["fc.bias"] == 1.0
    assert scales["head.weight"] == scales["head_bn.bias"] == 0.5
    assert scales["pw8.weight"] == scales["dw8.weight"] == scales["dw8_bn.weight"] == 0.5
    assert scales["pw7.weight"] == 0.25 and scales["pw1_bn.bias"] == 0.5**8 and scales["conv0.weight"] == 0.5**9
    with pytest.raises(UsageError, match=r"device \(='gpu'\) must be auto, cpu, cuda, cuda:N or mps"):
        resolve(Recipe(device="gpu"), 0.5)
    with pytest.raises(UsageError, match="two images each"):
        resolve(Recipe(device="cpu", replicas=4, batch_size=6), 0.5)

"""The loss against torch's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy as reference

from mobilenets.arch import Network
from mobilenets.data.sources import Dataset
from mobilenets.errors import UsageError
from mobilenets.tasks.classify import Classify, class_weights, cross_entropy, generalised_cross_entropy
from mobilenets.training.recipe import Recipe

CPU = torch.device("cpu")


def test_plain_and_smoothed_are_torch_s() -> None:
    logits, labels = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    for smoothing in (0.0, 0.1):
        loss = cross_entropy(None, smoothing)
        torch.testing.assert_close(loss(logits, labels), reference(logits, labels, label_smoothing=smoothing))


def test_weighted_classes_count_the_same() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    loss = cross_entropy(torch.from_numpy(class_weights(labels, 2)), 0.0)
    target = torch.from_numpy(labels)
    logits = torch.zeros(12, 2)
    per_class = [loss(logits[target == c], target[target == c]).item() for c in (0, 1)]
    assert np.isclose(per_class[0] * 9, per_class[1] * 3)  # each class's sum over the data set
    assert np.isclose(loss(logits, target).item(), np.log(2))


def test_weights_are_scikit_learns_balanced_ones() -> None:
    labels = np.array([0] * 9 + [1] * 3 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights(labels, 3), expected, rtol=1e-6)


def test_shares_of_a_batch_add_up_to_the_batch() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    loss = cross_entropy(torch.from_numpy(class_weights(labels, 2)), 0.0)
    logits, target = torch.randn(12, 2, generator=torch.Generator().manual_seed(0)), torch.from_numpy(labels)
    parts = loss(logits[:5], target[:5]) * 5 / 12 + loss(logits[5:], target[5:]) * 7 / 12
    torch.testing.assert_close(parts, loss(logits, target))


def test_a_class_without_images_is_no_division_by_zero() -> None:
    loss = cross_entropy(torch.from_numpy(class_weights(np.array([0, 0, 2]), 3)), 0.0)
    assert torch.isfinite(loss(torch.zeros(3, 3), torch.tensor([0, 0, 2])))


def test_a_label_held_for_unlikely_pulls_less() -> None:
    """The gradient of the generalised cross-entropy is that of the cross-entropy times p^q."""
    logits = torch.tensor([[4.0, 0.0, -1.0]]).requires_grad_()
    for label in range(3):
        target = torch.tensor([label])
        (plain,) = torch.autograd.grad(cross_entropy(None, 0.0)(logits, target), logits)
        (robust,) = torch.autograd.grad(generalised_cross_entropy(None)(logits, target), logits)
        p = logits.softmax(1)[0, label].detach()
        torch.testing.assert_close(robust, plain * p**0.7)


def test_the_generalised_cross_entropy_is_the_published_formula() -> None:
    """(1 - p^0.7) / 0.7, times the class's weight: 0 at p = 1, and at most 1 / 0.7."""
    logits, labels = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    p = logits.double().softmax(1)[range(12), labels]
    value, weight = (1 - p**0.7) / 0.7, torch.tensor([1.0, 2.0, 0.5, 4.0])
    torch.testing.assert_close(generalised_cross_entropy(None)(logits, labels).double(), value.mean())
    weighted = (value * weight[labels]).mean()
    torch.testing.assert_close(generalised_cross_entropy(weight)(logits, labels).double(), weighted)
    sure = 1e4 * torch.eye(4)
    assert generalised_cross_entropy(None)(sure, torch.arange(4)) == 0
    assert generalised_cross_entropy(None)(sure, torch.arange(4).roll(1)).item() == np.float32(1 / 0.7)


def flowers() -> Dataset:
    return Dataset(Path("flowers"), ("daisy", "roses", "tulips"), {}, "", ())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balance", ["none", "loss"])
def test_weights_by_name_are_torch_s(balance: str, smoothing: float) -> None:
    """Over all images as torch has it, which divides by the weights of the batch instead of by its images."""
    labels = np.array([0] * 7 + [1] * 4 + [2] * 5)
    task, recipe = Classify(class_weight=("roses=2", "tulips=.5")), Recipe(balance=balance, smoothing=smoothing)
    objective = task.objective(labels, Network(classes=3), flowers(), recipe, CPU)
    weight = torch.tensor([1.0, 2.0, 0.5])
    if balance == "loss":
        weight = weight * torch.tensor([1 / 7, 1 / 4, 1 / 5])
    logits, target = torch.randn(16, 3, generator=torch.Generator().manual_seed(0)), torch.from_numpy(labels)
    wanted = reference(logits, target, weight, label_smoothing=smoothing)
    torch.testing.assert_close(objective.loss(logits, target), wanted)


def test_weights_by_name_that_cannot_be() -> None:
    for text in ("roses", "=2", "roses=", "roses=two", "roses=0", "roses=-1", "roses=inf", "roses=nan", "roses=1e9"):
        with pytest.raises(UsageError, match=r"must be NAME=WEIGHT with a weight from 0\.001 to 1000"):
            Classify(class_weight=(text,))
    with pytest.raises(UsageError, match="must name roses once"):
        Classify(class_weight=("roses=2", "roses=3"))
    with pytest.raises(UsageError, match="'rose' is not one of the classes: daisy, roses, tulips"):
        Classify(class_weight=("rose=2",)).for_training(flowers())
    assert Classify(class_weight=("a=b=2",)).named_weights == {"a=b": 2.0}

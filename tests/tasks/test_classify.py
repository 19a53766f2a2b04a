"""The loss against torch's own."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy as reference

from mobilenets.tasks.classify import cross_entropy

CPU = torch.device("cpu")


def test_plain_and_smoothed_are_torch_s() -> None:
    logits, labels = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    for smoothing in (0.0, 0.1):
        loss = cross_entropy(labels.numpy(), 4, smoothing, False, CPU)
        torch.testing.assert_close(loss(logits, labels), reference(logits, labels, label_smoothing=smoothing))


def test_weighted_classes_count_the_same() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    loss = cross_entropy(labels, 2, 0.0, True, CPU)
    target = torch.from_numpy(labels)
    logits = torch.zeros(12, 2)
    per_class = [loss(logits[target == c], target[target == c]).item() for c in (0, 1)]
    assert np.isclose(per_class[0] * 9, per_class[1] * 3)  # each class's sum over the data set
    assert np.isclose(loss(logits, target).item(), np.log(2))


def test_shares_of_a_batch_add_up_to_the_batch() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    loss = cross_entropy(labels, 2, 0.0, True, CPU)
    logits, target = torch.randn(12, 2, generator=torch.Generator().manual_seed(0)), torch.from_numpy(labels)
    parts = loss(logits[:5], target[:5]) * 5 / 12 + loss(logits[5:], target[5:]) * 7 / 12
    torch.testing.assert_close(parts, loss(logits, target))


def test_a_class_without_images_is_no_division_by_zero() -> None:
    loss = cross_entropy(np.array([0, 0, 2]), 3, 0.0, True, CPU)
    assert torch.isfinite(loss(torch.zeros(3, 3), torch.tensor([0, 0, 2])))

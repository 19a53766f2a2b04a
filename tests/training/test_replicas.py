"""Replicas against one plain module, and the batches they are fed."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mobilenets.arch import Network, expand
from mobilenets.data.augment import Augmentation, random_colours
from mobilenets.data.loader import Batch
from mobilenets.image import Preprocess, normalise
from mobilenets.tasks.task import Objective
from mobilenets.training.fused import fuse
from mobilenets.training.module import MobileNet, initialise
from mobilenets.training.replicas import Replicas, replica_count

MakeReplicas = Callable[..., Replicas]
NETWORK = Network(alpha=0.25, height=64, width=64, classes=4)
PREPROCESS = Preprocess(64, 64)
OBJECTIVE = Objective(cross_entropy)


def module() -> MobileNet:
    made = MobileNet(expand(NETWORK)).to(memory_format=torch.channels_last)
    initialise(made, 0)
    return made


def batch(n: int) -> Batch:
    rng = np.random.default_rng(0)
    return Batch(rng.integers(0, 256, (n, 64, 64, 3), np.uint8), rng.integers(0, 4, n))


@pytest.fixture
def replicas() -> Iterator[Callable[..., Replicas]]:
    """Makes `Replicas(module, count, bf16)`, and ends their threads after the test.

    The test itself runs on one thread, as they do: gradients through batch norm magnify another order of summation.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)
        yield lambda made, count, bf16=False: stack.enter_context(
            Replicas(made, count, PREPROCESS, torch.device("cpu"), bf16)
        )


def test_gradients_are_those_of_the_shares_taken_one_by_one(replicas: MakeReplicas) -> None:
    whole, plain, data = module(), module(), batch(25)
    engine = replicas(whole, 3)
    fuse(plain, bf16=False)
    loss = engine.gradients(data, OBJECTIVE)
    expected = 0.0
    for rows in np.array_split(np.arange(25), 3):
        x = engine.to_input(data.pixels[rows])
        part = cross_entropy(plain.train()(x), torch.from_numpy(data.targets[rows])) * len(rows) / 25
        part.backward()  # type: ignore[no-untyped-call]
        expected += part.item()
    assert abs(loss - expected) < 1e-6
    for ours, theirs in zip(whole.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_gradients_are_of_one_batch_alone(replicas: MakeReplicas) -> None:
    """Not added to those of the batch before."""
    made = module()
    engine, found = replicas(made, 2), []
    for _ in range(2):
        engine.gradients(batch(8), OBJECTIVE)
        found.append([parameter.grad.clone() for parameter in made.parameters() if parameter.grad is not None])
    assert found[0] and all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_running_statistics_are_averaged_and_shared(replicas: MakeReplicas) -> None:
    made = module()
    engine = replicas(made, 2)
    engine.gradients(batch(8), OBJECTIVE)
    means = [m.get_submodule("dw3_bn").running_mean for m in engine._modules]
    assert torch.equal(means[0], means[1]) and means[0].abs().sum() > 0  # type: ignore[arg-type, union-attr, operator]


def test_replicas_see_each_step_of_the_optimiser(replicas: MakeReplicas) -> None:
    made = module()
    engine = replicas(made, 2)
    with torch.no_grad():
        made.get_submodule("pw1").weight.add_(1.0)  # type: ignore[union-attr, operator]
    assert torch.equal(engine._modules[1].get_submodule("pw1").weight, made.get_submodule("pw1").weight)  # type: ignore[arg-type]


def test_the_same_batch_gives_the_same_bits(replicas: MakeReplicas) -> None:
    results = []
    for _ in range(2):
        made = module()
        engine = replicas(made, 2, bf16=True)
        engine.gradients(batch(16), OBJECTIVE)
        results.append([parameter.grad.clone() for parameter in made.parameters() if parameter.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_logits_do_not_depend_on_the_number_of_replicas(replicas: MakeReplicas) -> None:
    made, pixels = module(), batch(9).pixels
    answers = []
    for count in (1, 2, 4):
        engine = replicas(copy.deepcopy(made), count)
        answers.append(engine.outputs(engine.module, pixels))
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mean, std", [(127.5, 127.5), (0, 255), ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))])
def test_input_is_the_change_of_colour_then_image_normalise(mean: Any, std: Any) -> None:
    preprocess = Preprocess(PREPROCESS.height, PREPROCESS.width, mean=mean, std=std)
    pixels = batch(3).pixels
    engine = Replicas(module(), 1, preprocess, torch.device("cpu"), bf16=False)
    plain = normalise(pixels, preprocess)
    np.testing.assert_allclose(engine.to_input(pixels).permute(0, 2, 3, 1).numpy(), plain, rtol=1e-5, atol=1e-6)
    colour = random_colours(3, 3, Augmentation(1.0, True), np.random.default_rng(1))
    changed = (pixels / 127.5 - 1) * colour.gain[:, None, None, :] + colour.shift[:, None, None, :]  # in [-1, 1]
    changed = (127.5 * (changed + 1) - np.asarray(mean)) / np.asarray(std)
    got = engine.to_input(pixels, colour)
    np.testing.assert_allclose(got.permute(0, 2, 3, 1).numpy(), changed, rtol=1e-5, atol=1e-6)
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_one_replica_a_core_with_enough_images_each() -> None:
    assert [replica_count(2, 64), replica_count(16, 64), replica_count(4, 16), replica_count(1, 512)] == [2, 2, 1, 1]


def test_waiting_threads_sleep() -> None:
    """OpenMP's spin where another program has a core; said before torch is imported, and not over the user's word."""
    code = "import os, mobilenets.training.recipe; print(os.environ['OMP_WAIT_POLICY'])"
    plain = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for environment, policy in ((plain, "passive"), (plain | {"OMP_WAIT_POLICY": "active"}, "active")):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == policy

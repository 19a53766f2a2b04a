"""What training in integers computes is what the int8 network computes, and it learns."""

import numpy as np
import pytest
import torch

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Block, Network
from mobilenets.image import Preprocess, normalise
from mobilenets.quant import reference
from mobilenets.train.module import MobileNet, load_weights
from mobilenets.train.qat import attach, calibrated, more_epochs, to_model

TINY = Network(stem=8, blocks=(Block(1, 12), Block(2, 16)), height=32, width=40, classes=5)


def quantised(random_model, network: Network, **preprocess):  # type: ignore[no-untyped-def]
    """(module in integers, the int8 network, images, what the module takes of them)."""
    model = random_model(network)
    if preprocess:
        import dataclasses

        model = dataclasses.replace(model, preprocess=Preprocess(network.height, network.width, 3, **preprocess))
    shape = (6, network.height, network.width, network.channels)
    noise = np.random.default_rng(0).integers(0, 256, shape)
    images = (noise * np.linspace(0.1, 1, 6)[:, None, None, None]).astype(np.uint8)  # darker and lighter ones
    module = MobileNet(expand(network))
    load_weights(module, model.weights)
    activations, model = calibrated(model, images)
    load_weights(module, model.weights)
    attach(module, activations, model.preprocess)
    x = torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)
    return module, to_model(module, activations, model), images, x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("network", "preprocess"),
    [
        (TINY, {}),
        (TINY.replace(activation="relu6", padding="same", head=16), {"mean": 0.0, "std": 255.0}),
        (TINY.replace(channels=1, padding="keras"), {}),
        (TINY, {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}),
        (TINY.replace(convolution="full"), {}),
    ],
    ids=["relu", "relu6", "grey", "a mean for each channel", "full"],
)
def test_every_logit_is_that_of_the_int8_network(random_model, network, preprocess, training) -> None:
    module, integers, images, x = quantised(random_model, network, **preprocess)
    found = module.train(training)(x).detach().numpy()
    expected = integers.activations["fc"].real(reference.run(integers, images))
    assert (found == expected).all()
    assert len(np.unique(found)) > 10


def test_gradients_reach_every_parameter(random_model) -> None:
    module, _, _, x = quantised(random_model, TINY)
    module.train()(x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_gradients_are_nearly_those_of_the_float_network(random_model) -> None:
    """Of the float network with its batch norms frozen."""
    module, _, _, x = quantised(random_model, TINY)
    floats = MobileNet(expand(TINY))
    floats.load_state_dict(module.state_dict())
    for each in (module, floats.eval()):
        each(x)[:, 0].sum().backward()
    ours, theirs = (dict(m.named_parameters())["pw2.weight"].grad.flatten() for m in (module, floats))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.95
    assert ours.norm() == pytest.approx(float(theirs.norm()), rel=0.2)


def test_batch_norm_statistics_stay(random_model) -> None:
    module, _, _, x = quantised(random_model, TINY)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    module.train()(x)
    assert all((buffer == before[name]).all() for name, buffer in module.named_buffers())


def test_learning_in_integers_lowers_the_loss(random_model) -> None:
    module, _, _, x = quantised(random_model, TINY)
    targets = torch.arange(6) % 5
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(module.train()(x), targets)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_a_fifth_more_epochs_learn_in_integers() -> None:
    assert [more_epochs(epochs) for epochs in (1, 2, 5, 10, 100)] == [1, 1, 1, 2, 20]


@pytest.mark.slow
def test_a_run_ends_with_the_int8_model_that_it_validated(photos, tmp_path) -> None:
    from mobilenets.api import train_network
    from mobilenets.data.sources import open_dataset
    from mobilenets.image import prepare
    from mobilenets.quant.file import load
    from mobilenets.train.recipe import Recipe

    recipe = Recipe(epochs=3, batch_size=24, quantize=True, replicas=1)
    trained = train_network(photos, TINY.replace(width=32), recipe, runs=tmp_path)
    integers = load(trained.run / "best.int8.safetensors")
    val = open_dataset(photos).splits["val"]
    images = np.stack([prepare(sample.read(), integers.preprocess) for sample in val])
    found = reference.run(integers, images).argmax(axis=1)
    right = (found == [sample.target for sample in val]).mean()
    last = (trained.run / "results.csv").read_text().splitlines()[-1].split(",")
    header = (trained.run / "results.csv").read_text().splitlines()[0].split(",")
    assert right == pytest.approx(float(last[header.index("val_top1")]), abs=1e-5)
    assert trained.int8 is not None and trained.int8.integers.result.score == pytest.approx(right)
    assert "int8 beside float" in trained.report.read_text()


def test_what_cannot_be_meant_together_is_refused() -> None:
    from mobilenets.errors import UsageError
    from mobilenets.train.recipe import Recipe

    with pytest.raises(UsageError, match="leave out freeze and patience"):
        Recipe(quantize=True, patience=3)

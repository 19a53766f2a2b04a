"""torchvision's networks as a run trains them: their weights and dropout."""

import pytest
import torch

from mobilenets.training.peer_module import Dropout, number_dropouts, peer_module

X = torch.ones(4, 1000)


def mask(seed: int = 0, layer: int = 0, replica: int = 0, step: int = 0) -> torch.Tensor:
    dropout = Dropout(0.25, seed, layer)
    dropout.replica = replica
    dropout.num_batches_tracked.fill_(step)
    return dropout(X)


def test_dropout_drops_its_share() -> None:
    y = mask()
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float((y == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(Dropout(0.25, 0, 0).eval()(X), X)


def test_masks_are_a_function_of_seed_layer_replica_and_step() -> None:
    assert torch.equal(mask(), mask())
    others = [mask(seed=1), mask(layer=1), mask(replica=1), mask(step=1)]
    assert not any(torch.equal(one, other) for one in others for other in [mask(), *others] if one is not other)
    dropout = Dropout(0.25, 0, 0)
    dropout(X)
    assert torch.equal(dropout(X), mask(step=1))


def test_the_networks_are_torchvisions() -> None:
    """Equal weights for a seed, dropouts in their places, the global generator untouched."""
    torchvision = pytest.importorskip("torchvision")
    state = torch.get_rng_state()
    module = peer_module("squeezenet1_0", 3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(5)
        theirs = torchvision.models.squeezenet1_0(num_classes=3).state_dict()
    ours = {name: tensor for name, tensor in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    dropouts = [layer for layer in module.modules() if isinstance(layer, Dropout)]
    assert [(layer.p, layer.seed, layer.layer) for layer in dropouts] == [(0.5, 5, 0)]
    assert not any(isinstance(layer, torch.nn.Dropout) for layer in module.modules())
    number_dropouts([torch.nn.ReLU(), module])
    assert dropouts[0].replica == 1

"""AdamW against torch's own, every optimiser against its definition, the learning rate against its formula."""

import copy

import pytest
import torch
from torch import Tensor, nn

from mobilenets.arch import Network, expand
from mobilenets.training.module import MobileNet, initialise
from mobilenets.training.optimiser import AdamW, build_optimiser, learning_rate, parameter_groups
from mobilenets.training.recipe import Optimizer, Recipe


def test_adamw_is_torchs_bit_for_bit_also_when_it_goes_on_from_what_was_saved() -> None:
    ours = MobileNet(expand(Network(alpha=0.25, height=32, width=32, classes=3)))
    initialise(ours, 0)
    theirs = copy.deepcopy(ours)
    peer = torch.optim.AdamW(parameter_groups(theirs, 13, 0.05, 0.9), 0.01, fused=True)
    mine = AdamW(parameter_groups(ours, 13, 0.05, 0.9), 0.01)
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        if step == 3:
            saved = mine.state_dict()["state"]
            mine = AdamW(parameter_groups(ours, 13, 0.05, 0.9), 0.01)
            mine.load_state_dict({"state": saved})
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        for group in (*mine.param_groups, *peer.param_groups):
            group["lr"] = 0.01 / (1 + step) * group["scale"]
        mine.step()
        peer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    state = peer.state_dict()["state"]
    assert mine.state_dict()["state"].keys() == state.keys()
    for number, slot in mine.state_dict()["state"].items():
        assert all(torch.equal(value, state[number][key]) for key, value in slot.items())


def test_what_got_no_gradient_stays() -> None:
    moved, kept = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    moved.grad = torch.ones(2)
    optimiser = AdamW([{"params": [moved, kept], "weight_decay": 0.0}], 0.1)
    optimiser.step()
    assert moved[0] < 1 and torch.equal(kept, torch.ones(2)) and list(optimiser.state_dict()["state"]) == [0]


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    """Up over 4 steps of 12; after a quarter, half and three quarters of the rest cos is 1, 0 and -1 over root 2."""
    rates = [learning_rate(step, 12, 4, 2.0) for step in (0, 1, 3, 4, 6, 8, 10, 12)]
    assert rates == pytest.approx([0.5, 1.0, 2.0, 2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5, 0.0])


def test_without_warm_up_it_starts_at_its_peak_and_one_step_is_enough() -> None:
    assert learning_rate(0, 12, 0, 2.0) == 2.0
    assert learning_rate(0, 1, 0, 2.0) == 2.0 and learning_rate(0, 1, 1, 2.0) == 2.0


class Naive:
    """One parameter under each optimiser, from its definition; `decay` is the recipe's, 0 where there is none."""

    def __init__(self, decay: float) -> None:
        self.decay, self.mean, self.square, self.momentum, self.steps = decay, 0.0, 0.0, 0.0, 0

    def adamw(self, w: Tensor, g: Tensor, rate: float) -> Tensor:
        self.steps += 1
        self.mean, self.square = 0.9 * self.mean + 0.1 * g, 0.999 * self.square + 0.001 * g**2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return w * (1 - rate * self.decay) - rate * mean / (square**0.5 + 1e-8)

    def sgd(self, w: Tensor, g: Tensor, rate: float) -> Tensor:
        g = g + self.decay / 100 * w
        self.momentum = 0.9 * self.momentum + g
        return w - rate * (g + 0.9 * self.momentum)

    def rmsprop(self, w: Tensor, g: Tensor, rate: float) -> Tensor:
        g = g + self.decay / 100 * w
        self.square = 0.9 * self.square + 0.1 * g**2
        self.momentum = 0.9 * self.momentum + g / (self.square**0.5 + 1e-3)
        return w - rate * self.momentum


@pytest.mark.parametrize("opt", ["adamw", "sgd", "rmsprop"])
def test_three_steps_are_those_of_the_definition(opt: Optimizer) -> None:
    """Of a filter that decays and one that does not, far below the classifier, and of the classifier."""
    module = MobileNet(expand(Network(alpha=0.25, height=32, width=32, classes=3)))
    initialise(module, 0)
    optimiser = build_optimiser(module, 13, Recipe(opt=opt, lr=0.01, layer_decay=0.8, weight_decay=5.0))
    scales = {"pw12.weight": 0.8**2, "dw13.weight": 0.8, "fc.weight": 1.0}
    naive = {name: Naive(0.0 if name == "dw13.weight" else 5.0) for name in scales}
    expected = {name: module.get_parameter(name).detach().double() for name in scales}
    generator = torch.Generator().manual_seed(0)
    for step in range(3):
        rate = 0.01 / (1 + step)
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        optimiser.step()
        for name, w in expected.items():
            gradient = module.get_parameter(name).grad.double()  # type: ignore[union-attr]
            expected[name] = getattr(naive[name], opt)(w, gradient, rate * scales[name])
    for name, w in expected.items():
        torch.testing.assert_close(module.get_parameter(name).double(), w, rtol=1e-5, atol=1e-6)

"""AdamW against torch's own."""

import copy

import torch
from torch import nn

from mobilenets.arch import Network, expand
from mobilenets.train.module import MobileNet, initialise
from mobilenets.train.optimiser import AdamW, parameter_groups


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

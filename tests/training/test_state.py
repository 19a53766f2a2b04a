"""Averaged weights against a naive loop, and what a checkpoint keeps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mobilenets.errors import TrainingError
from mobilenets.training.optimiser import AdamW
from mobilenets.training.state import State


def made(ema: float = 0.9) -> State:
    """A layer and a batch norm, drawn from seed 0."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    groups = [{"params": list(module.parameters()), "weight_decay": 0.1}]
    return State(module, AdamW(groups, 0.1), ema)


def learn(state: State, steps: range) -> list[dict[str, Tensor]]:
    """Steps on noise, averaged; the module's arrays before the first and after each."""
    seen = [{name: array.clone() for name, array in state.module.state_dict().items()}]
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        state.module.zero_grad()
        state.module(torch.randn(4, 2, 5, 5, generator=generator)).square().sum().backward()
        state.optimiser.step()
        state.average(step)
        seen.append({name: array.clone() for name, array in state.module.state_dict().items()})
    return seen


@pytest.mark.parametrize(("ema", "decays"), [(0.15, (0.1, 0.15, 0.15)), (0.9, (1 / 10, 2 / 11, 3 / 12))])
def test_the_average_after_three_steps_is_that_of_a_naive_loop(ema: float, decays: tuple[float, ...]) -> None:
    """Of weights and of running statistics; the decay begins at a tenth and grows to the one that was asked for."""
    state = made(ema)
    first, *seen = learn(state, range(3))
    for name, array in state.averaged.state_dict().items():
        if array.is_floating_point():
            mean = first[name]
            for decay, new in zip(decays, seen, strict=True):
                mean = decay * mean + (1 - decay) * new[name]
            torch.testing.assert_close(array, mean)


def test_the_decay_grows_to_what_was_asked_for() -> None:
    state = made(0.9)
    before = state.averaged[0].weight.clone()  # type: ignore[index]
    with torch.no_grad():
        state.module[0].weight.add_(1.0)  # type: ignore[index, operator]
    state.average(10**6)
    torch.testing.assert_close(state.averaged[0].weight, before + 0.1)  # type: ignore[index]


def test_a_decay_of_0_switches_averaging_off() -> None:
    state = made(0.0)
    learn(state, range(2))
    for (name, ours), theirs in zip(state.averaged.named_parameters(), state.module.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_average_is_ready_to_be_evaluated_and_learns_nothing() -> None:
    state = made()
    assert state.module.training and not any(module.training for module in state.averaged.modules())
    assert not any(parameter.requires_grad for parameter in state.averaged.parameters())


def test_what_was_saved_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, cut, resumed = made(), made(), made()
    learn(whole, range(4))
    learn(cut, range(2))
    cut.progress.epoch, cut.progress.batch, cut.progress.best = 7, 3, (0.5, -0.25)
    cut.progress.history.append({"epoch": 7, "val_loss": 0.1})
    cut.save(tmp_path / "checkpoint")
    with torch.no_grad():
        for parameter in (*resumed.module.parameters(), *resumed.averaged.parameters()):
            parameter.zero_()
    resumed.load(tmp_path / "checkpoint")
    assert resumed.progress == cut.progress
    learn(resumed, range(2, 4))
    for ours, theirs in ((resumed.module, whole.module), (resumed.averaged, whole.averaged)):
        for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b), name


def test_optimiser_slots_come_back_in_the_order_in_memory_of_their_weights(tmp_path: Path) -> None:
    """A fused step walks weights, gradients and averages side by side, as they lie in memory."""
    state = made()
    state.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learn(state, range(1))
    state.save(tmp_path / "checkpoint")
    state.load(tmp_path / "checkpoint")
    weight, slots = state.module.get_parameter("0.weight"), state.optimiser.state_dict()["state"]
    assert slots[0]["exp_avg"].stride() == slots[0]["exp_avg_sq"].stride() == weight.stride()


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    state, path = made(), tmp_path / "file"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        state.load(path)
    state.save(path)
    other = State(nn.Conv2d(2, 3, 3), state.optimiser, 0.9)
    with pytest.raises(TrainingError, match="cannot be resumed"):
        other.load(path)

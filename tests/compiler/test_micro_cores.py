"""The engine for microcontrollers on emulated boards: the assembly, the intrinsics, the flags, what they need."""

from pathlib import Path

import pytest
from cortex import BOARDS, needs_boards, steps_that_differ
from int8_networks import images_for, random_integers
from test_micro_networks import NETWORKS

from mobilenets.arch.network import Block, Network

pytestmark = [needs_boards, pytest.mark.any_processor]

CASES = {
    **NETWORKS,
    "7x7": Network(0.5, 56, 56, blocks=(Block(2, 48), Block(1, 34), Block(2, 20), Block(1, 36)), padding="same"),
    "limited": Network(1.0, 48, 40, blocks=(Block(1, 12), Block(2, 18)), activation="relu6", classes=3),
}


@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("name", CASES)
def test_every_step_is_the_oracles(name: str, core: str, tmp_path: Path) -> None:
    model = random_integers(CASES[name], seed=6)
    assert steps_that_differ(model, core, images_for(model)[0], tmp_path) == []

"""Images that are kept in part: the rows that a step reads are there, and nothing lies over them."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_networks import random_integers
from test_micro_networks import networks

from mobilenets.arch.network import Network
from mobilenets.compiler.micro import CORES, plan_of
from mobilenets.compiler.micro.families import FAMILIES
from mobilenets.compiler.micro.lower import Step, steps_of
from mobilenets.compiler.micro.plan import Arena

pytestmark = pytest.mark.any_processor


def take_turns(steps: tuple[Step, ...], arena: Arena) -> None:
    """Count rows as kernels/run.c does."""
    done, first = [0] * len(steps), [0] * len(steps)

    def advance(i: int, until: int) -> None:
        step, kept = steps[i], arena.steps[i].kept
        while done[i] < until:
            y, rows = done[i], min(arena.steps[i].band, step.shape_out[0] - done[i])
            if i and arena.steps[i - 1].kept:
                wanted = min(
                    (y + rows - 1) * step.window.stride - step.window.top + step.window.kernel, step.shape_in[0]
                )
                advance(i - 1, wanted)
                assert first[i - 1] <= max(0, y * step.window.stride - step.window.top)
            if kept and y + rows - first[i] > kept:
                after = steps[i + 1].window
                first[i] = min(done[i + 1] * after.stride - after.top, y)
            assert not kept or 0 <= first[i] <= y <= y + rows <= first[i] + kept
            done[i] += rows

    for i, placed in enumerate(arena.steps):
        if not placed.kept:
            advance(i, steps[i].shape_out[0])


def check(network: Network, core: str) -> Arena:
    steps = steps_of(random_integers(network))
    arena = plan_of(steps, CORES[core])
    take_turns(steps, arena)
    turns = sum(placed.kept > 0 for placed in arena.steps)
    if turns:
        family, blocks = FAMILIES[CORES[core].kernels], []
        for step, placed in list(zip(steps, arena.steps, strict=True))[: turns + 1]:
            _, columns, outputs = step.shape_out
            blocks.append((placed.output, placed.output + (placed.kept or step.shape_out[0]) * columns * outputs))
            codes = (placed.scratch, placed.scratch + family.scratch(step, placed.band, placed.pitch))
            assert all(one[1] <= codes[0] or codes[1] <= one[0] for one in blocks)
            assert codes[1] <= arena.size
        assert all(one[1] <= other[0] or other[1] <= one[0] for one, other in combinations(blocks, 2))
    return arena


@settings(max_examples=10)
@given(networks, st.sampled_from(["riscv32", "cortex-m4", "cortex-m55"]))
def test_rows_are_there_when_they_are_read(network: Network, core: str) -> None:
    check(network, core)


def test_the_largest_images_never_exist() -> None:
    """48x48x16 takes 36,864 bytes."""
    arena = check(Network(0.25, 96, 96, classes=2, padding="same"), "cortex-m4")
    assert arena.size < 31_000

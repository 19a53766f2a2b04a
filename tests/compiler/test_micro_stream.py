"""Images that are kept in part: the rows that a step reads are there, and nothing lies over them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_micro_networks import networks

from mobilenets.arch.network import Network
from mobilenets.arch.zoo import named
from mobilenets.compiler.micro import CORES, plan_of
from mobilenets.compiler.micro.emit import strides
from mobilenets.compiler.micro.families import FAMILIES, Family
from mobilenets.compiler.micro.lower import Step
from mobilenets.compiler.micro.plan import Arena
from mobilenets.devices.steps import shape_steps

pytestmark = pytest.mark.any_processor


class Simulation:
    """Steps run as kernels/run.c runs them, on bytes that know what they hold; each read must find what it wants."""

    def __init__(self, steps: tuple[Step, ...], arena: Arena, family: Family) -> None:
        self.steps, self.arena, self.family = steps, arena, family
        self.memory = np.full((arena.size, 2), -1)  # the image, and the number of its code
        self.done, self.first = [0] * len(steps), [0] * len(steps)

    def run(self) -> None:
        for i, (step, placed) in enumerate(zip(self.steps, self.arena.steps, strict=True)):
            assert placed.scratch + self.family.scratch(step, placed.band, placed.pitch) <= self.arena.size
            if not placed.kept:
                self.advance(i, step.shape_out[0])

    def rows(self, i: int, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Where these rows of image `i` lie, and what they hold."""
        _, w, c = self.steps[i].shape_out
        row, pixel, plane, _ = strides(i, self.steps, self.arena, self.family)
        offsets = np.add.outer(np.add.outer(np.arange(begin, end) * row, np.arange(w) * pixel), np.arange(c) * plane)
        codes = np.arange(begin * w * c, end * w * c).reshape(offsets.shape)
        at = offsets - self.first[i] * row + self.arena.steps[i].output
        return at, np.stack([np.full(at.shape, i), codes], -1)

    def read(self, i: int, begin: int, end: int) -> None:
        at, held = self.rows(i, begin, end)
        assert self.first[i] <= begin and (self.memory[at] == held).all()

    def make_room(self, i: int, begin: int) -> None:
        """Move the rows of image `i` from `begin` on to where it begins."""
        kept = self.memory[self.rows(i, begin, self.done[i])[0]]
        self.first[i] = begin
        self.memory[self.rows(i, begin, self.done[i])[0]] = kept

    def advance(self, i: int, until: int) -> None:
        step, placed, window = self.steps[i], self.arena.steps[i], self.steps[i].window
        while self.done[i] < until:
            y, end = self.done[i], min(self.done[i] + placed.band, step.shape_out[0])
            first, last = max(0, y * window.stride - window.top), (end - 1) * window.stride - window.top + window.kernel
            first, last = (0, step.shape_in[0]) if step.gather == "pool" else (first, min(last, step.shape_in[0]))
            if i and self.arena.steps[i - 1].kept:
                self.advance(i - 1, last)
            if placed.kept and end - self.first[i] > placed.kept:
                after = self.steps[i + 1].window
                self.make_room(i, min(self.done[i + 1] * after.stride - after.top, y))
                assert end - self.first[i] <= placed.kept
            if i:
                self.read(step.gate[0] if step.gate else i - 1, first, last)
            if step.gate:
                self.read(step.gate[1], 0, 1)
            self.memory[placed.scratch : placed.scratch + self.family.scratch(step, placed.band, placed.pitch)] = -1
            if i + 1 < len(self.steps):  # the logits are the caller's
                at, held = self.rows(i, y, end)
                self.memory[at] = held
            if step.sum:
                self.read(step.sum.writer, y, end)
            self.done[i] = end


def check(network: Network, core: str) -> Arena:
    steps = shape_steps(network)
    arena = plan_of(steps, CORES[core])
    Simulation(steps, arena, FAMILIES[CORES[core].kernels]).run()
    return arena


@settings(max_examples=10)
@given(networks, st.sampled_from(["riscv32", "cortex-m4", "cortex-m55"]))
def test_rows_are_there_when_they_are_read(network: Network, core: str) -> None:
    check(network, core)


def test_the_largest_images_never_exist() -> None:
    """48x48x16 takes 36,864 bytes."""
    arena = check(Network(0.25, 96, 96, classes=2, padding="same"), "cortex-m4")
    assert arena.size < 31_000


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize(
    "name", ["v2-0.35-96", "v2-0.1-64", "v3-small-0.5-64", "v3-large-0.35-64", "v4-conv-small-0.35-64"]
)
def test_inverted_residual_blocks(name: str, core: str) -> None:
    check(named(name).replace(classes=5), core)


def test_expanded_images_never_exist() -> None:
    """The second block expands 48x48x16 to 48x48x48: 110,592 bytes; the third takes 24x24x8 and 24x24x48."""
    arena = check(named("v2-0.35-96").replace(classes=2, padding="same"), "cortex-m4")
    assert arena.size < 24 * 24 * (8 + 48)

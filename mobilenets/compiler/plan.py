"""Where each buffer lies in the arena: two that are alive at the same step never overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from .program import Buffer, Step

__all__ = ["Arena", "plan"]

ALIGNMENT = 16  # floats


@dataclass(frozen=True, slots=True)
class Arena:
    """Offsets by buffer name and sizes, in floats. Each part of a step has `scratch` floats of its own, at the end."""

    offsets: dict[str, int]
    buffers: int  # floats of all buffers; scratch begins there
    scratch: int

    def floats(self, parts: int) -> int:
        return self.buffers + parts * self.scratch


def plan(steps: Sequence[Step]) -> Arena:
    """Greedy by size: the largest buffer first, each at the lowest place that is free while it lives."""
    lives = _lives(steps)
    placed: list[tuple[int, int, int, int]] = []  # begin, end, first step, last step
    offsets: dict[str, int] = {}
    for buffer in sorted(lives, key=lambda b: (-b.floats, b.name)):
        first, last = lives[buffer]
        size = _aligned(buffer.floats)
        at = 0
        for begin, end, others_first, others_last in sorted(placed):
            if others_first <= last and first <= others_last and at + size > begin and at < end:
                at = end
        placed.append((at, at + size, first, last))
        offsets[buffer.name] = at
    scratch = max(_aligned(step.scratch) for step in steps)
    return Arena(offsets, max((end for _, end, _, _ in placed), default=0), scratch)


def _lives(steps: Sequence[Step]) -> dict[Buffer, tuple[int, int]]:
    """Buffer -> the step that writes it and the last that reads it. Of size 0: the caller's."""
    lives: dict[Buffer, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for buffer in (step.input, step.output):
            if buffer.floats:
                lives[buffer] = (lives.get(buffer, (number, number))[0], number)
    return lives


def _aligned(floats: int) -> int:
    return -(-floats // ALIGNMENT) * ALIGNMENT

"""Where each buffer lies in the arena: two that are alive at the same step never overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from .program import Buffer, Step

__all__ = ["Arena", "aligned", "lives", "plan"]

ALIGNMENT = 16  # floats


@dataclass(frozen=True, slots=True)
class Arena:
    """Offsets by name, in floats: of buffers, and of steps' scratch, where the parts' lie one behind the other."""

    offsets: dict[str, int]
    scratch: dict[str, int]
    one: int  # floats in all for a single part
    more: int  # floats for each part more

    def floats(self, parts: int) -> int:
        return self.one + (parts - 1) * self.more


def plan(steps: Sequence[Step]) -> Arena:
    """Greedy by size: the largest buffer first, each at the lowest place that is free while it lives.

    A step's scratch lies behind all that is alive then: any number of parts has room there.
    """
    living = lives(steps)
    placed: list[tuple[int, int, int, int]] = []  # begin, end, first step, last step
    offsets: dict[str, int] = {}
    for buffer in sorted(living, key=lambda b: (-b.floats, b.name)):
        first, last = living[buffer]
        size = aligned(buffer.floats)
        at = 0
        for begin, end, others_first, others_last in sorted(placed):
            if others_first <= last and first <= others_last and at + size > begin and at < end:
                at = end
        placed.append((at, at + size, first, last))
        offsets[buffer.name] = at
    ends = [
        max((end for _, end, first, last in placed if first <= number <= last), default=0)
        for number in range(len(steps))
    ]
    return Arena(
        offsets,
        {step.name: end for step, end in zip(steps, ends, strict=True) if step.scratch},
        max(end + aligned(step.scratch) for step, end in zip(steps, ends, strict=True)),
        max(aligned(step.scratch) for step in steps),
    )


def lives(steps: Sequence[Step]) -> dict[Buffer, tuple[int, int]]:
    """Buffer -> the step that writes it and the last that reads it. Of size 0: the caller's."""
    found: dict[Buffer, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for buffer in (step.input, step.output):
            if buffer.floats:
                found[buffer] = (found.get(buffer, (number, number))[0], number)
    return found


def aligned(floats: int) -> int:
    return -(-floats // ALIGNMENT) * ALIGNMENT

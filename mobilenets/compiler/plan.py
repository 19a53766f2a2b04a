"""Where each buffer lies in the arena: two that are alive at the same step never overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .program import Step, aligned

__all__ = ["Arena", "plan"]


@dataclass(frozen=True, slots=True)
class Arena:
    """Offsets by name, in bytes: of buffers, and of each step's scratch for part 0; other parts' lies behind `one`."""

    offsets: dict[str, int]
    scratch: dict[str, int]
    one: int  # bytes in all for a single part
    more: int  # bytes for each part more

    def size(self, parts: int) -> int:
        """Bytes."""
        return self.one + (parts - 1) * self.more


def plan(steps: Sequence[Step]) -> Arena:
    """In turn, one buffer lies at the beginning of the arena and the next at its end, the step's scratch between them.

    Each step reads what the one before it wrote, so that only these two are alive: no plan of the steps takes less.
    """
    assert all(before.output == after.input for before, after in pairwise(steps))
    one = max(aligned(s.input.size) + aligned(s.scratch) + aligned(s.output.size) for s in steps)
    offsets, scratch = {}, {}
    for number, step in enumerate(steps):
        first = step.input if number % 2 else step.output  # the one at the beginning
        offsets[step.output.name] = one - aligned(step.output.size) if number % 2 else 0
        scratch[step.name] = aligned(first.size)
    return Arena(offsets, scratch, one, max(aligned(step.scratch) for step in steps))

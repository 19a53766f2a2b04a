"""Plan the arena: two buffers that are alive at the same step never overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .program import Step, aligned

__all__ = ["Arena", "plan"]


@dataclass(frozen=True, slots=True)
class Arena:
    """Offsets in bytes by name: of buffers, and of the scratch of each step for part 0.

    The scratch of other parts lies behind the first `one` bytes.
    """

    offsets: dict[str, int]
    scratch: dict[str, int]
    one: int  # bytes in all for a single part
    more: int  # bytes for each further part

    def size(self, parts: int) -> int:
        """Return the bytes for `parts` parts."""
        return self.one + (parts - 1) * self.more


@dataclass(frozen=True, slots=True)
class _Block:
    """Bytes that are alive from step `first` to step `last`: a buffer, or the scratch of a step."""

    name: str
    size: int
    first: int
    last: int


def plan(steps: Sequence[Step[Any]]) -> Arena:
    """Return the smaller of two plans: buffers at both ends of the arena in turn, or the largest first.

    The first is optimal for a chain, where only the input and the output of a step are alive. A step that works in
    place writes to a buffer that exists already.
    """
    buffers, scratch = _lives(steps)
    bound = max(sum(b.size for b in (*buffers, *scratch) if b.first <= n <= b.last) for n in range(len(steps)))
    plans = (_at_both_ends(buffers, scratch, bound), _largest_first(buffers, scratch))
    places = min(plans, key=lambda places: _end((*buffers, *scratch), places))
    of_steps = {step.name: places.get(f"{step.name} scratch", 0) for step in steps}
    one = _end((*buffers, *scratch), places)
    return Arena(places, of_steps, one, max(aligned(step.scratch) for step in steps))


def _lives(steps: Sequence[Step[Any]]) -> tuple[list[_Block], list[_Block]]:
    """Return the buffers in the order in which they are written, and the scratch of steps."""
    spans: dict[str, tuple[int, int, int]] = {}  # size, first, last
    for number, step in enumerate(steps):
        for buffer in (step.input, step.output):
            if buffer.size:
                _, first, _ = spans.get(buffer.name, (0, number, number))
                spans[buffer.name] = aligned(buffer.size), first, number
    scratch = [
        _Block(f"{step.name} scratch", aligned(step.scratch), number, number)
        for number, step in enumerate(steps)
        if step.scratch
    ]
    return [_Block(name, *span) for name, span in spans.items()], scratch


def _at_both_ends(buffers: Iterable[_Block], scratch: Iterable[_Block], bound: int) -> dict[str, int]:
    """Place what an even step writes as low as it can be, what an odd one does as high as it can below `bound`."""
    places: dict[str, int] = {}
    placed: list[_Block] = []
    for block in buffers:
        gaps = _gaps(block, placed, places)
        low = next(begin for begin, end in gaps if end - begin >= block.size)
        high = [min(end, bound) - block.size for begin, end in gaps if min(end, bound) - begin >= block.size]
        places[block.name] = high[-1] if block.first % 2 and high else low
        placed.append(block)
    return _lowest(scratch, placed, places)


def _largest_first(buffers: Iterable[_Block], scratch: Iterable[_Block]) -> dict[str, int]:
    return _lowest(sorted((*buffers, *scratch), key=lambda block: (-block.size, block.first, block.name)), [], {})


def _lowest(blocks: Iterable[_Block], placed: list[_Block], places: dict[str, int]) -> dict[str, int]:
    """Place each block as low as it can be beside those that are `placed`."""
    for block in blocks:
        gaps = _gaps(block, placed, places)
        places[block.name] = next(begin for begin, end in gaps if end - begin >= block.size)
        placed.append(block)
    return places


def _gaps(block: _Block, placed: Iterable[_Block], places: dict[str, int]) -> list[tuple[int, int]]:
    """Return the free ranges of bytes while `block` is alive, the lowest first; the last has no end that matters."""
    taken = sorted((places[b.name], b.size) for b in placed if b.first <= block.last and block.first <= b.last)
    gaps, begin = [], 0
    for start, size in taken:
        if start > begin:
            gaps.append((begin, start))
        begin = max(begin, start + size)
    return [*gaps, (begin, begin + (1 << 62))]


def _end(blocks: Iterable[_Block], places: dict[str, int]) -> int:
    return max((places[block.name] + block.size for block in blocks), default=0)

"""Plan the arena where some images are kept in part: some rows of each, which the next step is about to read.

The steps of a group take turns: each computes as many rows as the next one needs for a band. Nothing is computed twice.
The first steps are a group, so that the largest images never exist as a whole; so are the steps of an inverted residual
block, whose expanded image is the largest of the block.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..program import Window
from .families import Family
from .lower import Step
from .plan import LEAST, WORD, Arena, Move, Placed, bands, padded

__all__ = ["plan_of"]

MOST = 4  # images that are kept in part at the beginning
BACK = 4  # steps from a gated image to what reads it: pool, two products, and the gate itself

Group = Sequence[Step]


def plan_of(steps: Sequence[Step], family: Family) -> Arena:
    """Return the plan with the smallest arena; the image is the caller's, and so are the logits."""
    images = min(_whole(step, number) for number, step in enumerate(steps))
    plans = [_plan(steps, family, kept) for kept in range(min(images, len(steps) - 2) + 1)]
    arena = min(plans, key=lambda plan: plan.size)
    return replace(arena, size=arena.size + WORD)  # kernels read whole words


def _plan(steps: Sequence[Step], family: Family, kept: int) -> Arena:
    """Return the plan where the first `kept` images are kept in part, and expanded ones."""
    groups = _groups(steps, kept)

    def scratch(number: int, band: int, pixels: int) -> int:
        group = groups[number]
        own = [family.scratch(step, *_band(step)) for step in group[:-1]]
        return sum(_sizes(group, band)) + max(*own, family.scratch(group[-1], band, pixels), 0)

    moves = [_first(groups[0][-1]), *map(_move, groups[1:])]
    moves[-1] = replace(moves[-1], row_out=0)
    arena = bands(moves, scratch, [_band(step)[1] for group in groups for step in group[:-1]])
    placed = zip(groups, arena.steps, strict=True)
    return Arena(tuple(place for group, move in placed for place in _places(group, move)), arena.size)


def _groups(steps: Sequence[Step], kept: int) -> list[Group]:
    """Return the steps divided into the first ones, those that read an earlier image with all that come between, those
    that expand with the next one, and all others alone.
    """
    groups, number = [steps[: kept + 1]], kept + 1
    ends = {_begin(steps, step, kept): at for at, step in enumerate(steps) if step.sum or step.gate}
    while number < len(steps):
        end = ends.get(number, number)
        if end == number and number + 2 < len(steps) and number + 1 not in ends and _expands(steps[number]):
            end += prod(steps[number].shape_out) > prod(steps[number + 1].shape_out)
        groups.append(steps[number : end + 1])
        number = end + 1
    return groups


def _begin(steps: Sequence[Step], step: Step, kept: int) -> int:
    """Return the first step of the group that ends with `step`, which adds an earlier image or gates one."""
    if step.sum:
        return step.sum.writer + 1
    assert step.gate is not None
    gated = step.gate[0]
    return gated - 1 if gated - 1 > kept and _expands(steps[gated - 1]) else gated


def _whole(step: Step, number: int) -> int:
    """Return how many images may be kept in part at the beginning, so that step `number` finds what it reads."""
    pooled = [number - 1] if step.gather == "pool" else []
    added = [step.sum.writer] if step.sum else []
    gated = [step.gate[0] - 1] if step.gate else []
    return min([MOST, *pooled, *added, *gated])


def _expands(step: Step) -> bool:
    return step.gather != "pool" and prod(step.shape_out) > prod(step.shape_in)


def _places(group: Group, move: Placed) -> list[Placed]:
    """Return the places of the steps that take turns, of which planning knows where the first reads and the last
    writes.
    """
    sizes, rows = _sizes(group, move.band), _rows(group, move.band)
    starts = [move.scratch + sum(sizes[:number]) for number in range(len(group))]
    inputs, codes = [move.input, *starts[:-1]], starts[-1]
    found = [
        Placed(input, output, codes, *_band(step), kept if kept < step.shape_out[0] else 0)
        for step, input, output, kept in zip(group[:-1], inputs, starts, rows, strict=False)
    ]
    return [*found, replace(move, input=starts[-BACK] if group[-1].gate else inputs[-1], scratch=codes)]


def _band(step: Step) -> tuple[int, int]:
    """Return the rows and the pixels of a band of a step whose image is kept in part."""
    rows, columns, _ = step.shape_out
    band = min(LEAST, rows)
    return band, band * columns


def _rows(group: Group, last: int) -> list[int]:
    """Return the rows that are kept of each image but the last: what the next band reads, and all but one of a band."""
    reading = [*(_band(step)[0] for step in group[1:-1]), last]
    return [
        step.shape_out[0]
        if after.gather == "pool"
        else min(step.shape_out[0], (band - 1) * after.window.stride + after.window.kernel + _band(step)[0] - 1)
        for step, after, band in zip(group, group[1:], reading, strict=False)
    ]


def _sizes(group: Group, last: int) -> list[int]:
    """Return the bytes of those rows."""
    rows = _rows(group, last)
    return [padded(n * step.shape_out[1] * step.shape_out[2]) for n, step in zip(rows, group, strict=False)]


def _first(step: Step) -> Move:
    rows, columns, outputs = step.shape_out
    return Move(0, 0, rows, columns * outputs, Window(), False, columns)


def _move(group: Group) -> Move:
    first, last = group[0], group[-1]
    h, w, c = first.shape_in
    rows, columns, outputs = last.shape_out
    whole = first.gather == "pool"
    behind = tuple((step.window, step.shape_in[0]) for step in group[1:])
    return Move(h, w * c, rows, columns * outputs, first.window, whole, columns, behind, last.sum is not None)

"""Plan the arena where the first images are kept in part: some rows of each, which the next step is about to read.

The first steps then take turns: each computes as many rows as the next one needs for a band. Nothing is computed twice,
and the largest images never exist as a whole.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..program import Window
from .families import Family
from .lower import Step
from .plan import LEAST, WORD, Arena, Move, Placed, bands, padded

__all__ = ["plan_of"]

MOST = 4  # images that are kept in part


def plan_of(steps: Sequence[Step], family: Family) -> Arena:
    """Return the plan with the smallest arena; the image is the caller's, and so are the logits."""
    images = min(MOST, len(steps) - 2)
    plans = [_plan(steps, family, kept) for kept in range(images + 1)]
    arena = min(plans, key=lambda plan: plan.size)
    return replace(arena, size=arena.size + WORD)  # kernels read whole words


def _plan(steps: Sequence[Step], family: Family, kept: int) -> Arena:
    """Return the plan where the first `kept` images are kept in part."""
    turns = steps[: kept + 1]

    def scratch(number: int, band: int, pixels: int) -> int:
        if number:
            return family.scratch(steps[number + kept], band, pixels)
        own = [family.scratch(step, *_band(step)) for step in turns[:-1]]
        return sum(_sizes(turns, band)) + max(*own, family.scratch(turns[-1], band, pixels), 0)

    moves = [_first(turns[-1])]
    moves += [_move(step, number == len(steps) - 1) for number, step in enumerate(steps) if number > kept]
    arena = bands(moves, scratch, [_band(step)[1] for step in turns[:-1]])
    return Arena((*_places(turns, arena.steps[0]), *arena.steps[1:]), arena.size)


def _places(turns: Sequence[Step], last: Placed) -> list[Placed]:
    """Return the places of the steps that take turns, of which planning knows the last."""
    sizes, rows = _sizes(turns, last.band), _rows(turns, last.band)
    starts = [last.scratch + sum(sizes[:number]) for number in range(len(turns))]
    inputs, codes = [0, *starts[:-1]], starts[-1]
    found = [
        Placed(input, output, codes, *_band(step), kept)
        for step, input, output, kept in zip(turns[:-1], inputs, starts, rows, strict=False)
    ]
    return [*found, replace(last, input=inputs[-1], scratch=codes)]


def _band(step: Step) -> tuple[int, int]:
    """Return the rows and the pixels of a band of a step whose image is kept in part."""
    rows, columns, _ = step.shape_out
    band = min(LEAST, rows)
    return band, band * columns


def _rows(turns: Sequence[Step], last: int) -> list[int]:
    """Return the rows that are kept of each image but the last: what the next band reads, and all but one of a band."""
    reading = [*(_band(step)[0] for step in turns[1:-1]), last]
    return [
        min(step.shape_out[0], (band - 1) * after.window.stride + after.window.kernel + _band(step)[0] - 1)
        for step, after, band in zip(turns, turns[1:], reading, strict=False)
    ]


def _sizes(turns: Sequence[Step], last: int) -> list[int]:
    """Return the bytes of those rows."""
    rows = _rows(turns, last)
    return [padded(n * step.shape_out[1] * step.shape_out[2]) for n, step in zip(rows, turns, strict=False)]


def _first(step: Step) -> Move:
    rows, columns, outputs = step.shape_out
    return Move(0, 0, rows, columns * outputs, Window(), False, columns)


def _move(step: Step, last: bool) -> Move:
    h, w, c = step.shape_in
    rows, columns, outputs = step.shape_out
    return Move(h, w * c, rows, 0 if last else columns * outputs, step.window, step.gather == "pool", columns)

"""Plan the arena of a microcontroller: each move writes its image over the one that it reads, some rows at a time.

A move is a step, or several whose images in between are kept in part. It computes its output in bands of rows. The rows
of the input that no later band reads are free, so the output may lie over them: `clearance` works out how far below the
input it has to begin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from ..program import Window

__all__ = ["WORD", "Arena", "Move", "Placed", "bands", "clearance", "padded", "place"]

WORD = 4  # bytes, to which all images and scratch are aligned
PIXELS = 256  # of a band, where more rows at a time gain nothing
SPARE = 0.03  # of the arena, for fewer kernels
LEAST = 2  # rows of a band: a depthwise convolution reads four rows of its input for two of its output


@dataclass(frozen=True, slots=True)
class Move:
    """What planning needs to know of a move: rows and bytes of a row of input and output; 0 where the caller's own."""

    rows_in: int
    row_in: int
    rows_out: int
    row_out: int
    window: Window
    whole: bool  # whether one band reads all of the input
    width: int  # pixels in a row of the output
    behind: tuple[tuple[Window, int], ...] = ()  # the windows of further steps, and the rows that each reads from
    added: bool = False  # whether each band adds its rows of the input to its output, after it has written them

    @property
    def bytes_in(self) -> int:
        """Return the bytes of the input in the arena."""
        return padded(self.rows_in * self.row_in)

    @property
    def bytes_out(self) -> int:
        """Return the bytes of the output in the arena."""
        return padded(self.rows_out * self.row_out)

    def unread(self, end: int, band: int) -> int:
        """Return the first row of the input that is still to be read once `end` rows have been written, or when the
        last band of them is about to be.
        """
        if self.added and end >= self.rows_out:
            return end - band
        needed = end
        for window, rows in reversed(self.behind):
            needed = max(1, min(rows, (needed - 1) * window.stride - window.top + window.kernel))
        first = max(0, needed * self.window.stride - self.window.top)
        return min(first, end - band) if self.added else first


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a step finds its input, its output and its scratch, in bytes; the rows of a band; pixels in scratch."""

    input: int
    output: int
    scratch: int
    band: int
    pitch: int
    kept: int = 0  # rows of the output that are kept; 0: all


@dataclass(frozen=True, slots=True)
class Arena:
    """The places of all steps, and the bytes of the arena."""

    steps: tuple[Placed, ...]
    size: int


Scratch = Callable[[int, int, int], int]  # the number of a step, the rows and the pixels of its band -> bytes


def padded(size: int) -> int:
    """Return `size` rounded up to whole words."""
    return -(-size // WORD) * WORD


def clearance(move: Move, band: int) -> int | None:
    """Return the bytes that the input must begin above the output; negative: it may begin below. None: anywhere."""
    ends = [*range(band, move.rows_out, band), *([move.rows_out] if move.added else [])]
    found = [
        end * move.row_out - unread * move.row_in for end in ends if (unread := move.unread(end, band)) < move.rows_in
    ]
    return padded(max(found)) if found and move.row_in and move.row_out else None


def bands(moves: Sequence[Move], scratch: Scratch, others: Sequence[int] = ()) -> Arena:
    """Return the plan with the smallest arena, and in it as many rows of a band as gain anything.

    Then few different numbers of pixels, those of `others` included, since each needs a kernel of assembly.
    """
    chosen = [move.rows_out if move.whole else min(LEAST, move.rows_out) for move in moves]
    pixels = [band * move.width for band, move in zip(chosen, moves, strict=True)]
    best = place(moves, chosen, pixels, scratch)
    assert best is not None
    for number, move in enumerate(moves):
        for band in _larger(move, chosen[number]):
            tried, wide = [*chosen], [*pixels]
            tried[number], wide[number] = band, band * move.width
            if arena := place(moves, tried, wide, scratch, best.size):
                chosen, pixels, best = tried, wide, arena
                break
    most = int(best.size * (1 + SPARE))
    for few in sorted({*pixels} - {1, max({*pixels, *others})}):
        more = min(other for other in (*pixels, *others) if other > few)
        wide = [more if other == few else other for other in pixels]
        if arena := place(moves, chosen, wide, scratch, most):
            pixels, best = wide, arena
    return best


def _larger(move: Move, band: int) -> list[int]:
    """Return numbers of rows above `band` that make equal bands, the largest first."""
    most = min(move.rows_out, PIXELS // move.width)
    return [rows for rows in range(most, band, -1) if move.rows_out % rows == 0]


def place(
    moves: Sequence[Move], chosen: Sequence[int], pixels: Sequence[int], scratch: Scratch, most: int | None = None
) -> Arena | None:
    """Return the smallest arena for bands of `chosen` rows with scratch for so many pixels, each output over its input
    or above it; None where it has more than `most` bytes.
    """
    free = [clearance(move, band) for move, band in zip(moves, chosen, strict=True)]
    needed = [padded(scratch(number, *band)) for number, band in enumerate(zip(chosen, pixels, strict=True))]
    sizes = [(move.bytes_in, move.bytes_out) for move in moves]
    reach = _reach(free)

    @cache
    def rest(number: int, input: int) -> tuple[int, tuple[Placed, ...]] | None:
        """Return the bytes and the places from step `number` on, whose input begins at `input`."""
        if number == len(moves):
            return 0, ()
        (size_in, size_out), clear, best = sizes[number], free[number], None
        end = input + size_in
        wanted = {offset for offset in reach[number + 1] if clear is None or offset <= input - clear or offset >= end}
        for output in sorted({*wanted, end}):
            low, high = _ends(input, size_in, output, size_out)
            at = 0 if low >= needed[number] else high
            own = max(high, at + needed[number])
            if (most is not None and own > most) or (best and own >= best[0]):
                continue
            behind = rest(number + 1, output)
            if behind and (best is None or max(own, behind[0]) < best[0]):
                placed = Placed(input, output, at, chosen[number], pixels[number])
                best = max(own, behind[0]), (placed, *behind[1])
        return best

    found = rest(0, 0)
    return found and Arena(found[1], found[0])


def _ends(input: int, size_in: int, output: int, size_out: int) -> tuple[int, int]:
    """Return where the first of two images that are not empty begins, and where the last ends."""
    if not (size_in and size_out):
        return (input, input + size_in) if size_in else (output, output + size_out) if size_out else (0, 0)
    return min(input, output), max(input + size_in, output + size_out)


def _reach(free: Sequence[int | None]) -> list[set[int]]:
    """Return, for each image, the offsets from which some number of steps in place come down to 0."""
    reach: list[set[int]] = [{0}]
    for clear in reversed(free):
        reach.insert(0, {0} if clear is None else {0, *(max(0, offset + clear) for offset in reach[0])})
    return reach

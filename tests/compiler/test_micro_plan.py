"""The arena of a microcontroller against a simulation of every read and write, and against all other plans."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.compiler.micro.plan import WORD, Arena, Move, bands, padded, place
from mobilenets.compiler.program import Window

sides = st.integers(1, 12)


@st.composite
def chains(draw: st.DrawFn, most: int = 5) -> list[Move]:
    """Steps that hand on images; the first reads an image of the caller's, the last may write one."""
    moves: list[Move] = []
    rows, columns, row = draw(sides), draw(sides), 0
    for number in range(count := draw(st.integers(1, most))):
        stride, kernel, whole = draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 3, 5])), False
        top = draw(st.integers(0, kernel // 2))
        after = max(1, -(-rows // stride) - draw(st.integers(0, 1)))
        wide = max(1, -(-columns // stride))
        if number == count - 1 and draw(st.booleans()):
            whole, after, wide, stride, top, kernel = True, 1, 1, 1, 0, 1
        row_out = 0 if whole else wide * draw(st.integers(1, 9))
        moves.append(Move(rows, row, after, row_out, Window(kernel, stride, top, 0), whole, wide))
        rows, columns, row = after, wide, row_out
    return moves


def simulate(moves: list[Move], arena: Arena, needed: list[int]) -> None:
    """Run all steps on bytes that know what they hold; each read must find what it wants."""
    memory = np.full((arena.size, 2), -1)  # image, byte of it
    for number, (move, placed) in enumerate(zip(moves, arena.steps, strict=True)):
        for y in range(0, move.rows_out, placed.band):
            end = min(y + placed.band, move.rows_out)
            memory[placed.scratch : placed.scratch + needed[number]] = -1
            window = move.window
            first = 0 if move.whole else max(0, y * window.stride - window.top)
            last = move.rows_in if move.whole else (end - 1) * window.stride - window.top + window.kernel
            for at in range(first * move.row_in, min(last, move.rows_in) * move.row_in):
                assert tuple(memory[placed.input + at]) == (number, at)
            for at in range(y * move.row_out, end * move.row_out):
                assert placed.output + at < arena.size
                memory[placed.output + at] = number + 1, at
            assert placed.scratch + needed[number] <= arena.size
            assert placed.scratch % WORD == placed.input % WORD == placed.output % WORD == 0


@given(chains(), st.data())
def test_every_read_finds_what_was_written(moves: list[Move], data: st.DataObject) -> None:
    bytes_of_a_pixel = data.draw(st.lists(st.integers(0, 9), min_size=len(moves), max_size=len(moves)))
    arena = bands(moves, lambda number, band, pixels: pixels * bytes_of_a_pixel[number])
    simulate(moves, arena, [each * placed.pitch for each, placed in zip(bytes_of_a_pixel, arena.steps, strict=True)])
    for move, placed in zip(moves, arena.steps, strict=True):
        assert placed.pitch >= placed.band * move.width


@settings(max_examples=40)
@given(chains(most=3), st.integers(1, 3))
def test_no_plan_without_scratch_is_smaller(moves: list[Move], band: int) -> None:
    chosen = [min(band, move.rows_out) for move in moves]
    arena = place(moves, chosen, chosen, lambda number, band, pixels: 0)
    assert arena is not None
    simulate(moves, arena, [0] * len(moves))
    sizes = [move.bytes_out for move in moves]
    for offsets in product(*(range(0, max(1, arena.size - size), WORD) for size in sizes)):
        if max(at + size for at, size in zip(offsets, sizes, strict=True)) < arena.size:
            assert not all(fits(moves[i], chosen[i], offsets[i - 1], offsets[i]) for i in range(1, len(moves)))


def fits(move: Move, band: int, input: int, output: int) -> bool:
    """Return whether no row of the input is written over before it has been read."""
    for end in range(band, move.rows_out, band):
        unread = max(0, end * move.window.stride - move.window.top)
        left = range(input + unread * move.row_in, input + move.rows_in * move.row_in)
        if left and not (output + end * move.row_out <= left.start or output >= left.stop):
            return False
    return True


def test_vww() -> None:
    """48x48x8 -> 48x48x16 in the bytes of its output, two rows of codes beside it."""
    move = Move(48, 48 * 8, 48, 48 * 16, Window(3, 1, 1, 1), False, 48)
    first = Move(96, 0, 48, 48 * 8, Window(3, 2, 0, 0), False, 48)
    arena = bands([first, move], lambda number, band, pixels: 16 * pixels)
    assert arena.size == 48 * 48 * 16 + padded(2 * 48 * 16)

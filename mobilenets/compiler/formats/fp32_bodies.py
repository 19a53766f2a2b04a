"""The C of steps in fp32, and of those in bf16 whose kernels take the same arguments."""

from dataclasses import dataclass
from typing import Any

from ..program import Element, Kind, Step
from .format import Body, bordered, call, parted, row_groups

__all__ = [
    "BODIES",
    "Blocks",
    "add",
    "dense",
    "depthwise_any",
    "depthwise_rows",
    "expanded",
    "fully_connected",
    "multiply",
    "projected",
]


def _image(step: Step[Any]) -> list[str]:
    b = step.output
    return bordered(step, call("image", "in", b.width, b.channels, "out", "first", "last"), pixel="image_border")


def _conv(step: Step[Any]) -> list[str]:
    a, b, w, t = step.input, step.output, step.window, step.tile
    read = ("in", a.width, a.channels, step.depth, w.stride, w.down, w.right, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, "first", "last")
    return bordered(step, call(f"conv{t.vector}", t.mr, t.nr, *read, *written))


def _separable(step: Step[Any]) -> list[str]:
    a, b, t = step.input, step.output, step.tile
    read = ("scratch", a.channels, step.depth, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, f"y * {b.width}", f"end * {b.width}")
    product = call(f"pointwise{t.vector}", t.mr, t.nr, *read, *written)
    return bordered(step, *row_groups(step, depthwise_rows(step), product))


def depthwise_rows(step: Step[Any]) -> str:
    """Return the call that writes rows y to end of the depthwise convolution to scratch, as floats."""
    a, b, w = step.input, step.output, step.window
    if step.kind.op == "separable_any":
        return depthwise_any(step, ("y", "end"), "scratch", b.width * a.channels)
    read = ("in", a.width, a.channels, w.stride, w.down, w.right, "dw", "dw_bias", step.limits[0])
    t = step.tile
    return call(f"depthwise{t.lanes}", t.dw_mr, t.dw_nr, *read, "scratch", b.width, "y", "end")


def depthwise_any(step: Step[Any], rows: tuple[str, str], *written: object) -> str:
    """Return the call of the kernel for windows of any size; `written`: where to, and the elements from row to row."""
    a, w, lanes = step.input, step.window, step.tile.lanes
    read = ("in", a.height, a.width, a.channels, w.kernel, w.stride, w.top, w.left, "dw", "dw_bias", step.limits[0])
    return call(f"{_prefix(step)}depthwise_any{lanes}", *read, *written, step.output.width, *rows)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The part of a step that only a depthwise convolution block by block reads; its scratch, in numbers."""

    number: Element  # of a block
    channels: int  # of the depthwise convolution, padded to blocks
    depth: int  # of the expansion, 0 without one
    high: int  # rows of a block
    step: int  # from block to block, 0 where they lie in one place
    blocks: int  # where blocks begin, behind the pixels that the expansion reads
    rows: int  # where the rows of the output begin that a projection reads
    numbers: int


def expanded(step: Step[Blocks], deep: int, product: str) -> list[str]:
    """Return lines that compute a depthwise convolution block by block, and behind an expansion `product` as well.

    `deep`: the elements of a pixel that a tile of the expansion takes.
    """
    a, b, w, t, own = step.input, step.output, step.window, step.tile, step.own
    ex = ("ex", "ex_bias", step.limits[0]) if own.depth else ("NULL", "NULL", -1)
    read = ("in", a.height, a.width, a.channels, own.depth, w.stride, w.top, w.left, *ex)
    taps = ("dw", "dw_bias", step.limits[own.depth > 0], own.channels)
    flat, blocks = "scratch" if own.depth else "NULL", f"({own.number} *)scratch + {own.blocks}"
    kept = (flat, blocks, own.high, own.step, "y > first" if own.step else 0)
    row = (b.width + 2) * b.channels
    written: tuple[object, ...] = (f"out + (y + 1) * {row} + {b.channels}", row, b.channels)
    if own.depth:
        written = (projected(step), b.width * own.channels, own.channels)
    tile = (w.kernel, t.ex_mr, t.dw_nr, t.dw_mr, deep)
    depthwise = call(f"expanded{t.lanes}", *tile, *read, *taps, *kept, *written, b.width, "y", "end")
    return bordered(step, *row_groups(step, depthwise, *([product] if own.depth else [])))


def projected(step: Step[Blocks]) -> str:
    """Return where the rows lie that the projection of an expanded block reads."""
    return f"({step.input.element} *)(({step.own.number} *)scratch + {step.own.rows})"


def _expanded(step: Step[Blocks]) -> list[str]:
    b, t = step.output, step.tile
    read = (projected(step), step.own.channels, step.depth, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, f"y * {b.width}", f"end * {b.width}")
    return expanded(step, 0, call(f"pointwise{t.vector}", t.mr, t.nr, *read, *written))


def _pointwise(step: Step[Any]) -> list[str]:
    a, b, t = step.input, step.output, step.tile
    read = ("scratch", a.channels, step.depth, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, f"y * {b.width}", f"end * {b.width}")
    rows = call("rows", "in", a.width, a.pixel, "scratch", "y", "end")
    return bordered(step, *row_groups(step, rows, call(f"pointwise{t.vector}", t.mr, t.nr, *read, *written)))


def dense(step: Step[Any]) -> list[str]:
    return _panels(step, "dense", step.limits[-1])


def fully_connected(step: Step[Any]) -> list[str]:
    return _panels(step, "fully_connected")


def _panels(step: Step[Any], name: str, *limit: int) -> list[str]:
    t, panel = step.tile, step.tile.nr * step.tile.vector
    read = ("in", step.depth, "w", "bias", *limit)
    written = ("out", f"first * {panel}", f"last * {panel}")
    return parted(step, call(f"{_prefix(step)}{name}{t.vector}", t.nr, *read, *written))


def add(step: Step[Any]) -> list[str]:
    return _in_place(step, "add", step.limits[-1])


def multiply(step: Step[Any]) -> list[str]:
    return _in_place(step, "scale")


def _in_place(step: Step[Any], name: str, *limit: int) -> list[str]:
    b = step.output
    written = (b.width, b.channels, *limit, "out", "first", "last")
    return parted(step, call(f"{_prefix(step)}{name}{step.tile.vector}", "in", *written))


def _prefix(step: Step[Any]) -> str:
    """Return the prefix of the kernels that read the step's element."""
    return "bf16_" if step.input.element == "uint16_t" else ""


def _pool(step: Step[Any]) -> list[str]:
    a = step.input
    return [f"if (part == 0) {call('pool', 'in', a.height, a.width, a.channels, 'out')}"]


def _output(step: Step[Any]) -> list[str]:
    return [f"if (part == 0) {call(step.kind.op, 'in', step.depth, 'out')}"]


_VECTORS = ("vectors", "activate")
_BLOCKS = ("elements", "expansion", "expand")
BODIES: dict[Kind, Body] = {
    Kind("image"): Body(("border", "image"), _image),
    Kind("conv"): Body(("border", *_VECTORS, "tile", "conv"), _conv),
    Kind("separable"): Body(("border", *_VECTORS, "tile", "depthwise", "pointwise"), _separable),
    Kind("separable_any"): Body(("border", *_VECTORS, "tile", "depthwise_any", "pointwise"), _separable),
    Kind("depthwise"): Body(("border", *_VECTORS, "tile", "rows", *_BLOCKS), _expanded),
    Kind("expanded"): Body(("border", *_VECTORS, "tile", "rows", *_BLOCKS, "pointwise"), _expanded),
    Kind("pointwise"): Body(("border", *_VECTORS, "tile", "rows", "pointwise"), _pointwise),
    Kind("dense"): Body((*_VECTORS, "tile", "dense"), dense),
    Kind("add"): Body((*_VECTORS, "elementwise"), add),
    Kind("multiply"): Body((*_VECTORS, "elementwise"), multiply),
    Kind("pool"): Body(("pool",), _pool),
    Kind("fully_connected"): Body((*_VECTORS, "tile", "fully_connected"), fully_connected),
    Kind("softmax"): Body(("exponential", "softmax"), _output),
    Kind("sigmoid"): Body(("exponential", "sigmoid"), _output),
    Kind("l2_normalise"): Body(("l2_normalise",), _output),
}

"""The C of steps in bf16, and of separable steps in bf16x3 and bf16x6."""

from dataclasses import dataclass
from typing import Any

from ..program import SIZES, Kind, Step
from .format import Body, bordered, call, row_groups
from .fp32_bodies import add, dense, depthwise_alone, depthwise_any, depthwise_rows, fully_connected, multiply

__all__ = ["BF16_BODIES", "SPLIT_BODIES", "Pairs"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The part of a separable step that only these formats read."""

    parts: int  # bf16 that make a number
    pixel: int  # elements from pixel to pixel of the rows in scratch


def _image(step: Step[Any]) -> list[str]:
    b = step.output
    written = (b.height, b.width, b.channels, "out", "first", "last")
    return bordered(step, call("bf16_image", "in", *written), pixel="image_border")


def _conv(step: Step[Any]) -> list[str]:
    a, b, w, t = step.input, step.output, step.window, step.tile
    read = ("in", a.width, a.channels, w.stride, w.down, w.right, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, "first", "last")
    return bordered(step, call(f"bf16_conv{t.vector}", t.mr, t.nr, *read, *written))


def _separable(step: Step[Pairs]) -> list[str]:
    a, b, w, pixel = step.input, step.output, step.window, step.own.pixel
    read = ("in", a.width, a.channels, w.stride, w.down, w.right, "dw", "dw_bias", step.limits[0])
    depthwise = call(f"bf16_depthwise{step.tile.lanes}", *read, "scratch", pixel, b.width, "y", "end")
    if step.kind.op == "separable_any":
        depthwise = depthwise_any(step, ("y", "end"), "scratch", b.width * pixel, pixel)
    return bordered(step, *row_groups(step, depthwise, _product(step, "scratch")))


def _split_separable(step: Step[Pairs]) -> list[str]:
    """Return lines that write the floats of the depthwise convolution to scratch, and their parts behind them."""
    a, b, own = step.input, step.output, step.own
    read, written = ("scratch", a.channels, f"(end - y) * {b.width}"), (own.parts, "rows", own.pixel, _part(step))
    parts = call(f"bf16_split{step.tile.lanes}", *read, *written)
    return [
        f"uint16_t *rows = (uint16_t *)((float *)scratch + {step.tile.rows * b.width * a.channels});",
        *bordered(step, *row_groups(step, depthwise_rows(step), parts, _product(step, "rows"))),
    ]


def _part(step: Step[Pairs]) -> int:
    """Return the elements from one part of the rows in scratch to the next."""
    return step.tile.rows * step.output.width * step.own.pixel


def _product(step: Step[Pairs], codes: str) -> str:
    a, b, t, own = step.input, step.output, step.tile, step.own
    deep = max(deep for deep in range(2, 33, 2) if a.channels % deep == 0)
    read = (codes, own.pixel, _part(step), a.channels)
    weights = ("w", a.channels * b.channels, own.parts, "bias", step.limits[-1])
    written = ("out", SIZES[b.element], b.width, b.channels, f"y * {b.width}", f"end * {b.width}")
    if step.kind.tiled:
        return call(f"bf16_pointwise_tiles{t.vector}", t.nr, *read, deep, *weights, *written)
    return call(f"bf16_pointwise{t.vector}", t.mr, t.nr, *read, *weights, *written)


def _depthwise(step: Step[Any]) -> list[str]:
    return depthwise_alone(step, step.output.channels)


def _pointwise(step: Step[Any]) -> list[str]:
    a, b, t = step.input, step.output, step.tile
    read = ("row", a.channels, 0, a.channels, "w", 0, 1, "bias", step.limits[-1])
    written = ("out", SIZES[b.element], b.width, b.channels, f"y * {b.width}", f"(y + 1) * {b.width}")
    return bordered(
        step,
        "for (int y = first; y < last; y++) {",
        f"    const uint16_t *row = in + ((y + 1) * {a.width + 2} + 1) * {a.channels};",
        f"    {call(f'bf16_pointwise{t.vector}', t.mr, t.nr, *read, *written)}",
        "}",
    )


def _pool(step: Step[Any]) -> list[str]:
    a, name = step.input, f"bf16_pool{step.tile.vector}"
    return [f"if (part == 0) {call(name, 'in', a.height, a.width, a.channels, 'out')}"]


_VECTORS = ("intrinsics", "vectors", "activate", "bf16_dot", "bf16_vectors")
_PRODUCT = (*_VECTORS, "tile", "bf16_tile")
_TILES = (*_PRODUCT, "tiles", "bf16_pointwise_tiles")

BF16_BODIES = {
    Kind("image", "bf16"): Body(("border", "bf16_image"), _image),
    Kind("conv", "bf16"): Body(("border", *_PRODUCT, "bf16_conv"), _conv),
    Kind("separable", "bf16"): Body(("border", *_PRODUCT, "bf16_depthwise", "bf16_pointwise"), _separable),
    Kind("separable", "bf16", True): Body(("border", *_TILES, "bf16_depthwise"), _separable),
    Kind("separable_any", "bf16"): Body(("border", *_PRODUCT, "bf16_depthwise_any", "bf16_pointwise"), _separable),
    Kind("separable_any", "bf16", True): Body(("border", *_TILES, "bf16_depthwise_any"), _separable),
    Kind("depthwise", "bf16"): Body(("border", *_VECTORS, "bf16_depthwise_any"), _depthwise),
    Kind("pointwise", "bf16"): Body(("border", *_PRODUCT, "bf16_pointwise"), _pointwise),
    Kind("dense", "bf16"): Body((*_PRODUCT, "bf16_dense"), dense),
    Kind("add", "bf16"): Body((*_VECTORS, "bf16_elementwise"), add),
    Kind("multiply", "bf16"): Body((*_VECTORS, "bf16_elementwise"), multiply),
    Kind("pool", "bf16"): Body((*_VECTORS, "bf16_pool"), _pool),
    Kind("fully_connected", "bf16"): Body((*_PRODUCT, "bf16_fully_connected"), fully_connected),
}
SPLIT_BODIES = {
    Kind("separable", "split"): Body(
        ("border", *_PRODUCT, "depthwise", "bf16_split", "bf16_pointwise"), _split_separable
    ),
    Kind("separable", "split", True): Body(("border", *_TILES, "depthwise", "bf16_split"), _split_separable),
    Kind("separable_any", "split"): Body(
        ("border", *_PRODUCT, "depthwise_any", "bf16_split", "bf16_pointwise"), _split_separable
    ),
    Kind("separable_any", "split", True): Body(("border", *_TILES, "depthwise_any", "bf16_split"), _split_separable),
}

"""The C of steps in bf16, and of separable steps in bf16x3 and bf16x6."""

from dataclasses import dataclass
from typing import Any

from ..program import SIZES, Kind, Step
from .format import Body, bordered, call, row_groups
from .fp32_bodies import (
    Blocks,
    add,
    dense,
    depthwise_any,
    depthwise_rows,
    expanded,
    fully_connected,
    multiply,
    projected,
)

__all__ = ["BF16_BODIES", "SPLIT_BODIES", "Pairs"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The part of a step that multiplies what lies in scratch, which only these formats read."""

    parts: int  # bf16 that make a number
    pixel: int  # elements from pixel to pixel in scratch
    depth: int  # elements of a pixel


def _image(step: Step[Any]) -> list[str]:
    b = step.output
    written = (b.height, b.width, b.channels, "out", "first", "last")
    return bordered(step, call("bf16_image", "in", *written), pixel="image_border")


def _conv(step: Step[Any]) -> list[str]:
    a, b, w, t = step.input, step.output, step.window, step.tile
    read = ("in", a.width, a.channels, w.stride, w.down, w.right, "w", "bias", step.limits[-1])
    written = ("out", b.width, b.channels, "first", "last")
    return bordered(step, call(f"bf16_conv{t.vector}", t.mr, t.nr, *read, *written))


def _patches(step: Step[Pairs]) -> list[str]:
    """Return lines that copy the windows of a full convolution to scratch, which are the pixels of a product."""
    a, w = step.input, step.window
    read = ("in", a.width, a.channels, w.stride, w.down, w.right)
    patches = call("bf16_patches", *read, "scratch", step.output.width, "y", "end")
    return bordered(step, *row_groups(step, patches, _product(step, "scratch", step.own)))


def _separable(step: Step[Pairs]) -> list[str]:
    a, b, w, pixel = step.input, step.output, step.window, step.own.pixel
    read = ("in", a.width, a.channels, w.stride, w.down, w.right, "dw", "dw_bias", step.limits[0])
    depthwise = call(f"bf16_depthwise{step.tile.lanes}", *read, "scratch", pixel, b.width, "y", "end")
    if step.kind.op == "separable_any":
        depthwise = depthwise_any(step, ("y", "end"), "scratch", b.width * pixel, pixel)
    return bordered(step, *row_groups(step, depthwise, _product(step, "scratch", step.own)))


def _split_separable(step: Step[Pairs]) -> list[str]:
    """Return lines that write the floats of the depthwise convolution to scratch, and their parts behind them."""
    a, b, own = step.input, step.output, step.own
    read, written = ("scratch", a.channels, f"(end - y) * {b.width}"), (own.parts, "rows", own.pixel, _part(step, own))
    parts = call(f"bf16_split{step.tile.lanes}", *read, *written)
    return [
        f"uint16_t *rows = (uint16_t *)((float *)scratch + {step.tile.rows * b.width * a.channels});",
        *bordered(step, *row_groups(step, depthwise_rows(step), parts, _product(step, "rows", own))),
    ]


def _part(step: Step[Any], own: Pairs) -> int:
    """Return the elements from one part of the rows in scratch to the next."""
    return step.tile.rows * step.output.width * own.pixel


def _product(step: Step[Any], pixels: str, own: Pairs) -> str:
    """Return the call of the product of rows y to end, whose pixels lie in scratch."""
    b, t = step.output, step.tile
    row = (b.width + 2) * b.channels
    read = (pixels, own.pixel, _part(step, own), own.depth)
    weights = ("w", own.depth * b.channels, own.parts, "bias", step.limits[-1])
    written = (f"out + {row + b.channels}", SIZES[b.element], b.width, row, b.channels)
    ends = (f"y * {b.width}", f"end * {b.width}")
    if step.kind.tiled:
        return call(f"bf16_pointwise_tiles{t.vector}", t.nr, *read, _deep(own.depth), *weights, *written, *ends)
    return call(f"bf16_pointwise{t.vector}", t.mr, t.nr, *read, *weights, *written, *ends)


def _deep(depth: int) -> int:
    """Return the elements of a pixel that a tile takes."""
    return max(deep for deep in range(2, 33, 2) if depth % deep == 0)


def _expanded(step: Step[Blocks]) -> list[str]:
    rows = Pairs(1, step.own.channels, step.own.channels)
    return expanded(step, _deep(step.input.channels), _product(step, projected(step), rows))


def _pointwise(step: Step[Pairs]) -> list[str]:
    a = step.input
    rows = call("rows", "in", a.width, a.pixel, "scratch", "y", "end")
    return bordered(step, *row_groups(step, rows, _product(step, "scratch", step.own)))


def _pool(step: Step[Any]) -> list[str]:
    a, name = step.input, f"bf16_pool{step.tile.vector}"
    return [f"if (part == 0) {call(name, 'in', a.height, a.width, a.channels, 'out')}"]


_VECTORS = ("intrinsics", "vectors", "activate", "bf16_dot", "bf16_vectors")
_PRODUCT = (*_VECTORS, "tile", "bf16_tile")
_TILES = (*_PRODUCT, "tiles", "bf16_pointwise_tiles")
_EXPAND = ("border", "rows", "bf16_elements", "bf16_pointwise", "bf16_expansion", "expand")
_EXPAND_TILES = ("border", "rows", "bf16_elements", "bf16_expansion_tiles", "expand")

BF16_BODIES = {
    Kind("image", "bf16"): Body(("border", "bf16_image"), _image),
    Kind("conv", "bf16"): Body(("border", *_PRODUCT, "bf16_conv"), _conv),
    Kind("conv", "bf16", True): Body(("border", *_TILES, "bf16_patches"), _patches),
    Kind("separable", "bf16"): Body(("border", *_PRODUCT, "bf16_depthwise", "bf16_pointwise"), _separable),
    Kind("separable", "bf16", True): Body(("border", *_TILES, "bf16_depthwise"), _separable),
    Kind("separable_any", "bf16"): Body(("border", *_PRODUCT, "bf16_depthwise_any", "bf16_pointwise"), _separable),
    Kind("separable_any", "bf16", True): Body(("border", *_TILES, "bf16_depthwise_any"), _separable),
    Kind("depthwise", "bf16"): Body((*_PRODUCT, *_EXPAND), _expanded),
    Kind("depthwise", "bf16", True): Body((*_TILES, *_EXPAND_TILES), _expanded),
    Kind("expanded", "bf16"): Body((*_PRODUCT, *_EXPAND), _expanded),
    Kind("expanded", "bf16", True): Body((*_TILES, *_EXPAND_TILES), _expanded),
    Kind("pointwise", "bf16"): Body(("border", *_PRODUCT, "rows", "bf16_pointwise"), _pointwise),
    Kind("pointwise", "bf16", True): Body(("border", *_TILES, "rows"), _pointwise),
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

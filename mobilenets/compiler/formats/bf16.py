"""The format bf16, and the formats bf16x3 and bf16x6: floats whose pointwise products are computed in bf16.

bf16: images and weights are bf16, sums and biases float. bf16x3 and bf16x6: images are float. A float is the sum of 2
or 3 bf16, and of the products of these parts the 3 or 6 largest are added up (the relative error is about 1e-5 of the
terms of a sum, and that of float). Steps other than separable ones are those of fp32.
"""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ...arch.layers import Layer
from ...arch.ops import OPS, OUTPUTS, Op
from ...arrays import Floats, Halves
from ..program import SIZES, Buffer, Constant, Kind, Step
from ..targets import ALL_BF16_TARGETS
from .bf16_bodies import BF16_BODIES, SPLIT_BODIES, Pairs
from .format import Body, add_constants, change_tile, padded
from .fp32 import Fp32, consumer_of, pack_bias
from .fp32_bodies import Blocks

__all__ = ["Bf16", "Bf16x3", "Bf16x6", "Halves", "deinterleaved", "pack_pairs", "rounded", "split", "widened"]


TILE = 16  # pixels, of AMX
FLOAT, HALF = SIZES["float"], SIZES["uint16_t"]


def rounded(array: Floats) -> Halves:
    """Return the upper half of each float32, rounded to the nearest, to even where two are as near."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widened(array: Halves) -> Floats:
    """Return the float32 that bf16 stand for."""
    return (array.astype(np.uint32) << 16).view(np.float32)


BF16 = consumer_of("bf16")


class _Pairs(Fp32):
    """The common base of these formats: they multiply pairs of bf16, in tiles where there is AMX."""

    targets = ALL_BF16_TARGETS
    consumer = BF16
    parts: ClassVar[int]  # bf16 that a number is the sum of

    @property
    def tiles(self) -> bool:
        """Return whether AMX multiplies."""
        return "amx_bf16" in self.target.features

    def panel_of_pairs(self, channels: int) -> tuple[int, int]:
        """Return a panel as in fp32, of channels that are pairs of vectors; for AMX of one vector or two."""
        vector, nr = self.panel_of(max(channels, 8))
        if self.tiles:
            return vector, 1 if -(-channels // vector) in (1, 3, 5) else 2
        return vector, 2 if vector == 4 else nr

    def separable(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        """Return a step whose depthwise rows lie in scratch as bf16, or as floats and the parts of each."""
        stored = step.input.channels
        pixel = stored + (32 if self.tiles and stored * HALF % 1024 == 0 else 0)  # else tiles use few sets of the cache
        step = self.in_scratch(self.depthwise_tile(step), pixel, stored)
        return self.product_of_pairs(self.taps(step, group[0]), group[-1])

    def in_scratch(self, step: Step[Any], pixel: int, depth: int) -> Step[Pairs]:
        """Return the step with the tile of a product of so many elements, which lie `pixel` apart in scratch."""
        width = step.output.width
        row = width * (HALF * self.parts * pixel + (FLOAT * depth if self.parts > 1 else 0))
        rows = self.group_rows(step, row, HALF * self.parts * depth * step.output.channels)
        return replace(
            change_tile(step, rows=rows, mr=self.pixels(step, rows * width)),
            kind=step.kind._replace(tiled=self.tiles),
            scratch=rows * row + (HALF * TILE * pixel if self.tiles else 0),
            own=Pairs(self.parts, pixel, depth),
        )

    def product_of_pairs(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step with its weights as a matrix of the elements that a sum reads, in their order."""
        kernel, bias = self.arrays(layer.op)
        depth = step.own.channels if step.kind.op == "expanded" else step.input.channels
        panel = step.tile.vector * step.tile.nr
        channels = padded(len(kernel), panel)
        return add_constants(
            replace(step, depth=depth),
            self.blob.add("w", "uint16_t", pack_pairs(kernel, depth, channels, panel, self.parts)),
            self.blob.add("bias", "float", pack_bias(bias, channels)),
        )


class Bf16(_Pairs):
    """Images of bf16."""

    name = "bf16"
    bodies: ClassVar[dict[Kind, Body]] = {**Fp32.bodies, **BF16_BODIES}
    element = "uint16_t"
    parts = 1
    product = _Pairs.product_of_pairs

    def kind(self, op: str) -> Kind:
        return Kind(op) if op in OUTPUTS else Kind(op, self.name)

    def rounding(self, kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return widened(rounded(kernel.astype(np.float32))).astype(np.float64)

    def border_pixel(self, mean: Floats) -> tuple[float, ...]:
        return tuple(rounded(mean).tolist())

    def image(self, pixels: Buffer) -> list[Step[Any]]:
        """Return the step; the image has one element more, since kernels read pairs."""
        (step,) = super().image(pixels)
        return [replace(step, output=replace(step.output, size=step.output.size + HALF))]

    def panel(self, group: tuple[Layer, ...]) -> tuple[int, int]:
        return self.panel_of_pairs(group[-1].op.shape_out[2])

    def convolution(self, step: Step[Any], layer: Layer) -> Step[Any]:
        channels = step.input.channels
        if layer.op.kind == "pointwise":
            return self.product(self.in_scratch(step, channels, channels), layer)
        if self.tiles:
            return self.product(self.in_scratch(step, windows := 3 * padded(3 * channels, 2), windows), layer)
        return self.product(change_tile(step, mr=self.pixels(step, step.output.width)), layer)

    def packed_expansion(self, step: Step[Blocks], kernel: Floats, block: int) -> Constant:
        return self.blob.add("ex", "uint16_t", pack_pairs(kernel, step.own.depth, step.own.channels, block))

    def in_blocks(self, step: Step[Any], lanes: int, channels: int, depth: int = 0) -> Step[Blocks]:
        step = replace(step, kind=step.kind._replace(tiled=self.tiles))
        return super().in_blocks(step, lanes, channels, step.input.channels if depth else 0)

    def numbers(self, pixels: int, channels: int) -> int:
        return padded((pixels + (TILE if self.tiles else 0)) * channels * HALF, 64) // FLOAT

    def depthwise_tile(self, step: Step[Any]) -> Step[Any]:
        """Return the step with the pairs in the widest vector that divides the channels, or that pixels fill."""
        channels, width = step.input.channels, step.output.width if step.window.stride == 1 else 0
        if step.kind.op == "separable_any":
            return change_tile(step, lanes=self.lanes(channels))
        fitting = (v for v in (16, 8, 4) if v <= self.target.vector)
        lanes = next(
            v for v in fitting if channels % (2 * v) == 0 or (2 * v % channels == 0 and 2 * v // channels <= width)
        )
        return change_tile(step, lanes=lanes)

    def tap_order(self, step: Step[Any], array: Floats) -> Floats:
        """Return an array in the order of the kernel for 3x3, which splits pairs into even and odd channels."""
        return deinterleaved(array, step.tile.lanes) if step.kind.op == "separable" else array


class Bf16x3(_Pairs):
    """Images of floats; each product of a separable step is 3 products of bf16."""

    name = "bf16x3"
    bodies: ClassVar[dict[Kind, Body]] = {**Fp32.bodies, **SPLIT_BODIES}
    parts = 2

    def expands(self, pointwise: Op) -> bool:
        return False

    def kind(self, op: str) -> Kind:
        return Kind(op, "split" if op.startswith("separable") else "fp32")

    def panel(self, group: tuple[Layer, ...]) -> tuple[int, int]:
        """Return panels of pairs for all steps of networks with elementwise ops, whose images need equal padding."""
        both = any(OPS[op.kind].role == "elementwise" for op in self.graph.ops)
        return self.panel_of_pairs(group[-1].op.shape_out[2]) if both or len(group) == 2 else super().panel(group)


class Bf16x6(Bf16x3):
    """Images of floats; each product of a separable step is 6 products of bf16."""

    name = "bf16x6"
    parts = 3


def split(array: Floats, parts: int) -> Halves:
    """Return (parts, ...): bf16 that add up to `array`, the largest first."""
    found, left = [], np.asarray(array, np.float32)
    for _ in range(parts):
        found.append(rounded(left))
        left = left - widened(found[-1])
    return np.stack(found)


def deinterleaved(array: Floats, lanes: int) -> Floats:
    """Return (..., C): of each 2 * `lanes` the even ones, then the odd ones, as kernels split a vector of pairs.

    Where C is less than 2 * `lanes`, the array is repeated to fill them.
    """
    if array.shape[-1] < 2 * lanes:
        array = np.tile(array, 2 * lanes // array.shape[-1])
    pairs = array.reshape(*array.shape[:-1], -1, lanes, 2)
    return np.ascontiguousarray(pairs.swapaxes(-1, -2)).reshape(array.shape)


def pack_pairs(kernel: Floats, depth: int, channels: int, panel: int, parts: int = 1) -> Halves:
    """Pack (N, C, 3, 3), (N, C, 1, 1) or (N, C) as (parts, channels / panel, K / 2, panel, 2).

    K: the elements under one row of the kernel, [columns][depth], made even; then those under the next row.
    """
    square = kernel.reshape(*kernel.shape[:2], *(kernel.shape[2:] or (1, 1)))
    deep = np.pad(square, ((0, channels - len(kernel)), (0, depth - kernel.shape[1]), (0, 0), (0, 0)))
    rows = deep.transpose(0, 2, 3, 1).reshape(channels, deep.shape[2], -1)
    matrix = np.pad(rows, ((0, 0), (0, 0), (0, rows.shape[2] % 2))).reshape(channels // panel, panel, -1, 2)
    return split(matrix.transpose(0, 2, 1, 3), parts)

"""The format int8: C that computes the bytes of `quant/reference.py` on every target.

Activations are bytes q + 128 without a border, with channels padded to multiples of 8. The caller's pixels are read in
place. The input of a convolution is copied to scratch, which is kept small so that the arena is small.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ...arch.layers import Layer
from ...arch.ops import OPS, OUTPUTS, Consumer, Op
from ...quant.elementwise import add_terms, pool_zero, product_factor, table_of
from ...quant.scheme import INTEGERS, LOW, QuantModel, limits, pool_multiplier
from ..program import SIZES, Buffer, Constant, Element, Step, Target, aligned
from ..targets import ALL_INT8_TARGETS
from ..tuning import NONE, Tilings
from .format import Format, add_constants, change_tile, padded
from .int8_bodies import BODIES, Expansion, Rule, Scaling
from .int8_packing import byte, pack_bias, pack_factor, pack_product, pack_taps, split_bias

__all__ = ["Int8"]

MAP_CACHE = 262144  # bytes of an expanded map that is written as a whole: half of a second-level cache
ROWS_CACHE = 16384  # bytes of depthwise rows in scratch at a time: half of a first-level cache
WEIGHTS_CACHE = 131072  # bytes of weights that are read once for each group of rows
# kernel of dot products -> the elements that it reads, and how many of them one instruction adds up; int8_t is q itself
CODES: dict[str, tuple[Element, int]] = {
    "vnni": ("uint8_t", 4),
    "madd": ("int16_t", 2),
    "neon": ("int16_t", 1),
    "sdot": ("int8_t", 4),
}
TILE = 16  # pixels of AMX, and sums of each
SHALLOWEST = 16  # bytes of depth that make a tile

INT8 = Consumer(
    "the compiler to C in int8",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # it is folded before
    kernels={"conv": (3,)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations=INTEGERS.activations,
)


class Int8(Format):
    """Images of bytes, and sums of 32 bits."""

    name = "int8"
    model = QuantModel
    targets = ALL_INT8_TARGETS
    consumer = INT8
    bodies = BODIES
    element = "uint8_t"
    sums = "uint8_t"
    border = 0

    def __init__(self, model: QuantModel, target: Target, tilings: Tilings = NONE) -> None:
        super().__init__(model, target, tilings)
        image, *_, last = self.layers
        found = model.integer_layers()
        ends = [Layer(last.op, None, None, (len(found),))] if last.op.kind in OUTPUTS else []
        self.layers = [image, *found, *ends]
        self.integers, self.stands_for, self.sources = model.layers, model.activations, model.sources()
        self.quantised = model

    def expands(self, pointwise: Op) -> bool:
        height, width, channels = pointwise.shape_out
        tiles = self.target.pairs or "amx_int8" in self.target.features
        return height * width * channels > MAP_CACHE and not tiles

    def fuses(self, depthwise: Op) -> bool:
        return depthwise.kernel == 3

    @property
    def code(self) -> Element:
        return CODES[self.target.dot][0]

    @property
    def group(self) -> int:
        """Return the numbers of which one instruction adds up the products."""
        return CODES[self.target.dot][1]

    def panel(self, group: tuple[Layer, ...]) -> tuple[int, int]:
        """Return a panel with little padding and few loads for each product."""
        if self.target.machine == "aarch64":
            return 4, 2
        channels, vector = group[-1].op.shape_out[2], self.target.vector
        while vector > 8 and channels <= vector // 2:
            vector //= 2
        return vector, self._vectors(-(-channels // vector))

    def _vectors(self, vectors: int) -> int:
        """Return how many of the vectors of the output a panel has."""
        if self.target.machine == "aarch64":
            return 2
        most = 4 if self.target.sums >= 24 else 2
        return min(range(1, most + 1), key=lambda nr: -(-vectors // nr) * (nr + 0.7))

    def stored(self, group: tuple[Layer, ...]) -> int:
        return padded(group[-1].op.shape_out[2], 8)

    def pixels(self, step: Step[Any], count: int) -> int:
        """Return the pixels of a tile, such that the tiles and the pixels that are left over take least time.

        At most 8, or 4 where the panel is one vector: four vectors of sums are converted to bytes together.
        """
        nr = step.tile.nr
        most = 4 if nr == 1 else min(8, self.target.sums // nr)

        def cost(mr: int) -> float:
            return count // mr * max(mr * nr + 1, mr + nr) + count % mr * (nr + 2)

        found = sorted(
            range(2, most + 1, 2) if self.target.pairs else range(1, most + 1), key=lambda mr: (cost(mr), -mr)
        )
        return found[min(self.tiling(step).rank, len(found) - 1)]

    def convolution(self, step: Step[Any], layer: Layer) -> Step[Any]:
        deep = self._deep(step) if step.kind.op == "pointwise" else 0
        in_place, rows, seen = deep and not self.target.pairs, 1, self._seen(step)
        if step.window.kernel == 1 and not deep:
            rows = max(1, min(step.units, _wanted_rows(step, seen), self.spare(step) // seen))
        step = change_tile(step, mr=self.pixels(step, rows * step.output.width), rows=rows)
        step = replace(self._scaled(step, layer, deep=deep), scratch=0 if in_place else rows * seen)
        return self._product(step, layer)

    def _seen(self, step: Step[Any]) -> int:
        """Return the bytes of the rows that a convolution reads."""
        a, size = step.input, SIZES[self.code]
        if step.window.kernel == 1:
            return size * padded(a.width, 2 if self.target.pairs else 1) * a.channels
        run = padded(3 * a.channels, self.group)
        return size * 3 * ((step.output.width - 1) * step.window.stride * a.channels + run)

    def separable(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        channels, width, size = step.input.channels, step.output.width, SIZES[self.code]
        column = ((width - 1) * step.window.stride + 3) * 4 * size
        spare = self.spare(step)
        widest = 16 if self.target.machine == "aarch64" else self.target.vector
        fitting = [v for v in (16, 8, 4) if min(8, widest) <= v <= widest and channels % v == 0]
        lanes = next((v for v in fitting if v * column <= spare), fitting[-1])
        row = width * channels * size
        tiling = self.tiling(step)
        rows = _group_rows(step, int(row / tiling.rows), (spare - column * lanes) // row)
        step = change_tile(step, lanes=lanes, rows=rows, mr=self.pixels(step, rows * width))
        unpaired = rows * width % 2 * channels if self.target.pairs else 0
        scratch = column * lanes + rows * row + unpaired
        step = self._scaled(replace(step, scratch=scratch), *group, deep=self._deep(step))
        both = 2 if step.window.stride == 1 else 1  # rows of the output that four of the input serve
        dw = self._taps(group[0], channels, lanes, both)
        step = add_constants(step, dw, *self._scales(group[0].op, channels, "dw_"))
        return self._product(step, group[-1])

    def expanded(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        """Return the step; of the expanded map, scratch has the rows that a group of rows and the next one see."""
        a, window, width, size = step.input, step.window, step.output.width, SIZES[self.code]
        channels, vector = padded(group[0].op.shape_out[2], 8), step.tile.vector
        lanes = self.lanes(channels)
        rows = _group_rows(step, width * channels * size, step.units)
        high = (rows - 1) * window.stride + 3
        nr = self._vectors(-(-channels // vector))
        seen = aligned(high * a.width * a.channels * size)
        columns = seen + aligned(high * a.width * channels)
        written = columns + ((width - 1) * window.stride + 3) * 4 * lanes * size
        ex_mr = self.pixels(change_tile(step, nr=nr), high * a.width)
        step = change_tile(step, lanes=lanes, rows=rows, dw_nr=nr, ex_mr=ex_mr, mr=self.pixels(step, rows * width))
        step = replace(step, scratch=written + rows * width * channels * size)
        step = self._scaled(step, *group, expansion=Expansion(channels, seen, columns))
        step = self._weights(step, group[0], a.channels, vector * nr, "ex")
        dw = self._taps(group[1], channels, lanes, 2 if window.stride == 1 else 1)
        step = add_constants(step, dw, *self._scales(group[1].op, channels, "dw_"))
        return self._weights(step, group[2], channels, vector * step.tile.nr)

    def depthwise(self, step: Step[Any], layer: Layer) -> Step[Any]:
        step = self._scaled(change_tile(step, vector=self.lanes(step.input.channels), nr=1), layer)
        channels, lanes, window = step.input.channels, step.tile.vector, step.window
        if self.target.machine == "aarch64":  # whose kernel multiplies bytes of the image as they lie
            weight = self.integers[layer.name].weight[:, 0]
            taps = np.pad(weight, ((0, channels - len(weight)), (0, 0), (0, 0))).transpose(1, 2, 0)
            dw = self.blob.add("dw", "int8_t", taps)
            return add_constants(step, dw, *self._scales(layer.op, channels, "dw_", plain=True))
        both = 2 if window.stride == 1 else 1
        rows = padded(window.kernel + both - 1, self.group)
        columns = SIZES[self.code] * ((step.output.width - 1) * window.stride + window.kernel) * rows * lanes
        dw = self._taps(layer, channels, lanes, both)
        return add_constants(replace(step, scratch=columns), dw, *self._scales(layer.op, channels, "dw_"))

    def _taps(self, layer: Layer, channels: int, lanes: int, both: int) -> Constant:
        """Return the weights of a depthwise convolution whose kernel computes `both` rows of its output together."""
        taps = pack_taps(self.integers[layer.name], channels, lanes, both, self.group)
        return self.blob.add("dw", "int8_t" if self.group == 4 else "int16_t", taps)

    def product(self, step: Step[Any], layer: Layer) -> Step[Any]:
        seen = 0 if step.input.element == self.code else SIZES[self.code] * step.input.channels
        return self._product(replace(self._scaled(step, layer), scratch=seen), layer)

    def _product(self, step: Step[Any], layer: Layer) -> Step[Any]:
        return self._weights(step, layer, step.input.channels, step.tile.vector * step.tile.nr)

    def _weights(self, step: Step[Any], layer: Layer, depth: int, panel: int, name: str = "w") -> Step[Any]:
        """Return the step with the weights of a product whose input has `depth` channels."""
        integers = self.integers[layer.name]
        channels = padded(len(integers.weight), panel)
        packed = pack_product(integers, depth, channels, panel, 8 if step.own.paired else self.group)
        weights = self.blob.add(name, "int8_t", packed)
        return add_constants(step, weights, *self._scales(layer.op, channels, "" if name == "w" else f"{name}_"))

    def _scales(self, op: Op, channels: int, prefix: str = "", plain: bool = False) -> tuple[Constant, Constant]:
        """Return what is added to the sums of each channel, and what they are multiplied with.

        `plain`: the kernel has no dot products, and reads bytes.
        """
        integers, source = self.integers[op.name], self.sources[op.name][0]
        zero = source.zero_point if self.code == "int8_t" and not plain else byte(source.zero_point)
        factor = pack_factor(integers, source, self.stands_for[op.name], channels)
        bias = pack_bias(integers, zero, channels)
        if "int8_dot_relaxed" in self.target.own and not plain:
            bias += split_bias(integers, channels)
        return (
            self.blob.add(f"{prefix}bias", "int32_t", bias),
            self.blob.add(f"{prefix}factor", "float", factor),
        )

    def vector(self, op: Op, channels: int) -> Buffer:
        """Return an image of one pixel, which a pointwise convolution may read."""
        stored = padded(op.shape_out[2], 8)
        return Buffer(op.name, max(channels, stored), self.element, 1, 1, stored)

    def pool(self, step: Step[Any], layer: Layer) -> Step[Any]:
        source, target = self.sources[layer.name][0], self.stands_for[layer.name]
        factor = float(pool_multiplier(step.input.height * step.input.width, source, target))
        step = self._scaled(step, layer, factor=factor)
        rule = replace(step.own.rule, source=byte(pool_zero(source, target)))
        return replace(step, own=replace(step.own, rules=(rule,)))

    def elementwise(self, step: Step[Any], layer: Layer) -> Step[Any]:
        sources, target = self.sources[layer.name], self.stands_for[layer.name]
        if OPS[layer.op.kind].role == "activation":
            table = self.blob.add("table", "uint8_t", table_of(self.quantised, layer))
            return add_constants(self._scaled(step, layer), table)
        pair = sources[0], sources[1]
        if layer.op.kind == "multiply":
            return self._scaled(step, layer, factor=float(product_factor(pair, target)))
        factors, bias, shift = add_terms(pair, target)
        return self._scaled(step, layer, terms=(*factors, bias + LOW * sum(factors), shift))

    def output(self, step: Step[Any]) -> Step[Any]:
        logits = self.stands_for["fc"]
        zero = byte(logits.zero_point)
        own = Scaling((Rule(zero, 0, zero, 0, 255),), factor=logits.scale)
        return replace(step, scratch=SIZES["float"] * step.depth, own=own)

    def _scaled(self, step: Step[Any], *group: Layer, deep: int = 0, **numbers: Any) -> Step[Scaling]:
        """Return the step with the rules by which the sums of each of its layers become bytes."""
        rules = tuple(rule for layer in group for rule in self._rules(layer))
        kind = step.kind._replace(tiled=deep > 0)
        return replace(step, kind=kind, own=Scaling(rules, deep=deep, paired=deep > 0 and self.target.pairs, **numbers))

    def _rules(self, layer: Layer) -> list[Rule]:
        """Return a rule for each array of activations that a layer takes."""
        target = self.stands_for[layer.name]
        weight = self.integers[layer.name].zero_point if layer.name in self.integers else 0
        ends = [byte(end) for end in (target.zero_point, *limits(target, layer.activation))]
        return [Rule(byte(source.zero_point), weight, *ends) for source in self.sources[layer.name]]

    def _deep(self, step: Step[Any]) -> int:
        """Return the bytes of depth in a tile; 0 without AMX or i8mm, and where VNNI is as fast."""
        if self.target.pairs:
            return 8
        deep = max(deep for deep in range(4, 65, 4) if step.input.channels % deep == 0)
        tiles = "amx_int8" in self.target.features and step.tile.vector == TILE
        return deep if tiles and deep >= SHALLOWEST else 0


def _group_rows(step: Step[Any], row: int, spare: int) -> int:
    """Return the rows at a time, of so many bytes each.

    They fit into the first-level cache; where the weights do not fit into the second-level one, all rows are one group.
    At most `spare` rows, which keep the arena small, and at least the two that the depthwise kernel computes together.
    """
    rows = min(step.units, max(2, min(_wanted_rows(step, row), spare)))
    return rows - rows % 2 if rows < step.units else rows


def _wanted_rows(step: Step[Any], row: int) -> int:
    weights = step.input.channels * step.output.channels
    return step.units if weights > WEIGHTS_CACHE else ROWS_CACHE // row

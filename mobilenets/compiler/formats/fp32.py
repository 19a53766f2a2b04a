"""The format fp32: images, weights and sums are floats."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ...arch.fold import fold_batch_norm
from ...arch.layers import Layer
from ...arch.ops import CONVOLUTIONS, Consumer, Op
from ...arrays import Floats
from ...model import Model
from ..program import SIZES, Buffer, Constant, Element, Kind, Step, Target
from ..targets import ALL_TARGETS
from ..tuning import NONE, Tilings
from .format import LIMITS, Format, add_constants, change_tile, padded
from .fp32_bodies import BODIES, Blocks

__all__ = ["FP32", "Floats", "Fp32", "consumer_of", "pack_bias", "pack_conv", "pack_depthwise", "pack_pointwise"]


ROWS_CACHE = 32768  # bytes of depthwise rows in scratch at a time: a first-level cache
MAP_CACHE = 262144  # numbers of an expanded map that is written as a whole: two second-level caches
BLOCKS_CACHE = 98304  # numbers in scratch of a depthwise convolution block by block: most of a second-level cache
BLOCK_CACHE = 12288  # numbers of one of its blocks: about a first-level cache
WEIGHTS_CACHE = 262144  # bytes of weights that are read once for each group of rows: a quarter of a second-level cache


def consumer_of(precision: str) -> Consumer:
    """Return what the compiler handles in fp32 and in the formats that are made of it."""
    return Consumer(
        f"the compiler to C in {precision}",
        handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
        "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
        refuses=["batch_norm"],  # it is folded before
        kernels={"conv": (3,)},
        strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
        activations=dict.fromkeys((*CONVOLUTIONS, "add"), (None, *LIMITS)),
    )


FP32 = consumer_of("fp32")


class Fp32(Format):
    """Floats in vectors of the target."""

    name = "fp32"
    model = Model
    targets = ALL_TARGETS
    consumer = FP32
    bodies = BODIES
    element: ClassVar[Element] = "float"
    narrowest: ClassVar[int] = 4  # numbers in a vector
    centre: ClassVar[int] = 0  # what the image step subtracts from pixels

    def __init__(self, model: Model, target: Target, tilings: Tilings = NONE) -> None:
        super().__init__(model, target, tilings)
        _, weights = fold_batch_norm(model.graph, model.weights)
        channels = model.network.channels
        given = (model.preprocess.mean, model.preprocess.std)
        mean, std = (np.broadcast_to(np.asarray(values, np.float64), channels) for values in given)
        mean = mean - self.centre
        self.zero = self.border_pixel(mean.astype(np.float32))
        self.weights = {**weights, **self._without_normalisation(weights, mean, std)}

    def _without_normalisation(
        self, weights: dict[str, Floats], mean: np.ndarray[Any, Any], std: np.ndarray[Any, Any]
    ) -> dict[str, Floats]:
        """Return the first convolution's weights for pixels less `centre`, in a border of `mean`.

        w (p - mean) / std + b = (w / std) p + (b - sum of w mean / std).
        """
        kernel = self.rounding(weights["conv0.weight"].astype(np.float64) / std[:, None, None])
        bias = weights["conv0.bias"] - (kernel * mean[:, None, None]).sum((1, 2, 3))
        return {"conv0.weight": kernel.astype(np.float32), "conv0.bias": bias.astype(np.float32)}

    def rounding(self, kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the numbers that the format keeps of the first convolution's weights, in float64."""
        return kernel

    def expands(self, pointwise: Op) -> bool:
        height, width, channels = pointwise.shape_out
        return height * width * channels > MAP_CACHE

    def kind(self, op: str) -> Kind:
        return Kind(op)

    def border_pixel(self, mean: Floats) -> tuple[float, ...]:
        """Return the pixel of the border of the image, whose numbers are those of its elements."""
        return tuple(mean.tolist())

    def image(self, pixels: Buffer) -> list[Step[Any]]:
        shape = pixels.height, pixels.width, pixels.channels
        image = self.picture("image", shape, pixels.channels)
        text = f"{'x'.join(map(str, shape))} bytes"
        return [Step(self.kind("image"), "image", pixels, image, text, units=pixels.height)]

    def panel(self, group: tuple[Layer, ...]) -> tuple[int, int]:
        return self.panel_of(group[-1].op.shape_out[2])

    def panel_of(self, channels: int) -> tuple[int, int]:
        """Return the numbers in a vector and the vectors in a panel: with little padding, two or three vectors."""
        vector = self.target.vector
        while vector > self.narrowest and channels <= vector // 2:
            vector //= 2
        count = -(-channels // vector)
        if count == 5 and self.target.sums // 2 >= 5:
            return vector, 5
        return vector, 1 if count == 1 else 3 if count % 2 and count % 3 == 0 else 2

    def pixels(self, step: Step[Any], count: int) -> int:
        """Return the pixels of a tile: as many as the registers hold, and such that few of `count` are computed twice.

        A tile takes one cycle for each of its vectors and one to begin; the last one may overlap the one before it.
        """
        nr = step.tile.nr
        most = max(1, min(self.target.sums // nr, 8 if nr > 1 else 16, count))

        def cost(mr: int) -> tuple[int, int]:
            return -(-count // mr) * (max(mr * nr, self.target.least_sums) + 1), -mr

        found = sorted(range((most + 1) // 2, most + 1), key=cost)
        return found[min(self.tiling(step).rank, len(found) - 1)]

    def convolution(self, step: Step[Any], layer: Layer) -> Step[Any]:
        if layer.op.kind == "conv":
            return self.product(change_tile(step, mr=self.pixels(step, step.output.width)), layer)
        row = SIZES[self.number] * step.input.width * step.input.channels
        rows = self.group_rows(step, row, SIZES[self.number] * step.depth * step.output.channels)
        mr = self.pixels(step, rows * step.output.width)
        return self.product(replace(change_tile(step, mr=mr, rows=rows), scratch=rows * row), layer)

    def separable(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        stored, width, size = step.input.channels, step.output.width, SIZES[self.number]
        rows = self.group_rows(step, size * width * stored, size * step.depth * step.output.channels)
        step = change_tile(step, rows=rows, mr=self.pixels(step, rows * width))
        step = self.depthwise_tile(step)
        step = self.taps(replace(step, scratch=size * rows * width * stored), group[0])
        return self.product(step, group[1])

    def group_rows(self, step: Step[Any], row: int, weights: int) -> int:
        """Return the rows at a time, of so many bytes each.

        They fit into a first-level cache, or into `Target.rows_cache` where the arena has the space. Where the weights
        do not fit into a second-level cache, all rows are one group. A divisor of the height is preferred.
        """
        height = step.units
        if weights > WEIGHTS_CACHE:
            return height
        part = self.tiling(step).rows
        cache = max(min(part, 1) * ROWS_CACHE, min(part * self.target.rows_cache, self.spare(step)))
        most = max(1, min(height, int(cache) // row))
        return max((rows for rows in range((most + 1) // 2, most + 1) if height % rows == 0), default=most)

    def depthwise_tile(self, step: Step[Any]) -> Step[Any]:
        """Return the step with the tile of its depthwise part, which reads the image in the arena."""
        return self.block_tile(step, self.lanes(step.input.channels), step.input.channels)

    def block_tile(self, step: Step[Any], lanes: int, channels: int) -> Step[Any]:
        """Return the step with the tile of its depthwise part: whole cache lines, and up to 10 sums.

        On an AMD Zen 1 (AVX2), 5 pixels x 2 vectors are up to 3.6 times as fast as 4 pixels x 1 vector.
        """
        width, nr = step.output.width, 2 if lanes < 16 and channels % (2 * lanes) == 0 else 1
        most = min(width, self.tiling(step).pixels or (8 if nr == 1 else 5))
        mr = min(range((most + 1) // 2, most + 1), key=lambda mr: (-(-width // mr) * (mr * nr + 1), -mr))
        return change_tile(step, lanes=lanes, dw_nr=nr, dw_mr=mr)

    def depthwise(self, step: Step[Any], layer: Layer) -> Step[Any]:
        channels = step.input.channels
        return self.taps(self.in_blocks(step, self.lanes(channels), channels), layer)

    def expanded(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        expansion = group[0].op
        vector, _ = self.panel_of(expansion.shape_out[2])
        channels = padded(expansion.shape_out[2], vector if vector >= 16 else 2 * vector)
        step = self.in_blocks(step, vector, channels, expansion.shape_in[2])
        block = step.tile.lanes * step.tile.dw_nr
        kernel, bias = self.arrays(expansion)
        packed = self.packed_expansion(step, kernel, block)
        step = add_constants(step, packed, self.blob.add("ex_bias", self.number, pack_bias(bias, channels)))
        step = change_tile(step, mr=self.pixels(step, step.tile.rows * step.output.width))
        return self.product(self.taps(step, group[1], channels), group[2])

    def packed_expansion(self, step: Step[Blocks], kernel: Floats, block: int) -> Constant:
        """Return the weights of the expansion, in blocks of so many channels."""
        return self.blob.add("ex", self.number, pack_pointwise(kernel, step.own.channels, block))

    def in_blocks(self, step: Step[Any], lanes: int, channels: int, depth: int = 0) -> Step[Blocks]:
        """Return the step with the tiles, rows and scratch of a depthwise convolution, block by block of its channels.

        All rows are one group where scratch is small enough; else, a block keeps the rows that the next group sees.
        """
        step = self.block_tile(step, lanes, channels)
        window, width, nr = step.window, step.output.width, step.tile.dw_nr
        across = max((width - 1) * window.stride + window.kernel, window.left + step.input.width)

        def scratch(rows: int) -> Blocks:
            high = (rows - 1) * window.stride + window.kernel
            block = high * across * lanes * nr
            read = self.numbers(high * step.input.width, step.input.channels) if depth else 0
            kept = block * channels // (lanes * nr) if rows < step.units else block
            written = self.numbers(rows * width, channels) if depth else 0
            return Blocks(
                self.number, channels, depth, high, block * (kept > block), read, read + kept, read + kept + written
            )

        rows, own = step.units, scratch(step.units)
        while rows > 1 and (own.numbers > BLOCKS_CACHE or own.high * across * lanes * nr > BLOCK_CACHE):
            rows -= 1
            own = scratch(rows)
        ex_mr = self.pixels(change_tile(step, nr=nr), own.high * step.input.width) if depth else 1
        step = change_tile(step, rows=rows, ex_mr=ex_mr)
        return replace(step, scratch=SIZES[self.number] * own.numbers, own=own)

    def numbers(self, pixels: int, channels: int) -> int:
        """Return the numbers of a block whose bytes so many pixels of the format's elements take in scratch."""
        return pixels * channels

    def taps(self, step: Step[Any], layer: Layer, channels: int = 0) -> Step[Any]:
        """Return the step with the weights of its depthwise convolution, for `channels`, by default the input's."""
        kernel, bias = self.arrays(layer.op)
        stored = channels or step.input.channels
        return add_constants(
            step,
            self.blob.add("dw", self.number, self.tap_order(step, pack_depthwise(kernel, stored))),
            self.blob.add("dw_bias", self.number, self.tap_order(step, pack_bias(bias, stored))),
        )

    def tap_order(self, step: Step[Any], array: Floats) -> Floats:
        """Return an array of the depthwise convolution, [...][channels], in the order in which its kernel reads it."""
        return array

    def product(self, step: Step[Any], layer: Layer) -> Step[Any]:
        kernel, bias = self.arrays(layer.op)
        pack = pack_conv if layer.op.kind == "conv" else pack_pointwise
        panel = step.tile.vector * step.tile.nr
        channels = padded(len(kernel), panel)
        return add_constants(
            step,
            self.blob.add("w", self.number, pack(kernel, channels, panel)),
            self.blob.add("bias", self.number, pack_bias(bias, channels)),
        )

    def arrays(self, op: Op) -> tuple[Floats, Floats]:
        """Return the weight and the bias of an op."""
        return self.weights[f"{op.name}.weight"], self.weights[f"{op.name}.bias"]


def pack_bias(bias: Floats, channels: int) -> Floats:
    """Pack (C,) as (channels,); padding is zeros, as that of all weights is."""
    return np.pad(bias, (0, channels - len(bias)))


def pack_depthwise(kernel: Floats, channels: int) -> Floats:
    """Pack (C, 1, k, k) as (k, k, channels)."""
    padded = np.pad(kernel, ((0, channels - len(kernel)), (0, 0), (0, 0), (0, 0)))
    return padded[:, 0].transpose(1, 2, 0)


def pack_pointwise(kernel: Floats, channels: int, panel: int) -> Floats:
    """Pack (N, C, 1, 1) or (N, C) as (channels / panel, C, panel)."""
    matrix = kernel.reshape(len(kernel), -1)
    padded = np.pad(matrix, ((0, channels - len(matrix)), (0, 0)))
    return padded.reshape(-1, panel, matrix.shape[1]).transpose(0, 2, 1)


def pack_conv(kernel: Floats, channels: int, panel: int) -> Floats:
    """Pack (N, C, 3, 3) as (channels / panel, 3, 3, C, panel)."""
    padded = np.pad(kernel, ((0, channels - len(kernel)), (0, 0), (0, 0), (0, 0)))
    return padded.reshape(-1, panel, *kernel.shape[1:]).transpose(0, 3, 4, 2, 1)

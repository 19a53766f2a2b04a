"""Graph + weights -> `Program` in bf16, or in floats whose pointwise products are made of bf16, as lower.py does it.

bf16: images, weights and what lies between them are bf16, sums and biases float. bf16x3 and bf16x6: images are float;
a float is the sum of 2 or 3 bf16, and of the products of their parts the 3 or 6 that matter are added up (relative
error about 1e-5 of a sum's terms, and float's own). Convolutions that are no separable one stay float there.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.layers import Layer
from ..arch.ops import CONVOLUTIONS, OUTPUTS, Consumer, Op
from ..model import Model
from .blob import Blob
from .lower import (
    Lowered,
    float_image,
    float_step,
    fused,
    group_rows,
    limit,
    panels,
    shape_text,
    tile_pixels,
    without_normalisation,
)
from .pack import Array, pack_bias, pack_depthwise
from .pack_bf16 import deinterleaved, pack_pairs, rounded, widened
from .program import Buffer, Element, Kind, Program, Step, Target

__all__ = ["PARTS", "lower_bf16"]

PARTS = {"bf16": 1, "bf16x3": 2, "bf16x6": 3}  # bf16 that a number is the sum of
TILE = 16  # pixels, of AMX
FLOAT, HALF = 4, 2  # bytes
BF16 = Consumer(
    "the compiler to C in bf16",
    handles="input conv depthwise pointwise relu relu6 global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),
    refuses="hard_swish hard_sigmoid add multiply batch_norm".split(),  # batch norm is folded before
    kernels={"conv": (3,), "depthwise": (3,)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations=dict.fromkeys(CONVOLUTIONS, (None, "relu", "relu6")),
)
_KINDS: dict[str, Kind] = {
    "conv": "bf16_conv",
    "pointwise": "bf16_pointwise",
    "fully_connected": "bf16_fully_connected",
}


def lower_bf16(model: Model, target: Target, name: str, precision: str) -> Lowered:
    """`precision`: of PARTS."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    BF16.check(graph.ops)
    half = precision == "bf16"
    weights = without_normalisation(graph, weights, model.preprocess, (lambda w: widened(rounded(w))) if half else None)
    lowering = _Lowering(weights, target, Blob(), PARTS[precision])
    c = model.network.channels
    mean = np.broadcast_to(np.asarray(model.preprocess.mean, np.float32), c)
    steps = [lowering.image(graph.ops[0].shape_out) if half else float_image(graph)]
    for group in fused(graph, BF16):
        steps.append(lowering.step(group, steps[-1].output))
    border = rounded(mean) if half else mean
    program = Program(name, target, tuple(steps), model.network.classes, precision)
    return Lowered(program, lowering.blob, tuple(border.tolist()), model.preprocess, model.labels)


@dataclass(frozen=True, slots=True)
class _Lowering:
    """What all steps need."""

    weights: dict[str, Array]
    target: Target
    blob: Blob
    parts: int

    @property
    def tiles(self) -> bool:
        """Whether pointwise products are made by AMX."""
        return "amx_bf16" in self.target.features

    def image(self, shape: tuple[int, int, int]) -> Step:
        h, w, c = shape
        image = _image("image", shape, c, "uint16_t")
        image = replace(image, size=image.size + HALF)  # the second half of the last pair
        source = Buffer("pixels", 0, "uint8_t", h, w, c)
        return Step("bf16_image", "image", source, image, h, f"{h}x{w}x{c} bytes")

    def step(self, group: tuple[Layer, ...], source: Buffer) -> Step:
        ops = [layer.op for layer in group]
        op = ops[-1]
        if op.kind in OUTPUTS or (self.parts > 1 and len(ops) == 1):
            return float_step(group, [source], self.weights, self.target, self.blob)
        shape = f"{shape_text(ops[0].shape_in)} -> {shape_text(op.shape_out)}"
        if op.kind == "global_average_pool":
            means = Buffer(op.name, HALF * source.channels, "uint16_t", channels=source.channels)
            lanes = _lanes(source.channels, self.target)
            return Step("bf16_pool", op.name, source, means, 1, shape, vector=lanes)
        vector, nr, channels = self._panels(op.shape_out[2])
        step = Step(
            kind=_KINDS[op.kind] if len(ops) == 1 else "bf16_separable",
            name=" + ".join(o.name for o in ops),
            input=source,
            output=Buffer(op.name, FLOAT * channels),
            units=channels // (vector * nr),
            shape=shape,
            limit=limit(group[-1]),
            first_limit=limit(group[0]),
            depth=source.channels,
            vector=vector,
            nr=nr,
            parts=self.parts,
        )
        if op.kind == "fully_connected":
            return self._packed(step, op, channels)
        step = self._rows_of(step, ops[0], op, channels)
        if len(ops) == 2:
            step = self._separable(step, ops[0])
        return self._packed(step, op, channels)

    def _rows_of(self, step: Step, first: Op, op: Op, channels: int) -> Step:
        """A step that writes a bordered image, row by row."""
        h, w, _ = op.shape_out
        return replace(
            step,
            output=_image(op.name, op.shape_out, channels, "uint16_t" if self.parts == 1 else "float"),
            units=h,
            stride=first.stride,
            down=1 - first.padding[0] if first.kernel == 3 else 0,
            right=1 - first.padding[1] if first.kernel == 3 else 0,
            rows=h,
            mr=tile_pixels(w, step.nr, self.target),
        )

    def _separable(self, step: Step, depthwise: Op) -> Step:
        """Rows of the depthwise convolution wait in scratch: bf16 at once, or floats and then the parts of each."""
        stored, (h, w) = step.input.channels, (step.output.height, step.output.width)
        pixel = stored + (32 if self.tiles and stored * HALF % 1024 == 0 else 0)  # or tiles share few lines of a cache
        row = w * (HALF * self.parts * pixel + (FLOAT * stored if self.parts > 1 else 0))
        rows = group_rows(h, row, HALF * self.parts * stored * step.output.channels)
        spare = HALF * TILE * pixel if self.tiles else 0
        kernel, bias = self._weights(depthwise)
        taps, offsets = pack_depthwise(kernel, stored), pack_bias(bias, stored)
        lanes = _lanes(stored, self.target)
        if self.parts == 1:
            lanes = self._pair_lanes(stored, w if step.stride == 1 else 0)
            taps, offsets = (deinterleaved(array, lanes) for array in (taps, offsets))
        constants = self.blob.add("dw", "float", taps), self.blob.add("dw_bias", "float", offsets)
        kind: Kind = "bf16_separable_tiles" if self.tiles else "bf16_separable"
        split: Kind = "split_separable_tiles" if self.tiles else "split_separable"
        return replace(
            step,
            kind=kind if self.parts == 1 else split,
            lanes=lanes,
            pixel=pixel,
            rows=rows,
            mr=tile_pixels(rows * w, step.nr, self.target),
            scratch=rows * row + spare,
            constants=constants,
        )

    def _packed(self, step: Step, op: Op, channels: int) -> Step:
        """The weights as a matrix of the elements that a sum reads, in their order."""
        kernel, bias = self._weights(op)
        packed = pack_pairs(kernel, step.depth, channels, step.nr * step.vector, self.parts)
        constants = self.blob.add("w", "uint16_t", packed), self.blob.add("bias", "float", pack_bias(bias, channels))
        return replace(step, constants=(*step.constants, *constants))

    def _pair_lanes(self, channels: int, width: int) -> int:
        """Pairs in the widest vector that divides the channels, or that takes several of `width` pixels at once."""
        fitting = (v for v in (16, 8, 4) if v <= self.target.vector)
        return next(
            v for v in fitting if channels % (2 * v) == 0 or (2 * v % channels == 0 and 2 * v // channels <= width)
        )

    def _weights(self, op: Op) -> tuple[Array, Array]:
        return self.weights[f"{op.name}.weight"], self.weights[f"{op.name}.bias"]

    def _panels(self, channels: int) -> tuple[int, int, int]:
        """As `panels`, of channels that are pairs of vectors, and for AMX one vector of them or an even number."""
        vector, nr, stored = panels(max(channels, 8), self.target)
        if nr == 3 and (self.tiles or stored % 8):
            return vector, 2, stored + vector
        return vector, nr, stored


def _image(name: str, shape: tuple[int, int, int], channels: int, element: Element) -> Buffer:
    h, w, _ = shape
    size = (HALF if element == "uint16_t" else FLOAT) * (h + 2) * (w + 2) * channels
    return Buffer(name, size, element, h, w, channels)


def _lanes(channels: int, target: Target) -> int:
    """Floats in the widest vector that divides the channels."""
    return next(v for v in (16, 8, 4) if v <= target.vector and channels % v == 0)

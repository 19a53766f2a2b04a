"""`QuantModel` -> `Program` + the blob of packed weights, as lower.py does it for floats.

Activations are bytes q + 128 without a border, channels padded to multiples of 8. The image is read where the caller
has it. What a convolution reads is laid out in scratch, which is kept so small that the arena is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..arch.graph import Graph
from ..arch.layers import Layer, layers
from ..arch.ops import OUTPUTS, Consumer, Op
from ..quant.elementwise import add_terms, hard_swish_table, product_factor
from ..quant.scheme import INTEGERS, LOW, QuantModel, QuantParams, integer_layers, limits, pool_multiplier
from .blob import Blob
from .lower import Lowered, fused
from .pack_int8 import byte, pack_bias, pack_factor, pack_product, pack_taps
from .plan import plan
from .program import SIZES, Buffer, Constant, Element, Kind, Program, Rule, Step, Target, aligned
from .targets import INT8_TARGETS

__all__ = ["arena_bytes_int8", "lower_int8"]

ROWS_CACHE = 16384  # bytes of depthwise rows that wait for the pointwise convolution: half of a first-level cache
WEIGHTS_CACHE = 131072  # bytes of weights that may be read once a group of rows
TILE = 16  # pixels of AMX, and sums of each
SHALLOWEST = 16  # bytes of depth that make a tile
SPARE = 0.03  # of the arena, for scratch
INT8 = Consumer(
    "the compiler to C in int8",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # it is folded before
    kernels={"conv": (3,)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations=INTEGERS.activations,
)


def lower_int8(model: QuantModel, target: Target, name: str) -> Lowered:
    """Depthwise and pointwise convolutions fused as in floats; the same numbers on every target.

    `CompileError` for a network that ends in its maps.
    """
    graph = model.graph
    lowering = _Lowering(model, target, Blob(), _largest(graph))
    h, w, c = graph.ops[0].shape_out
    steps: list[Step] = []
    buffers = [Buffer("pixels", 0, "uint8_t", h, w, c)]  # of the image and each layer
    for group in _groups(graph):
        steps.append(lowering.step(group, [buffers[i] for i in group[0].sources]))
        buffers += [steps[-1].output] * len(group)
    program = Program(name, target, tuple(steps), model.network.classes, "int8")
    return Lowered(program, lowering.blob, (), model.preprocess, model.labels)


def arena_bytes_int8(model: QuantModel, target: str = "portable") -> int:
    """Memory beside the weights that one thread needs, without compiling anything."""
    return plan(lower_int8(model, INT8_TARGETS[target], "network").program.steps).one


def stored(channels: int) -> int:
    """Channels of an image in the arena."""
    return -(-channels // 8) * 8


def _groups(graph: Graph) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of each step; only depthwise convolutions of 3x3 are fused with what is behind them."""
    image, *_, last = layers(graph)
    found = [image, *integer_layers(graph)]
    ends = [Layer(last.op, None, None, (len(found) - 1,))] if last.op.kind in OUTPUTS else []
    for group in fused(graph, INT8, [*found, *ends]):
        if group[0].op.kernel == 3:
            yield group
        else:
            yield from ((layer,) for layer in group)


def _largest(graph: Graph) -> int:
    """Bytes of input and output together, of the step that has most."""
    sizes = [0]
    for group in _groups(graph):
        h, w, c = group[-1].op.shape_out
        sizes.append(h * w * stored(c))
    return max(a + b for a, b in pairwise(sizes))


@dataclass(frozen=True, slots=True)
class _Lowering:
    """What all steps need."""

    model: QuantModel
    target: Target
    blob: Blob
    largest: int  # bytes of the arena but for scratch

    @property
    def group(self) -> int:
        return 4 if self.target.dot == "vnni" else 2

    @property
    def element(self) -> Element:
        """Of what convolutions read."""
        return "uint8_t" if self.target.dot == "vnni" else "int16_t"

    @property
    def code(self) -> int:
        """Its bytes."""
        return SIZES[self.element]

    def step(self, group: tuple[Layer, ...], sources: Sequence[Buffer]) -> Step:
        ops, source = [layer.op for layer in group], sources[0]
        op = ops[-1]
        if op.kind in OUTPUTS:
            return self._output(op, source)
        if op.kind == "global_average_pool":
            return self._pool(op, source)
        if op.kind in ("add", "multiply", "hard_swish"):
            return self._in_place(group[-1], sources)
        if op.kind == "depthwise":
            return self._depthwise(group[-1], source)
        vector, nr = self._panels(op.shape_out[2])
        height, width, channels = op.shape_out
        kind: Kind = "int8_separable" if len(ops) == 2 else _KINDS[op.kind]
        if op.kind == "pointwise" and source.name.endswith("pool"):  # whose output is codes, not bytes
            kind = "int8_dense"
        deep = self._deep(source.channels) if kind in _TILED and vector == TILE else 0
        step = Step(
            kind=_TILED[kind] if deep else kind,
            name=" + ".join(o.name for o in ops),
            input=source,
            output=Buffer(op.name, height * width * stored(channels), "uint8_t", height, width, stored(channels)),
            units=height,
            shape=_shape(ops[0], op),
            depth=source.channels,
            stride=ops[0].stride,
            down=1 - ops[0].padding[0] if ops[0].kernel == 3 else 0,
            right=1 - ops[0].padding[1] if ops[0].kernel == 3 else 0,
            vector=vector,
            nr=nr,
            deep=deep,
            rules=tuple(self._rule(layer.op, layer.activation) for layer in group),
        )
        if op.kind == "fully_connected":
            panels = -(-channels // (vector * nr))
            step = replace(step, output=Buffer(op.name, panels * vector * nr, "uint8_t"), units=panels)
        elif kind == "int8_dense":
            panels = -(-channels // (vector * nr))
            size = max(panels * vector * nr, stored(channels))
            step = replace(step, output=replace(step.output, size=size), units=panels)
        elif len(ops) == 2:
            step = self._separable(step, ops)
        else:
            step = replace(step, mr=self._pixels(width, nr), scratch=0 if deep else self._scratch(step, op))
        return replace(step, constants=(*step.constants, *self._product(step, op)))

    def _separable(self, step: Step, ops: list[Op]) -> Step:
        """With the depthwise part of it."""
        op, channels, width = ops[0], step.input.channels, step.output.width
        column = ((width - 1) * step.stride + 3) * 4 * self.code
        fitting = [v for v in (16, 8, 4) if min(8, self.target.vector) <= v <= self.target.vector and channels % v == 0]
        spare = self._spare(step)
        lanes = next((v for v in fitting if v * column <= spare), fitting[-1])
        columns = column * lanes
        row = width * channels * self.code
        rows = self._rows(step, spare - columns, row, channels * step.output.channels)
        both = 2 if step.stride == 1 else 1
        layer, source, target = self.model.layers[op.name], *self._params(op)
        constants = (
            self.blob.add(
                "dw", "int8_t" if self.group == 4 else "int16_t", pack_taps(layer, channels, lanes, both, self.group)
            ),
            self.blob.add("dw_bias", "int32_t", pack_bias(layer, source, channels)),
            self.blob.add("dw_factor", "float", pack_factor(layer, source, target, channels)),
        )
        mr = self._pixels(rows * width, step.nr)
        return replace(step, lanes=lanes, rows=rows, mr=mr, scratch=columns + rows * row, constants=constants)

    def _spare(self, step: Step) -> int:
        """Bytes of scratch that leave the arena small."""
        return int(self.largest * (1 + SPARE)) - aligned(step.input.size) - aligned(step.output.size)

    def _rows(self, step: Step, spare: int, row: int, weights: int) -> int:
        """Rows at a time: what stays in the first-level cache, all where the weights do not stay in the second; no more
        than leave the arena small, but two, which the depthwise convolution works out together."""
        height = step.units
        wanted = height if weights > WEIGHTS_CACHE else ROWS_CACHE // row
        rows = min(height, max(2, min(wanted, spare // row)))
        return rows - rows % 2 if rows < height else rows

    def _product(self, step: Step, op: Op) -> tuple[Constant, ...]:
        panel = step.vector * step.nr
        channels = -(-op.shape_out[2] // panel) * panel
        layer, source, target = self.model.layers[op.name], *self._params(op)
        return (
            self.blob.add("w", "int8_t", pack_product(layer, step.input.channels, channels, panel, self.group)),
            self.blob.add("bias", "int32_t", pack_bias(layer, source, channels)),
            self.blob.add("factor", "float", pack_factor(layer, source, target, channels)),
        )

    def _scratch(self, step: Step, op: Op) -> int:
        """Bytes of the rows that a convolution reads."""
        if op.kernel == 1:
            return self.code * step.input.width * step.input.channels
        run = -(-3 * step.input.channels // self.group) * self.group
        return self.code * 3 * ((step.output.width - 1) * step.stride * step.input.channels + run)

    def _pool(self, op: Op, source: Buffer) -> Step:
        a, b = self._params(op)
        return Step(
            "int8_pool",
            op.name,
            source,
            Buffer(op.name, self.code * source.channels, self.element, 1, 1, source.channels),
            units=1,
            shape=_shape(op, op),
            vector=self._lanes(source.channels),
            rules=(self._rule(op, None),),
            factor=float(pool_multiplier(source.height * source.width, a, b)),
        )

    def _depthwise(self, layer: Layer, source: Buffer) -> Step:
        """A depthwise convolution of any size, by itself."""
        op, channels = layer.op, source.channels
        height, width, _ = op.shape_out
        integers, (takes, gives) = self.model.layers[op.name], self._params(op)
        taps = np.pad(integers.weight[:, 0], ((0, channels - len(integers.weight)), (0, 0), (0, 0)))
        return Step(
            "int8_depthwise",
            op.name,
            source,
            Buffer(op.name, height * width * channels, "uint8_t", height, width, channels),
            units=height,
            shape=_shape(op, op),
            kernel=op.kernel,
            stride=op.stride,
            padding=op.padding[:2],
            vector=self._lanes(channels),
            rules=(self._rule(op, layer.activation),),
            constants=(
                self.blob.add("dw", "int8_t", taps.transpose(1, 2, 0)),
                self.blob.add("dw_bias", "int32_t", pack_bias(integers, takes, channels)),
                self.blob.add("dw_factor", "float", pack_factor(integers, takes, gives, channels)),
            ),
        )

    def _in_place(self, layer: Layer, sources: Sequence[Buffer]) -> Step:
        """An elementwise step that writes over its first input, which nobody reads again: so graphs are built."""
        op, image = layer.op, sources[0]
        takes, gives = self.model.sources()[op.name], self.model.activations[op.name]
        low, high = limits(gives, layer.activation)
        rules = tuple(Rule(byte(t.zero_point), 0, byte(gives.zero_point), byte(low), byte(high)) for t in takes)
        kind: Kind = f"int8_{op.kind}"  # type: ignore[assignment]
        lanes = self._lanes(image.channels)
        step = Step(kind, op.name, sources[-1], image, image.height, _shape(op, op), vector=lanes, rules=rules)
        if op.kind == "hard_swish":
            table = (hard_swish_table(takes[0], gives).astype(np.int16) - LOW).astype(np.uint8)
            return replace(step, constants=(self.blob.add("table", "uint8_t", table),))
        pair = takes[0], takes[1]
        if op.kind == "multiply":
            return replace(step, factor=float(product_factor(pair, gives)))
        factors, bias, shift = add_terms(pair, gives)
        return replace(step, terms=(*factors, bias + LOW * sum(factors), shift))

    def _lanes(self, channels: int) -> int:
        return next(v for v in (16, 8, 4) if v <= self.target.vector and channels % v == 0)

    def _output(self, op: Op, source: Buffer) -> Step:
        logits = self.model.activations["fc"]
        zero = byte(logits.zero_point)
        return Step(
            _KINDS[op.kind],
            op.name,
            source,
            Buffer("output", 0),
            units=1,
            shape=_shape(op, op),
            depth=op.shape_out[2],
            scratch=4 * op.shape_out[2],
            rules=(Rule(zero, 0, zero, 0, 255),),
            factor=logits.scale,
        )

    def _params(self, op: Op) -> tuple[QuantParams, QuantParams]:
        """What its input and its output stand for."""
        return self.model.sources()[op.name][0], self.model.activations[op.name]

    def _rule(self, op: Op, activation: Op | None) -> Rule:
        source, target = self._params(op)
        low, high = limits(target, activation)
        weight = self.model.layers[op.name].zero_point if op.name in self.model.layers else 0
        return Rule(byte(source.zero_point), weight, byte(target.zero_point), byte(low), byte(high))

    def _deep(self, channels: int) -> int:
        """Bytes of depth in a tile; 0 where there are none, or where so few go in that VNNI takes no longer."""
        deep = max(deep for deep in range(4, 65, 4) if channels % deep == 0)
        return deep if "amx_int8" in self.target.features and deep >= SHALLOWEST else 0

    def _panels(self, channels: int) -> tuple[int, int]:
        """(sums in a vector, vectors in a panel): little padding, few loads for each product."""
        vector = self.target.vector
        while vector > 8 and channels <= vector // 2:
            vector //= 2
        vectors = -(-channels // vector)
        most = 4 if self.target.sums >= 24 else 2
        return vector, min(range(1, most + 1), key=lambda nr: -(-vectors // nr) * (nr + 0.7))

    def _pixels(self, count: int, nr: int) -> int:
        """Pixels of a tile: those for which the tiles, and the single pixels that are left over, take least.

        No more than leave the loads of a tile to its products; where the panel is one vector, the four that become
        bytes together.
        """
        most = 4 if nr == 1 else min(8, self.target.sums // nr)

        def cost(mr: int) -> float:
            return count // mr * max(mr * nr + 1, mr + nr) + count % mr * (nr + 2)

        return min(range(1, most + 1), key=lambda mr: (cost(mr), -mr))


_KINDS: dict[str, Kind] = {
    "conv": "int8_conv",
    "pointwise": "int8_pointwise",
    "fully_connected": "int8_fully_connected",
    "softmax": "int8_softmax",
    "sigmoid": "int8_sigmoid",
    "l2_normalise": "int8_l2_normalise",
}
_TILED: dict[Kind, Kind] = {
    "int8_separable": "int8_separable_tiles",
    "int8_pointwise": "int8_pointwise_tiles",
}


def _shape(first: Op, last: Op) -> str:
    a, b = ("x".join(map(str, shape)) for shape in (first.shape_in, last.shape_out))
    return f"{a} -> {b}"

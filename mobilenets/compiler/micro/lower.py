"""Lower an int8 network to steps for a microcontroller.

Each step gathers codes and multiplies them: a convolution gathers its windows, a depthwise convolution or the pool
computes what the product behind it reads, and so does a gate. A depthwise convolution whose image a gate reads twice
has no product. A code is the byte that stands for an int8 integer q: q - zero point where a
ReLU lets nothing else through, so that padding is 0, and q + 128 elsewhere.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ...arch.layers import Layer
from ...arch.ops import OPS, OUTPUTS, Consumer, Shape
from ...arrays import Floats, Integers
from ...errors import CompileError
from ...quant.elementwise import add_terms, pool_zero, product_factor, table_of
from ...quant.scheme import (
    HIGH,
    LOW,
    IntegerLayer,
    QuantModel,
    QuantParams,
    Sums,
    limits,
    multipliers,
    pool_multiplier,
)
from ..program import Window

__all__ = ["MICRO", "Part", "Rule", "Step", "Sum", "Writers", "steps_of"]

_GATHERS: dict[str, Literal["depthwise", "pool", "gated"]] = {
    "depthwise": "depthwise",
    "global_average_pool": "pool",
    "multiply": "gated",
}
_AFTER = (None, "relu", "relu6", "hard_swish", "hard_sigmoid")

MICRO = Consumer(
    "the engine for microcontrollers",
    handles="input conv depthwise pointwise add multiply relu relu6 hard_swish hard_sigmoid global_average_pool "
    "fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # folded before
    activations={**dict.fromkeys(("conv", "depthwise", "pointwise"), _AFTER), "add": (None, "relu", "relu6")},
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a scaled sum becomes a code: rounded, plus `zero`, at least `low`, at most `high`, then by `table`."""

    zero: int
    low: int
    high: int
    table: np.ndarray[Any, np.dtype[np.uint8]] | None = None  # of an activation that has one
    padding: int = 0  # the code of real 0 in what the layers behind read


@dataclass(frozen=True, slots=True)
class Part:
    """A layer with weights, or the pool: what its sums of codes times weights begin with and are multiplied by."""

    name: str
    bias: Sums
    factor: Floats
    rule: Rule
    weight: Integers = field(default_factory=lambda: np.zeros(0, np.int8))  # (out, in / groups, k, k) or (out, in)
    weight_zero: int = 0


@dataclass(frozen=True, slots=True)
class Sum:
    """The codes of an earlier image that are added to those of a step: (m a + n b + bias) >> shift, then by `rule`."""

    name: str  # of the layer
    writer: int  # the number of the step that writes that image
    factors: tuple[int, int]
    bias: int
    shift: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Step:
    """What one call of the emitted C computes: an image from an image, some rows at a time."""

    gather: Literal["window", "depthwise", "pool", "gated"]
    shape_in: Shape
    shape_out: Shape
    window: Window
    padding: int  # the code of real 0 in the input
    product: Part | None
    first: Part | None = None  # the depthwise convolution, the pool or the gate before the product
    image: bool = False  # whether the input is the image
    sum: Sum | None = None
    gate: tuple[int, int] | None = None  # the steps that write the gated image and its factors

    @property
    def name(self) -> str:
        """Return the names of its layers: "dw1 + pw1"."""
        return " + ".join(part.name for part in (self.first, self.product, self.sum) if part)

    @property
    def last(self) -> Part:
        """Return the product, or what takes its place."""
        part = self.product or self.first
        assert part is not None
        return part

    @property
    def rule(self) -> Rule:
        """Return the rule of the codes that it writes."""
        return self.sum.rule if self.sum else self.last.rule

    @property
    def depth(self) -> int:
        """Return the codes that are gathered for a pixel: those that make one sum of the product."""
        return int(self.product.weight[0].size) if self.product else self.shape_in[2]


def steps_of(model: QuantModel) -> tuple[Step, ...]:
    """Return the steps of `model`, the classifier's last.

    Raises `NetworkError` for an op that the engine does not handle, `CompileError` for a network that ends in its maps.
    """
    graph, sources = model.graph, model.sources()
    MICRO.check(graph.ops)
    if model.network.output not in OUTPUTS:
        raise CompileError(f"output {model.network.output!r}: the engine for microcontrollers needs a classifier")
    writers = Writers()
    padding = model.activations["image"].zero_point - LOW
    for layer in model.integer_layers():
        if OPS[layer.op.kind].role == "activation":
            before, zero = sources[layer.name][0], model.activations[layer.name].zero_point
            writers.activate(replace(_rule(before, None), table=table_of(model, layer), padding=zero - LOW))
        elif layer.op.kind == "multiply":
            writers.multiply(layer, _gate(model, layer, sources[layer.name], writers))
        elif layer.op.kind == "add":
            codes = writers.padding, writers.padding_of(layer.sources[1])
            writers.add(_sum(model, layer, sources[layer.name], codes, writers.of_layer[layer.sources[1]]))
        else:
            writers.append(layer, _part(model, layer, sources[layer.name][0], padding), padding)
        padding = writers.padding
    return tuple(writers.steps)


class Writers:
    """Collects the steps of the layers that it is given in execution order, and which step writes what."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.waiting: tuple[Layer, Part, int] | None = None  # a depthwise convolution, pool or gate, its padding
        self.of_layer = [-1]  # the step of each layer, the image first

    @property
    def padding(self) -> int:
        """Return the code of real 0 in what was written last."""
        return (self.waiting[1].rule if self.waiting else self.steps[-1].rule).padding

    def append(self, layer: Layer, part: Part, padding: int) -> None:
        """Append a layer with sums, which takes codes whose real 0 is `padding`."""
        if self.waiting and layer.op.kind == "global_average_pool":
            self.steps.append(self._taken(layer, None))
        self.of_layer.append(len(self.steps))
        if layer.op.kind in ("depthwise", "global_average_pool"):
            self.waiting = layer, part, padding
        else:
            self.steps.append(self._taken(layer, part) if self.waiting else _step(layer, part, padding))

    def _taken(self, layer: Layer, product: Part | None) -> Step:
        """Return the step of the layer that waits, with the product of `layer` behind it or none."""
        assert self.waiting is not None
        (before, first, padding), self.waiting = self.waiting, None
        op = before.op
        window = Window(op.kernel, op.stride, *op.padding[:2])
        shape_out = layer.op.shape_out if product else op.shape_out
        gate = (self.of_layer[before.sources[0]], self.of_layer[before.sources[1]]) if op.kind == "multiply" else None
        return Step(_GATHERS[op.kind], op.shape_in, shape_out, window, padding, product, first, gate=gate)

    def multiply(self, layer: Layer, part: Part) -> None:
        """Multiply an earlier image by the codes of the last step, for the product behind."""
        self.of_layer.append(len(self.steps))
        self.waiting = layer, part, self.padding_of(layer.sources[0])

    def activate(self, rule: Rule) -> None:
        """Give the layer before another rule, that of the hard swish behind it."""
        self.of_layer.append(self.of_layer[-1])
        if self.waiting:
            layer, part, padding = self.waiting
            self.waiting = layer, replace(part, rule=rule), padding
        else:
            step = self.steps[-1]
            self.steps[-1] = replace(step, product=replace(step.last, rule=rule))

    def add(self, sum: Sum) -> None:
        """Add an earlier image to what the last step writes."""
        self.of_layer.append(self.of_layer[-1])
        self.steps[-1] = replace(self.steps[-1], sum=sum)

    def padding_of(self, source: int) -> int:
        """Return the code of real 0 in what a layer has written."""
        return self.steps[self.of_layer[source]].rule.padding


def _sum(model: QuantModel, layer: Layer, sources: tuple[QuantParams, ...], codes: tuple[int, int], writer: int) -> Sum:
    """Return the sum of `layer`, whose inputs have real 0 at `codes`, in the arithmetic of `quant.elementwise.add`."""
    target = model.activations[layer.name]
    (first, second), _, shift = add_terms((sources[0], sources[1]), target)
    bias = (1 << (shift - 1)) - first * codes[0] - second * codes[1]
    rule = _rule(target, limits(target, layer.activation) if layer.activation else None)
    return Sum(layer.name, writer, (first, second), bias, shift, rule)


def _gate(model: QuantModel, layer: Layer, sources: tuple[QuantParams, ...], writers: Writers) -> Part:
    """Return the product by a gate, whose `weight_zero` is the gate's code of real 0."""
    target = model.activations[layer.name]
    factor = np.array([product_factor((sources[0], sources[1]), target)], np.float32)
    zero = writers.padding_of(layer.sources[1])
    return Part(layer.name, np.zeros(1, np.int32), factor, _rule(target, None), weight_zero=zero)


def _step(layer: Layer, part: Part, padding: int) -> Step:
    op = layer.op
    window = Window(op.kernel, op.stride, *op.padding[:2])
    return Step("window", op.shape_in, op.shape_out, window, padding, part, image=layer.sources == (0,))


def _part(model: QuantModel, layer: Layer, source: QuantParams, padding: int) -> Part:
    target = model.activations[layer.name]
    if layer.op.kind == "global_average_pool":
        h, w, _ = layer.op.shape_in
        bias = np.array([h * w * (source.zero_point - padding - pool_zero(source, target))], np.int32)
        factor = pool_multiplier(h * w, source, target).reshape(1)
        # sums of codes whose padding is 0 are not negative
        rule = _rule(target, None) if padding else Rule(0, 0, HIGH - target.zero_point)
        return Part(layer.name, bias, factor, rule)
    integers = model.layers[layer.name]
    rule = _rule(target, limits(target, layer.activation) if layer.activation else None)
    bias, factor = _bias(integers, padding), multipliers(integers, source, target)
    return Part(layer.name, bias, factor, rule, integers.weight, integers.zero_point)


def _rule(target: QuantParams, ends: tuple[int, int] | None) -> Rule:
    """Return the rule of a layer, with the limits of its ReLU if it has one."""
    if ends is None:
        zero = target.zero_point - LOW
        return Rule(zero, 0, HIGH - LOW, padding=zero)
    low, high = ends
    return Rule(0, low - target.zero_point, high - target.zero_point)


def _bias(layer: IntegerLayer, padding: int) -> Sums:
    """Return (out,): what sums of codes begin with, modulo 2^32 as they are."""
    weights = layer.weight.astype(np.int64).reshape(len(layer.weight), -1) - layer.zero_point
    bias: Sums = (layer.bias - weights.sum(axis=1) * padding).astype(np.uint32).view(np.int32)
    return bias

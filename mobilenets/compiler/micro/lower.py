"""Lower an int8 network to steps for a microcontroller.

Each step gathers codes and multiplies them: a convolution gathers its windows, a depthwise convolution or the pool
computes what the product behind it reads. A code is the byte that stands for an int8 integer q: q - zero point where a
ReLU lets nothing else through, so that padding is 0, and q + 128 elsewhere.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ...arch.layers import Layer
from ...arch.ops import OUTPUTS, Consumer, Shape
from ...arrays import Floats, Integers
from ...errors import CompileError
from ...quant.elementwise import add_terms, hard_swish_table
from ...quant.scheme import (
    HIGH,
    LOW,
    IntegerLayer,
    QuantModel,
    QuantParams,
    Sums,
    integer_layers,
    limits,
    multipliers,
    pool_multiplier,
)
from ..program import Window

__all__ = ["MICRO", "Part", "Rule", "Step", "Sum", "Writers", "steps_of"]

_AFTER = (None, "relu", "relu6", "hard_swish")

MICRO = Consumer(
    "the engine for microcontrollers",
    handles="input conv depthwise pointwise add relu relu6 hard_swish global_average_pool fully_connected softmax "
    "sigmoid l2_normalise".split(),
    refuses=["batch_norm", "hard_sigmoid", "multiply"],  # batch norm is folded before
    activations={**dict.fromkeys(("conv", "depthwise", "pointwise"), _AFTER), "add": (None, "relu", "relu6")},
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a scaled sum becomes a code: rounded, plus `zero`, at least `low`, at most `high`, then by `table`."""

    zero: int
    low: int
    high: int
    table: np.ndarray[Any, np.dtype[np.uint8]] | None = None  # of a hard swish
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

    gather: Literal["window", "depthwise", "pool"]
    shape_in: Shape
    shape_out: Shape
    window: Window
    padding: int  # the code of real 0 in the input
    product: Part
    first: Part | None = None  # the depthwise convolution or the pool before the product
    image: bool = False  # whether the input is the image
    sum: Sum | None = None

    @property
    def name(self) -> str:
        """Return the names of its layers: "dw1 + pw1"."""
        return " + ".join(part.name for part in (self.first, self.product, self.sum) if part)

    @property
    def rule(self) -> Rule:
        """Return the rule of the codes that it writes."""
        return self.sum.rule if self.sum else self.product.rule

    @property
    def depth(self) -> int:
        """Return the codes that make one sum of the product."""
        return int(self.product.weight[0].size)


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
    for layer in integer_layers(graph):
        if layer.op.kind == "hard_swish":
            before, target = sources[layer.name][0], model.activations[layer.name]
            table = (hard_swish_table(before, target).astype(np.int16) - LOW).astype(np.uint8)
            writers.activate(replace(_rule(before, None), table=table, padding=target.zero_point - LOW))
        elif layer.op.kind == "add":
            codes = writers.codes_of(layer)
            writers.add(_sum(model, layer, sources[layer.name], codes, writers.writer_of(layer.sources[1])))
        else:
            writers.append(layer, _part(model, layer, sources[layer.name][0], padding), padding)
        padding = writers.padding
    return tuple(writers.steps)


class Writers:
    """Collects the steps of the layers that it is given in execution order, and which step writes what."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.waiting: tuple[Layer, Part, int] | None = None  # a depthwise convolution or the pool, its padding
        self.of_layer = [-1]  # the step of each layer, the image first

    @property
    def padding(self) -> int:
        """Return the code of real 0 in what was written last."""
        return (self.waiting[1].rule if self.waiting else self.steps[-1].rule).padding

    def writer_of(self, source: int) -> int:
        """Return the number of the step that writes the output of a layer."""
        return self.of_layer[source]

    def append(self, layer: Layer, part: Part, padding: int) -> None:
        """Append a layer with sums, which takes codes whose real 0 is `padding`."""
        self.of_layer.append(len(self.steps))
        if layer.op.kind in ("depthwise", "global_average_pool"):
            self.waiting = layer, part, padding
        else:
            step = _fused(self.waiting, layer, part) if self.waiting else _step(layer, part, padding)
            self.steps.append(step)
            self.waiting = None

    def activate(self, rule: Rule) -> None:
        """Give the layer before another rule, that of the hard swish behind it."""
        self.of_layer.append(self.of_layer[-1])
        if self.waiting:
            layer, part, padding = self.waiting
            self.waiting = layer, replace(part, rule=rule), padding
        else:
            step = self.steps[-1]
            self.steps[-1] = replace(step, product=replace(step.product, rule=rule))

    def add(self, sum: Sum) -> None:
        """Add an earlier image to what the last step writes."""
        self.of_layer.append(self.of_layer[-1])
        self.steps[-1] = replace(self.steps[-1], sum=sum)

    def codes_of(self, layer: Layer) -> tuple[int, int]:
        """Return the code of real 0 in both inputs of a sum."""
        return self.padding, self.steps[self.of_layer[layer.sources[1]]].rule.padding


def _sum(model: QuantModel, layer: Layer, sources: tuple[QuantParams, ...], codes: tuple[int, int], writer: int) -> Sum:
    """Return the sum of `layer`, whose inputs have real 0 at `codes`, in the arithmetic of `quant.elementwise.add`."""
    target = model.activations[layer.name]
    (first, second), _, shift = add_terms((sources[0], sources[1]), target)
    bias = (1 << (shift - 1)) - first * codes[0] - second * codes[1]
    rule = _rule(target, limits(target, layer.activation) if layer.activation else None)
    return Sum(layer.name, writer, (first, second), bias, shift, rule)


def _step(layer: Layer, part: Part, padding: int) -> Step:
    op = layer.op
    window = Window(op.kernel, op.stride, *op.padding[:2])
    return Step("window", op.shape_in, op.shape_out, window, padding, part, image=layer.sources == (0,))


def _fused(waiting: tuple[Layer, Part, int], layer: Layer, part: Part) -> Step:
    op, first, padding = waiting[0].op, waiting[1], waiting[2]
    window = Window(op.kernel, op.stride, *op.padding[:2])
    gather: Literal["depthwise", "pool"] = "depthwise" if op.kind == "depthwise" else "pool"
    return Step(gather, op.shape_in, layer.op.shape_out, window, padding, part, first)


def _part(model: QuantModel, layer: Layer, source: QuantParams, padding: int) -> Part:
    target = model.activations[layer.name]
    if layer.op.kind == "global_average_pool":
        h, w, _ = layer.op.shape_in
        bias = np.array([-h * w * padding], np.int32)
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

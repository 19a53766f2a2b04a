"""The C of steps in int8.

An image of bytes has no border: the pixels that a convolution reads, padding included, are copied to `scratch`.
"""

from dataclasses import dataclass

from ..program import Kind, Step
from .format import Body, call, parted, row_groups

__all__ = ["BODIES", "Expansion", "Rule", "Scaling"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule by which the sums of a layer are converted to bytes; a byte is q + 128."""

    source: int  # the input's zero point
    weight: int  # the weights' own, an int8
    zero: int  # the output's
    low: int  # the smallest and the largest value of the activation
    high: int

    @property
    def clamp(self) -> tuple[int, int, int]:
        """Return the zero point and the limits of the output, as the kernels take them."""
        return self.zero, self.low, self.high


@dataclass(frozen=True, slots=True)
class Scaling:
    """The part of a step that only int8 reads."""

    rules: tuple[Rule, ...]  # of the depthwise convolution, if there is one, and of the step
    terms: tuple[int, ...] = ()  # of a sum: the multipliers of output and input, the bias and the shift
    factor: float = 0.0  # of the sums of a pool or a gate; of an output, the scale of the logits
    deep: int = 0  # bytes of depth in a tile of AMX, or that an instruction of i8mm multiplies
    expansion: "Expansion | None" = None
    paired: bool = False  # pixels lie in pairs, eight bytes of each in turn, as i8mm reads them

    @property
    def rule(self) -> Rule:
        """Return the rule of the step's output."""
        return self.rules[-1]


@dataclass(frozen=True, slots=True)
class Expansion:
    """The expanded map in the scratch of a step, some rows at a time; offsets in bytes."""

    channels: int
    map: int  # behind the codes of the input
    columns: int  # behind the map


def _conv(step: Step[Scaling]) -> list[str]:
    a, b, w, t, rule = step.input, step.output, step.window, step.tile, step.own.rule
    seen = ("in", a.height, a.width, a.channels, f"y * {w.stride} - {w.top}", 3, w.left, rule.source)
    read = ("scratch", 3, "pitch", w.stride * a.channels, "groups", "w", rule.weight, "bias", "factor", *rule.clamp)
    written = (f"out + y * {b.width * b.channels}", b.channels, b.width)
    return parted(
        step,
        f"const int groups = (3 * {a.channels} + GROUP - 1) / GROUP, "
        f"pitch = {(b.width - 1) * w.stride * a.channels} + groups * GROUP;",
        "for (int y = first; y < last; y++) {",
        f"    {call('int8_rows', *seen, 'scratch', 'pitch')}",
        f"    {call(f'int8_product{t.vector}', t.mr, t.nr, *read, *written)}",
        "}",
    )


def _separable(step: Step[Scaling]) -> list[str]:
    a, b, w, lanes, inner = step.input, step.output, step.window, step.tile.lanes, step.own.rules[0]
    columns = ((b.width - 1) * w.stride + 3) * lanes
    seen = ("in", a.height, a.width, a.channels, w.stride, w.top, w.left)
    read = ("dw", inner.weight, "dw_bias", "dw_factor", inner.source, *inner.clamp)
    name = f"int8_depthwise{'_pairs' * step.own.paired}{lanes}"
    depthwise = call(name, *seen, *read, "columns", "rows", b.width, "y", "end")
    return parted(
        step,
        f"code *columns = scratch, *rows = columns + {columns} * GROUP * PLANES;",
        *row_groups(step, depthwise, _product(step, "rows", "y", f"(end - y) * {b.width}")),
    )


def _expanded(step: Step[Scaling]) -> list[str]:
    """Return lines that expand the rows which the group before has not, and keep those that it has."""
    a, b, w, t, (outer, inner, _) = step.input, step.output, step.window, step.tile, step.own.rules
    own = step.own.expansion
    assert own is not None
    row, columns = a.width * own.channels, ((b.width - 1) * w.stride + 3) * t.lanes
    seen = ("in", a.height, a.width, a.channels, "low + kept", "high - low - kept", 0, 0, "seen", a.width * a.channels)
    codes = (t.ex_mr, t.dw_nr, "seen", 1, 0, a.channels, f"{a.channels} / GROUP", "ex", outer.weight)
    expanded = (f"map + kept * {row}", own.channels, f"(high - low - kept) * {a.width}")
    taps = ("dw", inner.weight, "dw_bias", "dw_factor", inner.source, *inner.clamp)
    read = ("map", "high - low", a.width, own.channels, w.stride, "low - from", w.left)
    product = ("rows", 1, 0, own.channels, f"{own.channels} / GROUP", "w", step.own.rule.weight, "bias", "factor")
    written = (f"out + y * {b.width * b.channels}", b.channels, f"(end - y) * {b.width}")
    return parted(
        step,
        f"uint8_t *map = (uint8_t *)scratch + {own.map};",
        f"code *seen = scratch, *columns = (code *)((uint8_t *)scratch + {own.columns});",
        f"code *rows = columns + {columns} * GROUP * PLANES;",
        "int begin = 0, done = 0; /* rows of the map */",
        *row_groups(
            step,
            f"const int from = y * {w.stride} - {w.top}, to = (end - 1) * {w.stride} - {w.top} + 3;",
            f"const int low = from < 0 ? 0 : from, high = to > {a.height} ? {a.height} : to;",
            "const int kept = y > first ? done - low : 0;",
            f"if (kept) __builtin_memmove(map, map + (low - begin) * {row}, (size_t)(kept * {row}));",
            call("int8_rows", *seen),
            call(f"int8_product{t.vector}", *codes, "ex_bias", "ex_factor", *outer.clamp, *expanded),
            call(f"int8_depthwise{t.lanes}", *read, *taps, "columns", "rows", b.width, 0, "end - y"),
            call(f"int8_product{t.vector}", t.mr, t.nr, *product, *step.own.rule.clamp, *written),
            "begin = low, done = high;",
        ),
    )


def _pointwise(step: Step[Scaling]) -> list[str]:
    a = step.input
    seen = ("in", a.height, a.width, a.channels, "y", "end - y", 0, 0, "scratch", a.width * a.channels)
    product = _product(step, "scratch", "y", f"(end - y) * {a.width}")
    return parted(step, *row_groups(step, call("int8_rows", *seen), product))


def _pointwise_tiles(step: Step[Scaling]) -> list[str]:
    """Return lines that read bytes in place, which AMX takes as they are, or bring pixels into pairs."""
    a = step.input
    row = a.width * a.channels
    if step.own.paired:
        return parted(
            step,
            "for (int y = first; y < last; y++) {",
            f"    {call('int8_pairs', f'in + y * {row}', a.width, a.channels, 'scratch')}",
            f"    {_product(step, 'scratch', 'y', f'{a.width}')}",
            "}",
        )
    return parted(step, _product(step, f"in + first * {row}", "first", f"(last - first) * {step.output.width}"))


def _product(step: Step[Scaling], codes: str, first: str, count: str) -> str:
    """Return the call that computes `count` pixels of the output from row `first` on, from the input at `codes`."""
    a, b, t, own, rule = step.input, step.output, step.tile, step.own, step.own.rule
    name = "int8_pointwise_tiles" if own.deep else "int8_product"
    depth = (a.channels, own.deep) if own.deep else (1, 0, a.channels, f"{a.channels} / GROUP")
    read = (codes, *depth, "w", rule.weight, "bias", "factor", *rule.clamp)
    written = (f"out + {first} * {b.width * b.channels}", b.channels, count)
    return call(f"{name}{t.vector}", t.mr, t.nr, *read, *written)


def _panels(step: Step[Scaling]) -> list[str]:
    """Return lines that read a pixel as it is where it consists of codes, as a pool writes them, or copy it first."""
    rule, t, depth = step.own.rule, step.tile, step.input.channels
    panel, codes = t.nr * t.vector, "scratch" if step.scratch else "in"
    read = (codes, 1, 0, 0, f"{depth} / GROUP", f"w + n * {depth}", rule.weight, "bias + n", "factor + n", *rule.clamp)
    copy = [call("int8_rows", "in", 1, 1, depth, 0, 1, 0, 0, "scratch", depth)] if step.scratch else []
    return parted(
        step,
        *copy,
        f"for (int n = first * {panel}; n < last * {panel}; n += {panel})",
        f"    {call(f'int8_panel{t.vector}', 1, t.nr, *read, 'out + n', panel, panel, 1)}",
    )


def _depthwise(step: Step[Scaling]) -> list[str]:
    a, b, w, rule = step.input, step.output, step.window, step.own.rule
    seen = (w.kernel, "in", a.height, a.width, a.channels, w.stride, w.top, w.left)
    read = ("dw", rule.weight, "dw_bias", "dw_factor", rule.source, *rule.clamp)
    written = ("scratch" if step.scratch else "NULL", "out", b.width, "first", "last")
    return parted(step, call(f"int8_depthwise_any{step.tile.vector}", *seen, *read, *written))


def _pool(step: Step[Scaling]) -> list[str]:
    a, own = step.input, step.own
    read = ("in", a.height * a.width, a.channels, own.rule.source, f"{own.factor!r}f", *own.rule.clamp)
    return [f"if (part == 0) {call(f'int8_pool{step.tile.vector}', *read, 'out')}"]


def _add(step: Step[Scaling]) -> list[str]:
    row = step.output.width * step.output.channels
    read = ("in", *step.own.terms, *step.own.rule.clamp)
    return parted(step, call(f"int8_add{step.tile.vector}", *read, "out", f"first * {row}", f"last * {row}"))


def _multiply(step: Step[Scaling]) -> list[str]:
    b, own = step.output, step.own
    zeros = [rule.source for rule in own.rules]
    read = ("in", b.channels, *zeros, f"{own.factor!r}f", *own.rule.clamp)
    return parted(step, call(f"int8_scale{step.tile.vector}", *read, "out", f"first * {b.width}", f"last * {b.width}"))


def _look_up(step: Step[Scaling]) -> list[str]:
    row = step.output.width * step.output.channels
    return ["(void)in;", *parted(step, call("int8_look_up", "table", "out", f"first * {row}", f"last * {row}"))]


def _output(step: Step[Scaling]) -> list[str]:
    own = step.own
    return [
        "if (part == 0) {",
        f"    {call('int8_logits', 'in', step.depth, f'{own.factor!r}f', own.rule.zero, 'scratch')}",
        f"    {call(step.kind.op, 'scratch', step.depth, 'out')}",
        "}",
    ]


_VECTORS = ("intrinsics", "int8_vectors", "int8_dot")
_TILES = ("int8_tile", "int8_product", "tiles", "int8_pointwise_tiles")

BODIES = {
    Kind("conv", "int8"): Body((*_VECTORS, "int8_rows", "int8_tile", "int8_product"), _conv),
    Kind("separable", "int8"): Body((*_VECTORS, "int8_depthwise", "int8_tile", "int8_product"), _separable),
    Kind("separable", "int8", True): Body((*_VECTORS, "int8_depthwise", *_TILES), _separable),
    Kind("expanded", "int8"): Body((*_VECTORS, "int8_rows", "int8_depthwise", "int8_tile", "int8_product"), _expanded),
    Kind("pointwise", "int8"): Body((*_VECTORS, "int8_rows", "int8_tile", "int8_product"), _pointwise),
    Kind("pointwise", "int8", True): Body((*_VECTORS, *_TILES), _pointwise_tiles),
    Kind("pool", "int8"): Body((*_VECTORS, "int8_pool"), _pool),
    Kind("fully_connected", "int8"): Body((*_VECTORS, "int8_rows", "int8_tile", "int8_product"), _panels),
    Kind("depthwise", "int8"): Body((*_VECTORS, "int8_depthwise_any"), _depthwise),
    Kind("dense", "int8"): Body((*_VECTORS, "int8_tile", "int8_product"), _panels),
    Kind("add", "int8"): Body((*_VECTORS, "int8_widen", "int8_add"), _add),
    Kind("multiply", "int8"): Body((*_VECTORS, "int8_widen", "int8_scale"), _multiply),
    Kind("hard_swish", "int8"): Body(("int8_look_up",), _look_up),
    Kind("hard_sigmoid", "int8"): Body(("int8_look_up",), _look_up),
    Kind("softmax", "int8"): Body(("int8_logits", "exponential", "softmax"), _output),
    Kind("sigmoid", "int8"): Body(("int8_logits", "exponential", "sigmoid"), _output),
    Kind("l2_normalise", "int8"): Body(("int8_logits", "l2_normalise"), _output),
}

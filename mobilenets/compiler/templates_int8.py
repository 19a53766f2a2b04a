"""The body of each kind of int8 step in C, see templates.py.

An image of bytes has no border: what convolutions see of it is put side by side in `scratch`, borders and all.
"""

from collections.abc import Callable

from .program import Rule, Step

__all__ = ["INT8_KERNELS", "INT8_TEMPLATES"]

_VECTORS = ("intrinsics", "int8_vectors", "int8_dot")
_TILES = ("int8_product", "tiles", "int8_pointwise_tiles")
INT8_KERNELS: dict[str, tuple[str, ...]] = {
    "int8_conv": (*_VECTORS, "int8_rows", "int8_product"),
    "int8_separable": (*_VECTORS, "int8_depthwise", "int8_product"),
    "int8_separable_tiles": (*_VECTORS, "int8_depthwise", *_TILES),
    "int8_pointwise": (*_VECTORS, "int8_rows", "int8_product"),
    "int8_pointwise_tiles": (*_VECTORS, *_TILES),
    "int8_pool": (*_VECTORS, "int8_pool"),
    "int8_fully_connected": (*_VECTORS, "int8_product"),
    "int8_depthwise": (*_VECTORS, "int8_depthwise_any"),
    "int8_dense": (*_VECTORS, "int8_product"),
    "int8_add": ("int8_add",),
    "int8_multiply": (*_VECTORS, "int8_scale"),
    "int8_hard_swish": ("int8_look_up",),
    "int8_softmax": ("int8_logits", "exponential", "softmax"),
    "int8_sigmoid": ("int8_logits", "exponential", "sigmoid"),
    "int8_l2_normalise": ("int8_logits", "l2_normalise"),
}


def _conv(step: Step) -> list[str]:
    a, b, rule = step.input, step.output, step.rules[-1]
    groups = f"(3 * {a.channels} + GROUP - 1) / GROUP"
    pitch = f"{(b.width - 1) * step.stride * a.channels} + groups * GROUP"
    return [
        _rows(step),
        f"const int groups = {groups}, pitch = {pitch};",
        "for (int y = first; y < last; y++) {",
        f"    int8_rows(in, {a.height}, {a.width}, {a.channels}, y * {step.stride} - {1 - step.down}, 3, "
        f"{1 - step.right}, {rule.source}, scratch, pitch);",
        f"    int8_product{step.vector}({step.mr}, {step.nr}, scratch, 3, pitch, {step.stride * a.channels}, groups, "
        f"w, {rule.weight}, bias, factor, {_clamp(rule)}, out + y * {b.width * b.channels}, {b.channels}, {b.width});",
        "}",
    ]


def _separable(step: Step) -> list[str]:
    a, b, inner = step.input, step.output, step.rules[0]
    columns = ((b.width - 1) * step.stride + 3) * step.lanes
    return [
        _rows(step),
        f"code *columns = scratch, *rows = columns + {columns} * GROUP * PLANES;",
        f"for (int y = first; y < last; y += {step.rows}) {{",
        f"    const int end = y + {step.rows} < last ? y + {step.rows} : last;",
        f"    int8_depthwise{step.lanes}(in, {a.height}, {a.width}, {a.channels}, {step.stride}, {1 - step.down}, "
        f"{1 - step.right}, dw, {inner.weight}, dw_bias, dw_factor, {inner.source}, {_clamp(inner)}, columns, rows, "
        f"{b.width}, y, end);",
        f"    {_product(step, 'rows', 'y', f'(end - y) * {b.width}')}",
        "}",
    ]


def _pointwise(step: Step) -> list[str]:
    a = step.input
    row = a.width * a.channels
    return [
        _rows(step),
        "for (int y = first; y < last; y++) {",
        f"    int8_rows(in, {a.height}, {a.width}, {a.channels}, y, 1, 0, 0, scratch, {row});",
        f"    {_product(step, 'scratch', 'y', f'{a.width}')}",
        "}",
    ]


def _pointwise_tiles(step: Step) -> list[str]:
    """Bytes are codes there, so they are read where they lie."""
    row = step.input.width * step.input.channels
    return [_rows(step), _product(step, f"in + first * {row}", "first", f"(last - first) * {step.output.width}")]


def _product(step: Step, codes: str, first: str, count: str) -> str:
    """`count` pixels of the output from row `first` on; `codes`: what they see."""
    a, b, rule = step.input, step.output, step.rules[-1]
    pixel = f"{a.channels}, {step.deep}" if step.deep else f"1, 0, {a.channels}, {a.channels} / GROUP"
    return (
        f"{'int8_pointwise_tiles' if step.deep else 'int8_product'}{step.vector}({step.mr}, {step.nr}, {codes}, "
        f"{pixel}, w, {rule.weight}, bias, factor, {_clamp(rule)}, out + {first} * {b.width * b.channels}, "
        f"{b.channels}, {count});"
    )


def _pool(step: Step) -> list[str]:
    a, rule = step.input, step.rules[-1]
    return [
        f"if (part == 0) int8_pool{step.vector}(in, {a.height * a.width}, {a.channels}, {rule.source}, "
        f"{step.factor!r}f, {_clamp(rule)}, out);"
    ]


def _fully_connected(step: Step) -> list[str]:
    rule, panel = step.rules[-1], step.nr * step.vector
    return [
        _rows(step),
        f"for (int n = first * {panel}; n < last * {panel}; n += {panel})",
        f"    int8_panel{step.vector}(1, {step.nr}, in, 1, 0, 0, {step.depth} / GROUP, w + n * {step.depth}, "
        f"{rule.weight}, bias + n, factor + n, {_clamp(rule)}, out + n, {panel}, {panel}, 1);",
    ]


def _depthwise(step: Step) -> list[str]:
    a, b, rule = step.input, step.output, step.rules[-1]
    return [
        _rows(step),
        f"int8_depthwise_any{step.vector}(in, {a.height}, {a.width}, {a.channels}, {step.kernel}, {step.stride}, "
        f"{step.padding[0]}, {step.padding[1]}, dw, {rule.weight}, dw_bias, dw_factor, {rule.source}, {_clamp(rule)}, "
        f"out, {b.width}, first, last);",
    ]


def _add(step: Step) -> list[str]:
    b, rule = step.output, step.rules[-1]
    row = b.width * b.channels
    return [
        _rows(step),
        f"int8_add(in, {', '.join(map(str, step.terms))}, {_clamp(rule)}, out, first * {row}, last * {row});",
    ]


def _multiply(step: Step) -> list[str]:
    b, (first, rule) = step.output, step.rules
    return [
        _rows(step),
        f"int8_scale{step.vector}(in, {b.channels}, {first.source}, {rule.source}, {step.factor!r}f, {_clamp(rule)}, "
        f"out, first * {b.width}, last * {b.width});",
    ]


def _hard_swish(step: Step) -> list[str]:
    b = step.output
    row = b.width * b.channels
    return ["(void)in;", _rows(step), f"int8_look_up(table, out, first * {row}, last * {row});"]


def _output(step: Step) -> list[str]:
    return [
        "if (part == 0) {",
        f"    int8_logits(in, {step.depth}, {step.factor!r}f, {step.rules[-1].zero}, scratch);",
        f"    {step.kind.removeprefix('int8_')}(scratch, {step.depth}, out);",
        "}",
    ]


def _rows(step: Step) -> str:
    return f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;"


def _clamp(rule: Rule) -> str:
    return f"{rule.zero}, {rule.low}, {rule.high}"


INT8_TEMPLATES: dict[str, Callable[[Step], list[str]]] = {
    "int8_conv": _conv,
    "int8_separable": _separable,
    "int8_separable_tiles": _separable,
    "int8_pointwise": _pointwise,
    "int8_pointwise_tiles": _pointwise_tiles,
    "int8_pool": _pool,
    "int8_fully_connected": _fully_connected,
    "int8_depthwise": _depthwise,
    "int8_dense": _fully_connected,
    "int8_add": _add,
    "int8_multiply": _multiply,
    "int8_hard_swish": _hard_swish,
    "int8_softmax": _output,
    "int8_sigmoid": _output,
    "int8_l2_normalise": _output,
}

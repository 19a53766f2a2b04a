"""The body of each kind of step in bf16, and of those in floats whose products are made of it, see templates.py."""

from collections.abc import Callable

from .program import SIZES, Step

__all__ = ["BF16_KERNELS", "BF16_TEMPLATES"]

_VECTORS = ("intrinsics", "vectors", "activate", "bf16_dot", "bf16_vectors", "tile", "bf16_tile")
_TILES = (*_VECTORS, "tiles", "bf16_pointwise_tiles")
BF16_KERNELS: dict[str, tuple[str, ...]] = {
    "bf16_image": ("border", "bf16_image"),
    "bf16_conv": ("border", *_VECTORS, "bf16_conv"),
    "bf16_separable": ("border", *_VECTORS, "bf16_depthwise", "bf16_pointwise"),
    "bf16_separable_tiles": ("border", *_TILES, "bf16_depthwise"),
    "split_separable": ("border", *_VECTORS, "depthwise", "bf16_split", "bf16_pointwise"),
    "split_separable_tiles": ("border", *_TILES, "depthwise", "bf16_split"),
    "bf16_pointwise": ("border", *_VECTORS, "bf16_pointwise"),
    "bf16_pool": ("intrinsics", "vectors", "activate", "bf16_dot", "bf16_vectors", "bf16_pool"),
    "bf16_fully_connected": (*_VECTORS, "bf16_fully_connected"),
}


def _image(step: Step) -> list[str]:
    b = step.output
    return [
        _rows(step),
        f"border(out, {b.height}, {b.width}, {b.pixel}, image_border, first, last);",
        f"bf16_image(in, {b.height}, {b.width}, {b.channels}, out, first, last);",
    ]


def _conv(step: Step) -> list[str]:
    a, b = step.input, step.output
    return [
        _rows(step),
        _border(step),
        f"bf16_conv{step.vector}({step.mr}, {step.nr}, in, {a.width}, {a.channels}, {step.stride}, {step.down}, "
        f"{step.right}, w, bias, {step.limit}, out, {b.width}, {b.channels}, first, last);",
    ]


def _bf16_separable(step: Step) -> list[str]:
    a, b = step.input, step.output
    return _in_groups(
        step,
        f"bf16_depthwise{step.lanes}(in, {a.width}, {a.channels}, {step.stride}, {step.down}, {step.right}, dw, "
        f"dw_bias, {step.first_limit}, scratch, {step.pixel}, {b.width}, y, end);",
        _product(step, "scratch"),
    )


def _split_separable(step: Step) -> list[str]:
    """The floats of the depthwise convolution, then the parts of each behind them."""
    a, b = step.input, step.output
    floats = step.rows * b.width * a.channels
    return [
        f"uint16_t *rows = (uint16_t *)((float *)scratch + {floats});",
        *_in_groups(
            step,
            f"depthwise{step.lanes}(in, {a.width}, {a.channels}, {step.stride}, {step.down}, {step.right}, dw, "
            f"dw_bias, {step.first_limit}, scratch, {b.width}, y, end);",
            f"bf16_split{step.lanes}(scratch, {a.channels}, (end - y) * {b.width}, {step.parts}, rows, {step.pixel}, "
            f"{_part(step)});",
            _product(step, "rows"),
        ),
    ]


def _in_groups(step: Step, *lines: str) -> list[str]:
    """Some rows at a time."""
    return [
        _rows(step),
        _border(step),
        f"for (int y = first; y < last; y += {step.rows}) {{",
        f"    const int end = y + {step.rows} < last ? y + {step.rows} : last;",
        *(f"    {line}" for line in lines),
        "}",
    ]


def _part(step: Step) -> int:
    """Elements from one part of the rows in scratch to the next."""
    return step.rows * step.output.width * step.pixel


def _product(step: Step, rows: str) -> str:
    a, b = step.input, step.output
    tiles = step.kind.endswith("_tiles")
    deep = max(deep for deep in range(2, 33, 2) if a.channels % deep == 0)
    depth = f"{a.channels}, {deep}" if tiles else f"{a.channels}"
    kernel = f"bf16_pointwise_tiles{step.vector}(" if tiles else f"bf16_pointwise{step.vector}({step.mr}, "
    return (
        f"{kernel}{step.nr}, {rows}, {step.pixel}, {_part(step)}, {depth}, w, {a.channels * b.channels}, "
        f"{step.parts}, bias, {step.limit}, out, {SIZES[b.element]}, {b.width}, {b.channels}, y * {b.width}, "
        f"end * {b.width});"
    )


def _pointwise(step: Step) -> list[str]:
    a, b = step.input, step.output
    return [
        _rows(step),
        _border(step),
        "for (int y = first; y < last; y++) {",
        f"    const uint16_t *row = in + ((y + 1) * {a.width + 2} + 1) * {a.channels};",
        f"    bf16_pointwise{step.vector}({step.mr}, {step.nr}, row, {a.channels}, 0, {a.channels}, w, 0, 1, bias, "
        f"{step.limit}, out, {SIZES[b.element]}, {b.width}, {b.channels}, y * {b.width}, (y + 1) * {b.width});",
        "}",
    ]


def _pool(step: Step) -> list[str]:
    a = step.input
    return [f"if (part == 0) bf16_pool{step.vector}(in, {a.height}, {a.width}, {a.channels}, out);"]


def _fully_connected(step: Step) -> list[str]:
    panel = step.nr * step.vector
    return [
        _rows(step),
        f"bf16_fully_connected{step.vector}({step.nr}, in, {step.depth}, w, bias, out, first * {panel}, "
        f"last * {panel});",
    ]


def _rows(step: Step) -> str:
    return f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;"


def _border(step: Step) -> str:
    b = step.output
    return f"border(out, {b.height}, {b.width}, {b.pixel}, NULL, first, last);"


BF16_TEMPLATES: dict[str, Callable[[Step], list[str]]] = {
    "bf16_image": _image,
    "bf16_conv": _conv,
    "bf16_separable": _bf16_separable,
    "bf16_separable_tiles": _bf16_separable,
    "split_separable": _split_separable,
    "split_separable_tiles": _split_separable,
    "bf16_pointwise": _pointwise,
    "bf16_pool": _pool,
    "bf16_fully_connected": _fully_connected,
}

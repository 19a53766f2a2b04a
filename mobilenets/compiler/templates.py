"""The body of each kind of step in C: the kernels called with every size a literal.

A body reads `in`, writes `out`, may use `scratch`, and finds its weights under the names of its constants.
"""

from collections.abc import Callable

from .program import Step
from .templates_bf16 import BF16_KERNELS, BF16_TEMPLATES
from .templates_int8 import INT8_KERNELS, INT8_TEMPLATES

__all__ = ["KERNELS", "OF_BOTH", "OF_LANES", "TEMPLATES", "Template"]

Template = Callable[[Step], list[str]]

# kind of step -> its kernels; those of vectors have a copy for each width
KERNELS: dict[str, tuple[str, ...]] = {
    "image": ("border", "image"),
    "conv": ("border", "vectors", "activate", "tile", "conv"),
    "separable": ("border", "vectors", "activate", "tile", "depthwise", "pointwise"),
    "separable_any": ("border", "vectors", "activate", "tile", "depthwise_any", "pointwise"),
    "depthwise": ("border", "vectors", "activate", "depthwise_any"),
    "pointwise": ("border", "vectors", "activate", "tile", "pointwise"),
    "dense": ("vectors", "activate", "tile", "dense"),
    "add": ("vectors", "activate", "elementwise"),
    "multiply": ("vectors", "activate", "elementwise"),
    "pool": ("pool",),
    "fully_connected": ("vectors", "activate", "tile", "fully_connected"),
    "softmax": ("exponential", "softmax"),
    "sigmoid": ("exponential", "sigmoid"),
    "l2_normalise": ("l2_normalise",),
    **BF16_KERNELS,
    **INT8_KERNELS,
}
# kernels whose vectors are those of the depthwise part
OF_LANES = ("depthwise", "depthwise_any", "bf16_depthwise", "bf16_split", "int8_depthwise")
OF_BOTH = ("vectors", "activate", "bf16_vectors", "int8_vectors", "int8_dot")  # kernels that both parts of a step need


def _image(step: Step) -> list[str]:
    b = step.output
    return [
        _rows(step),
        f"border(out, {b.height}, {b.width}, {b.pixel}, image_border, first, last);",
        f"image(in, {b.width}, {b.channels}, out, first, last);",
    ]


def _conv(step: Step) -> list[str]:
    a, b = step.input, step.output
    return [
        _rows(step),
        _border(step),
        f"conv{step.vector}({step.mr}, {step.nr}, in, {a.width}, {a.channels}, {step.depth}, {step.stride}, "
        f"{step.down}, {step.right}, w, bias, {step.limit}, out, {b.width}, {b.channels}, first, last);",
    ]


def _separable(step: Step) -> list[str]:
    a, b = step.input, step.output
    depthwise = (
        f"depthwise{step.lanes}(in, {a.width}, {a.channels}, {step.stride}, {step.down}, {step.right}, "
        f"dw, dw_bias, {step.first_limit}, scratch, {b.width}, y, end);"
    )
    if step.kind == "separable_any":
        depthwise = _depthwise_any(step, step.first_limit, "scratch", b.width * a.channels, "y, end")
    return [
        _rows(step),
        _border(step),
        f"for (int y = first; y < last; y += {step.rows}) {{",
        f"    const int end = y + {step.rows} < last ? y + {step.rows} : last;",
        f"    {depthwise}",
        f"    pointwise{step.vector}({step.mr}, {step.nr}, scratch, {a.channels}, {step.depth}, w, bias, "
        f"{step.limit}, out, {b.width}, {b.channels}, y * {b.width}, end * {b.width});",
        "}",
    ]


def _depthwise(step: Step) -> list[str]:
    b = step.output
    row = (b.width + 2) * b.channels
    to = f"out + (first + 1) * {row} + {b.channels}"
    return [_rows(step), _border(step), _depthwise_any(step, step.limit, to, row, "first, last")]


def _depthwise_any(step: Step, limit: int, to: str, row: int, rows: str) -> str:
    a = step.input
    return (
        f"depthwise_any{step.lanes}(in, {a.height}, {a.width}, {a.channels}, {step.kernel}, {step.stride}, "
        f"{step.padding[0]}, {step.padding[1]}, dw, dw_bias, {limit}, {to}, {row}, {step.output.width}, {rows});"
    )


def _dense(step: Step) -> list[str]:
    panel = step.nr * step.vector
    return [
        _rows(step),
        f"dense{step.vector}({step.nr}, in, {step.depth}, w, bias, {step.limit}, out, first * {panel}, "
        f"last * {panel});",
    ]


def _add(step: Step) -> list[str]:
    b = step.output
    return [_rows(step), f"add{step.vector}(in, {b.width}, {b.channels}, {step.limit}, out, first, last);"]


def _multiply(step: Step) -> list[str]:
    b = step.output
    return [_rows(step), f"scale{step.vector}(in, {b.width}, {b.channels}, out, first, last);"]


def _pointwise(step: Step) -> list[str]:
    a, b = step.input, step.output
    return [
        _rows(step),
        _border(step),
        "for (int y = first; y < last; y++) {",
        f"    const float *row = in + ((y + 1) * {a.width + 2} + 1) * {a.channels};",
        f"    pointwise{step.vector}({step.mr}, {step.nr}, row, {a.channels}, {step.depth}, w, bias, {step.limit}, "
        f"out, {b.width}, {b.channels}, y * {b.width}, (y + 1) * {b.width});",
        "}",
    ]


def _pool(step: Step) -> list[str]:
    a = step.input
    return [f"if (part == 0) pool(in, {a.height}, {a.width}, {a.channels}, out);"]


def _fully_connected(step: Step) -> list[str]:
    panel = step.nr * step.vector
    return [
        _rows(step),
        f"fully_connected{step.vector}({step.nr}, in, {step.depth}, w, bias, out, first * {panel}, last * {panel});",
    ]


def _output(step: Step) -> list[str]:
    return [f"if (part == 0) {step.kind}(in, {step.depth}, out);"]


def _rows(step: Step) -> str:
    return f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;"


def _border(step: Step) -> str:
    b = step.output
    return f"border(out, {b.height}, {b.width}, {b.pixel}, NULL, first, last);"


TEMPLATES: dict[str, Template] = {
    "image": _image,
    "conv": _conv,
    "separable": _separable,
    "separable_any": _separable,
    "depthwise": _depthwise,
    "pointwise": _pointwise,
    "dense": _dense,
    "add": _add,
    "multiply": _multiply,
    "pool": _pool,
    "fully_connected": _fully_connected,
    "softmax": _output,
    "sigmoid": _output,
    "l2_normalise": _output,
    **BF16_TEMPLATES,
    **INT8_TEMPLATES,
}

"""The C of steps in fp32; what takes the same arguments in bf16 is used there too."""

from typing import Any

from ..program import Kind, Step
from .format import Body, border, call, row_groups, rows

__all__ = ["BODIES", "add", "dense", "depthwise_alone", "depthwise_rows", "fully_connected", "kernel", "multiply"]

VECTORS = ("vectors", "activate")


def kernel(step: Step[Any], name: str, width: int) -> str:
    """Return the name of a kernel for the step's format and vectors of `width`: "add16", "bf16_add8"."""
    return f"{Kind(name, step.kind.format)}{width}"


def _image(step: Step[Any]) -> list[str]:
    b = step.output
    return [
        rows(step),
        border(step, "image_border"),
        call("image", "in", b.width, b.channels, "out", "first", "last"),
    ]


def _conv(step: Step[Any]) -> list[str]:
    a, b, w, t = step.input, step.output, step.window, step.tile
    window = (w.stride, w.down, w.right)
    read, written = (a.width, a.channels, step.depth, *window), (b.width, b.channels, "first", "last")
    limit = step.limits[-1]
    return [
        rows(step),
        border(step),
        call(f"conv{t.vector}", t.mr, t.nr, "in", *read, "w", "bias", limit, "out", *written),
    ]


def _separable(step: Step[Any]) -> list[str]:
    a, b, t = step.input, step.output, step.tile
    product = ("scratch", a.channels, step.depth, "w", "bias", step.limits[-1])
    pixels = (f"y * {b.width}", f"end * {b.width}")
    return [
        rows(step),
        border(step),
        *row_groups(
            step,
            depthwise_rows(step),
            call(f"pointwise{t.vector}", t.mr, t.nr, *product, "out", b.width, b.channels, *pixels),
        ),
    ]


def depthwise_rows(step: Step[Any]) -> str:
    """Return the call that writes rows y to end of the depthwise convolution to scratch, as floats."""
    a, b, w = step.input, step.output, step.window
    if step.kind.op == "separable_any":
        return depthwise_any(step, "scratch", b.width * a.channels, "y", "end")
    window = (w.stride, w.down, w.right)
    weights = ("dw", "dw_bias", step.limits[0])
    read = (a.width, a.channels)
    return call(f"depthwise{step.tile.lanes}", "in", *read, *window, *weights, "scratch", b.width, "y", "end")


def depthwise_any(step: Step[Any], *written: object) -> str:
    """Return the call of the kernel for windows of any size; `written`: where to, elements in a row there, and rows."""
    a, b, w = step.input, step.output, step.window
    to, row, first, last = written
    window = (w.kernel, w.stride, w.top, w.left)
    name, weights = kernel(step, "depthwise_any", step.tile.lanes), ("dw", "dw_bias", step.limits[0])
    return call(name, "in", a.height, a.width, a.channels, *window, *weights, to, row, b.width, first, last)


def depthwise_alone(step: Step[Any]) -> list[str]:
    b = step.output
    row = (b.width + 2) * b.channels
    to = f"out + (first + 1) * {row} + {b.channels}"
    return [rows(step), border(step), depthwise_any(step, to, row, "first", "last")]


def dense(step: Step[Any]) -> list[str]:
    return _panels(step, "dense", step.limits[-1])


def fully_connected(step: Step[Any]) -> list[str]:
    return _panels(step, "fully_connected")


def _panels(step: Step[Any], name: str, *limit: int) -> list[str]:
    t = step.tile
    outputs = (f"first * {t.nr * t.vector}", f"last * {t.nr * t.vector}")
    weights = (step.depth, "w", "bias", *limit)
    return [rows(step), call(kernel(step, name, t.vector), t.nr, "in", *weights, "out", *outputs)]


def add(step: Step[Any]) -> list[str]:
    b, name = step.output, kernel(step, "add", step.tile.vector)
    return [rows(step), call(name, "in", b.width, b.channels, step.limits[-1], "out", "first", "last")]


def multiply(step: Step[Any]) -> list[str]:
    b, name = step.output, kernel(step, "scale", step.tile.vector)
    return [rows(step), call(name, "in", b.width, b.channels, "out", "first", "last")]


def _pointwise(step: Step[Any]) -> list[str]:
    a, b, t = step.input, step.output, step.tile
    product = ("row", a.channels, step.depth, "w", "bias", step.limits[-1])
    pixels = (f"y * {b.width}", f"(y + 1) * {b.width}")
    return [
        rows(step),
        border(step),
        "for (int y = first; y < last; y++) {",
        f"    const float *row = in + ((y + 1) * {a.width + 2} + 1) * {a.channels};",
        f"    {call(f'pointwise{t.vector}', t.mr, t.nr, *product, 'out', b.width, b.channels, *pixels)}",
        "}",
    ]


def _pool(step: Step[Any]) -> list[str]:
    a = step.input
    return [f"if (part == 0) {call('pool', 'in', a.height, a.width, a.channels, 'out')}"]


def output(step: Step[Any]) -> list[str]:
    return [f"if (part == 0) {call(step.kind.op, 'in', step.depth, 'out')}"]


BODIES: dict[Kind, Body] = {
    Kind("image"): Body(("border", "image"), _image),
    Kind("conv"): Body(("border", *VECTORS, "tile", "conv"), _conv),
    Kind("separable"): Body(("border", *VECTORS, "tile", "depthwise", "pointwise"), _separable),
    Kind("separable_any"): Body(("border", *VECTORS, "tile", "depthwise_any", "pointwise"), _separable),
    Kind("depthwise"): Body(("border", *VECTORS, "depthwise_any"), depthwise_alone),
    Kind("pointwise"): Body(("border", *VECTORS, "tile", "pointwise"), _pointwise),
    Kind("dense"): Body((*VECTORS, "tile", "dense"), dense),
    Kind("add"): Body((*VECTORS, "elementwise"), add),
    Kind("multiply"): Body((*VECTORS, "elementwise"), multiply),
    Kind("pool"): Body(("pool",), _pool),
    Kind("fully_connected"): Body((*VECTORS, "tile", "fully_connected"), fully_connected),
    Kind("softmax"): Body(("exponential", "softmax"), output),
    Kind("sigmoid"): Body(("exponential", "sigmoid"), output),
    Kind("l2_normalise"): Body(("l2_normalise",), output),
}

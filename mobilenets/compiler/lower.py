"""Lower a `Model` or `QuantModel` to a `Program` and its packed weights; all number formats share this geometry.

1. Fold batch norm into the convolutions, and normalisation into the first of them (`Format.__init__`).
2. Fuse each depthwise convolution with the pointwise one behind it, and layers with activations (`Format.groups`).
3. Work out shapes, windows, units and buffers of each step (here).
4. Choose vectors, tiles and rows at a time, and pack the weights in the order in which they are read (`Format`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..arch.layers import Layer
from ..arch.ops import OPS
from ..image import Preprocess
from ..model import Model
from ..quant.scheme import QuantModel
from .blob import Blob
from .formats import FORMATS
from .formats.format import Format, limit, padded
from .program import SIZES, Buffer, Program, Step, Target, Tile, Window
from .tuning import NONE, Tilings

__all__ = ["Lowered", "lower"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program, its weights, and the parts of the model that its C and header state."""

    program: Program
    weights: Blob
    border: tuple[float, ...]  # the pixel that normalisation maps to zero, in the element of the image
    preprocess: Preprocess
    labels: tuple[str, ...]


def lower(
    model: Model | QuantModel, target: Target, name: str, precision: str = "fp32", tilings: Tilings = NONE
) -> Lowered:
    """Return the program of `model` in `precision`, a key of `FORMATS`.

    Raises `NetworkError` for an op that the format does not handle, `CompileError` for a network that ends in its maps.
    """
    format = FORMATS[precision](model, target, tilings)
    pixels = Buffer("pixels", 0, "uint8_t", *format.graph.ops[0].shape_out)
    steps = format.image(pixels)
    buffers = [steps[-1].output if steps else pixels]  # of each layer
    for group in format.groups():
        steps.append(_step(format, group, [buffers[i] for i in group[0].sources]))
        buffers += [steps[-1].output] * len(group)
    program = Program(name, target, tuple(steps), model.network.classes, precision)
    return Lowered(program, format.blob, format.zero, model.preprocess, model.labels)


def _step(format: Format, group: tuple[Layer, ...], sources: Sequence[Buffer]) -> Step[Any]:
    """Return the step that computes `group`, which takes `sources`."""
    op, source = group[-1].op, sources[0]
    kind = format.kind(_operation(group, source))
    shapes = ["x".join(map(str, shape)) for shape in (group[0].op.shape_in, op.shape_out)]
    step: Step[Any] = Step(
        kind,
        name=" + ".join(layer.name for layer in group),
        input=source,
        output=Buffer("output", 0),
        shape=" -> ".join(shapes),
        limits=tuple(map(limit, group)),
        depth=op.shape_in[2],
    )
    role = OPS[op.kind].role
    if role == "output":
        return format.output(step)
    if role == "pool":
        means = Buffer(op.name, SIZES[format.code] * source.channels, format.code, channels=source.channels)
        return format.pool(replace(step, output=means, tile=Tile(format.lanes(source.channels))), group[-1])
    if role in ("elementwise", "activation"):
        return _in_place(format, step, group[-1], sources)
    step = replace(step, tile=Tile(*format.panel(group)))
    if kind.op in ("dense", "fully_connected"):
        return _single_pixel(format, step, group[-1])
    return _image(format, step, group)


def _operation(group: tuple[Layer, ...], source: Buffer) -> str:
    """Return the op of the kind of step that computes `group`."""
    op = group[0].op
    if len(group) > 1 and op.kind == "pointwise":
        return "expanded"
    if len(group) == 2:
        return "separable" if op.kernel == 3 else "separable_any"
    if op.kind == "pointwise" and not source.height:
        return "dense"
    return "pool" if op.kind == "global_average_pool" else op.kind


def _in_place(format: Format, step: Step[Any], layer: Layer, sources: Sequence[Buffer]) -> Step[Any]:
    """Return a step that writes over its first input, which no later step reads: graphs are built so."""
    image, tile = sources[0], Tile(format.lanes(sources[0].channels))
    shape = f"{step.shape.partition(' ')[0]}, in place"
    step = replace(step, input=sources[-1], output=image, shape=shape, units=image.height, tile=tile)
    return format.elementwise(step, layer)


def _single_pixel(format: Format, step: Step[Any], layer: Layer) -> Step[Any]:
    """Return a step that writes one pixel, panel by panel."""
    panel = step.tile.vector * step.tile.nr
    channels = padded(layer.op.shape_out[2], panel)
    output = format.vector(layer.op, channels)
    if step.kind.op == "fully_connected":
        output = Buffer(layer.name, SIZES[format.sums] * channels, format.sums)
    return format.product(replace(step, output=output, units=channels // panel), layer)


def _image(format: Format, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
    """Return a step that writes an image, row by row."""
    first, op = next((layer.op for layer in group if layer.op.kind == "depthwise"), group[0].op), group[-1].op
    channels = step.input.channels if group[0].op.kind == op.kind == "depthwise" else format.stored(group)
    step = replace(
        step,
        output=format.picture(op.name, op.shape_out, channels),
        units=op.shape_out[0],
        window=Window(first.kernel, first.stride, *first.padding[:2]),
    )
    if step.kind.op == "expanded":
        return format.expanded(step, group)
    if len(group) == 2:
        return format.separable(step, group)
    return (format.depthwise if op.kind == "depthwise" else format.convolution)(step, group[0])

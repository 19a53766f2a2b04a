"""ONNX of a `QuantModel` in QDQ form: the float file's own nodes between QuantizeLinear and DequantizeLinear.

Input and outputs are the float file's: `image` uint8 (N, H, W, C); `logits` (the dequantised integers) and
`probabilities` or `embedding`. Activations are uint8, the integers of the specification plus 128: pixels go in
unchanged, and processors multiply uint8 by int8. Weights are int8 with a scale per output channel.
"""

from dataclasses import replace

import numpy as np

from ..arch.layers import Layer
from ..arch.ops import OPS, Op
from ..quant.elementwise import lifted
from ..quant.scheme import HIGH, LOW, QuantModel, QuantParams, limits
from .onnx import NODES, Writer, finish, geometry
from .onnx_elementwise import elementwise

__all__ = ["to_onnx_int8"]


def to_onnx_int8(model: QuantModel) -> bytes:
    """Return the serialised ONNX model, checked by ONNX's own checker."""
    write, graph = Writer(), model.graph
    found, sources = model.integer_layers(), model.sources()
    image = write.node("Transpose", ["image"], "image_nchw", perm=[0, 3, 1, 2])
    values = [_dequantised(write, image, "image", model.activations["image"])]
    for layer in found:
        inputs, target = [values[i] for i in layer.sources], model.activations[layer.name]
        values.append(_written(write, model, layer, inputs, sources[layer.name], target))
    x = values[-1]
    for op in graph.ops:
        if OPS[op.kind].role == "output":
            x = NODES[op.kind](write, op, x)
    return finish(write, model, x)


def _written(
    write: Writer,
    model: QuantModel,
    layer: Layer,
    inputs: list[str],
    sources: tuple[QuantParams, ...],
    target: QuantParams,
) -> str:
    """Write one of `integer_layers`; return its dequantised output."""
    op = layer.op
    if op.name in model.layers:
        return _layer(write, model, op, inputs[0], layer.activation)
    if op.kind == "global_average_pool":
        return _pool(write, op, inputs[0], sources[0], target)
    quantised = {node.output[0]: node.input[0] for node in write.nodes if node.op_type == "DequantizeLinear"}
    integers = elementwise(write, model, layer, [quantised[x] for x in inputs], sources, target)
    return _dequantised(write, integers, op.name, target)


def _pool(write: Writer, op: Op, x: str, source: QuantParams, target: QuantParams) -> str:
    """Write an average pool.

    With one scale for input and output it averages integer steps: ONNX Runtime's s / (s * pixels) is not always 1 /
    pixels. A pool that rounds halves up does so as well, with an output of steps that are a little smaller.
    """
    up = target == lifted(source)
    if source != target and not up:
        return _stepped(write, NODES[op.kind](write, op, x), op.name, target)
    steps = replace(target, scale=1.0)
    quantised = next(node.input[0] for node in write.nodes if x in node.output)  # the input of its DequantizeLinear
    mean = NODES[op.kind](write, op, _dequantised(write, quantised, f"{op.name}_in", steps))
    scale_and_zero = _scale(write, *((f"{op.name}_up", lifted(steps)) if up else (f"{op.name}_in", steps)))
    quantised = write.node("QuantizeLinear", [mean, *scale_and_zero], f"{op.name}_quantized")
    return _dequantised(write, quantised, op.name, target)


def _layer(write: Writer, model: QuantModel, op: Op, x: str, activation: Op | None) -> str:
    """Write a convolution or the classifier, a 1x1 convolution of its 1x1 maps, for which every runtime takes
    per-channel scales.
    """
    layer, source, target = model.layers[op.name], model.sources()[op.name][0], model.activations[op.name]
    weight = layer.weight.reshape(*layer.weight.shape, *[1] * (4 - layer.weight.ndim))
    zero = np.full(len(weight), layer.zero_point, np.int8)
    kernel = _constant(write, f"{op.name}.weight", weight, layer.scale, zero)
    bias = _constant(write, f"{op.name}.bias", layer.bias, np.float32(source.scale) * layer.scale, None)
    sums = write.node("Conv", [x, kernel, bias], f"{op.name}_sums", **geometry(op))
    low, high = limits(target, activation)
    if (low, high) == (LOW, HIGH):
        x = _stepped(write, sums, op.name, target)
    else:
        x = _clipped(write, _stepped(write, sums, f"{op.name}_all", target), op.name, target, (low, high))
    return write.node("Flatten", [x], "logits") if op.kind == "fully_connected" else x


def _clipped(write: Writer, x: str, name: str, params: QuantParams, between: tuple[int, int]) -> str:
    """Write a ReLU or ReLU6 whose limits are within those of int8, after the integers, so that runtimes keep an integer
    Conv.
    """
    low, high = (
        write.constant(f"{name}_{end}", params.real(np.array(limit, np.int8)))
        for end, limit in zip(("low", "high"), between, strict=True)
    )
    return _stepped(write, write.node("Clip", [x, low, high], f"{name}_clipped"), name, params)


def _stepped(write: Writer, x: str, name: str, params: QuantParams) -> str:
    """Return `x` rounded to the integers of `params`, dequantised."""
    scale, zero = _scale(write, name, params)
    return _dequantised(write, write.node("QuantizeLinear", [x, scale, zero], f"{name}_quantized"), name, params)


def _dequantised(write: Writer, x: str, name: str, params: QuantParams) -> str:
    return write.node("DequantizeLinear", [x, *_scale(write, name, params)], f"{name}_real")


def _scale(write: Writer, name: str, params: QuantParams) -> list[str]:
    """Return the names of the constants of scale and zero point, each written once."""
    values = {"scale": np.float32(params.scale), "zero_point": np.uint8(params.zero_point - LOW)}
    written = {tensor.name for tensor in write.constants}
    return [
        f"{name}_{part}" if f"{name}_{part}" in written else write.constant(f"{name}_{part}", np.asarray(value))
        for part, value in values.items()
    ]


def _constant(write: Writer, name: str, values: np.ndarray, scale: np.ndarray, zero: np.ndarray | None) -> str:
    inputs = [write.constant(f"{name}_quantized", values), write.constant(f"{name}_scale", scale)]
    if zero is not None:
        inputs.append(write.constant(f"{name}_zero_point", zero))
    return write.node("DequantizeLinear", inputs, name, axis=0)

"""TensorFlow Lite in int8 throughout, with the weights, scales and zero points of a `QuantModel` unchanged.

Two forms of the same file. `to_tflite_int8`: input `image` uint8 (1, H, W, C), unchanged pixels, and output
`probabilities` uint8 (1, classes) in steps of 1 / 256, as MediaPipe, the Task Library and camera code expect.
`to_tflite_micro`: int8 input (pixel - 128) and output, which needs two operators less in TensorFlow Lite Micro.

A network imported from uint8 weights (zero points other than 0) is written as uint8 throughout, for int8 weights have
no zero point in this format; both its forms are the same.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError
from ..quant.elementwise import pool_zero
from ..quant.scheme import LOW, QuantModel, QuantParams
from .tflite_file import File, Real
from .tflite_graph import OPERATORS, write_ops
from .tflite_metadata import finish

__all__ = ["pixels_to_logits_int8", "to_tflite_int8", "to_tflite_micro"]


PROBABILITY = 1 / 256  # LiteRT's softmax gives nothing else
INT8 = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), 3),
    **dict.fromkeys(("PAD", "MEAN", "SOFTMAX", "ADD", "MUL"), 2),
}  # the versions of operators that brought int8


@dataclass(slots=True)
class _Integers:
    """Numbers in int8, or uint8 where `shift`, which is added to weights and zero points, is not 0."""

    model: QuantModel
    shift: int = 0
    file: File = field(default_factory=File)
    versions: dict[str, int] = field(default_factory=lambda: INT8)
    gates_in_weights: bool = True

    @property
    def dtype(self) -> str:
        """Return the type of weights and activations."""
        return "uint8" if self.shift else "int8"

    def activations(self, name: str, shape: tuple[int, ...], params: QuantParams) -> int:
        """Append a tensor of activations."""
        return self.end(name, shape, self.dtype, params)

    def end(self, name: str, shape: tuple[int, ...], dtype: str, params: QuantParams) -> int:
        """Append a tensor of type `dtype` with the scale and zero point of `params`."""
        zero_point = params.zero_point - (LOW if dtype == "uint8" else 0)
        return self.file.tensor(name, shape, dtype, Real(np.float32(params.scale), zero_point))

    def output(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the output tensor of op `name`."""
        return self.activations(name, shape, self.model.activations["fc" if name == "logits" else name])

    def padded(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the padded input tensor of op `name`."""
        return self.activations(f"{name}/padded", shape, self.model.sources()[name][0])

    def arrays(self, name: str, layout: tuple[int, ...]) -> list[int]:
        """Return the kernel of op `name` with its axes in the order of `layout`, and its bias."""
        layer, source = self.model.layers[name], self.model.sources()[name][0]
        weight = layer.weight.reshape(*layer.weight.shape, *[1] * (4 - layer.weight.ndim)).transpose(layout)
        scale = layer.scale[:1] if self.shift else layer.scale
        kernel = (weight.astype(np.int16) + self.shift).astype(self.dtype)
        real = Real(scale, layer.zero_point + self.shift, 0 if self.shift else layout.index(0))
        bias = Real(np.float32(source.scale) * scale)
        constant = self.file.constant
        return [constant(f"{name}/weight", kernel, real), constant(f"{name}/bias", layer.bias, bias)]


def to_tflite_int8(model: QuantModel) -> bytes:
    """Return the file with uint8 pixels as input and uint8 probabilities as output."""
    return _write(model, "uint8")


def to_tflite_micro(model: QuantModel) -> bytes:
    """Return the file with int8 input and output."""
    return _write(model, "int8")


def pixels_to_logits_int8(model: QuantModel) -> bytes:
    """Return a file for benchmarks and comparison: uint8 pixels in, the classifier's integers out, no softmax, no
    metadata.
    """
    numbers = _Integers(model, _shift(model))
    image, logits = _pixels_to_logits(numbers, "uint8")
    return numbers.file.content(image, logits, {})


def _write(model: QuantModel, ends: str) -> bytes:
    """Return the file; `ends` is the type of the image and of the probabilities."""
    numbers = _Integers(model, _shift(model))
    image, logits = _pixels_to_logits(numbers, ends)
    shape, real = (1, model.network.classes), QuantParams(PROBABILITY, LOW)
    kind, options = OPERATORS[model.network.output]
    same = ends == numbers.dtype
    answer = numbers.activations("probabilities" if same else "probabilities/own", shape, real)
    numbers.file.run(kind, [logits], answer, numbers.versions.get(kind, 1), **options)
    if not same:
        answer = numbers.file.run("QUANTIZE", [answer], numbers.end("probabilities", shape, ends, real))
    return finish(numbers.file, model, image, answer)


def _pixels_to_logits(numbers: _Integers, ends: str) -> tuple[int, int]:
    network, real = numbers.model.network, numbers.model.activations["image"]
    shape = (1, network.height, network.width, network.channels)
    image = x = numbers.end("image", shape, ends, real)
    if ends != numbers.dtype:
        x = numbers.file.run("QUANTIZE", [image], numbers.activations("image/own", shape, real))
    return image, write_ops(numbers.model.graph, numbers, x)


def _shift(model: QuantModel) -> int:
    """Return the shift from int8 to the stored integers.

    Raises `UsageError` for weights that neither int8 nor uint8 of this format can hold, and as `_check_rounding`.
    """
    _check_rounding(model)
    if not any(layer.zero_point for layer in model.layers.values()):
        return 0
    for name, layer in model.layers.items():
        if (layer.scale != layer.scale[0]).any():
            raise UsageError(f"{name} has a scale for each channel, in a network with weights of zero points not 0")
    return -LOW


def _check_rounding(model: QuantModel) -> None:
    """Raise `UsageError` for an activation or a pool of an imported file that LiteRT would round in another way."""
    sources = model.sources()
    pools = [op.name for op in model.graph.ops if op.kind == "global_average_pool"]
    zeros = {
        name: (sources[name][0].zero_point, pool_zero(sources[name][0], model.activations[name])) for name in pools
    }
    for name in (*model.tables, *(name for name, (own, used) in zeros.items() if own != used)):
        raise UsageError(f"{name} keeps the roundings of an imported file, which one operator does not: export to onnx")

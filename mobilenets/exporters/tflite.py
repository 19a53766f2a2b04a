"""TensorFlow Lite with float activations, without TensorFlow: batch norm folded, labels and preprocessing inside.

Input `image`: float32 (1, H, W, C), (pixel - mean) / std as the metadata says, which MediaPipe and the Task Library
apply; output `probabilities`, float32 (1, classes). Weights: float32, float16 (half the file), or int8 with a scale per
output channel (a quarter; "dynamic range": runtimes quantise activations on the fly).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..errors import UsageError
from ..image import Preprocess
from ..model import Model
from .tflite_file import File, Real
from .tflite_graph import OPERATORS, write_ops
from .tflite_metadata import finish

__all__ = ["pixels_to_logits", "to_tflite", "to_tflite_dynamic", "to_tflite_float16"]

Array = np.ndarray[Any, np.dtype[Any]]

HYBRID = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6}  # int8 weights with a scale per channel, float activations
FLOAT16 = {"DEQUANTIZE": 3}


@dataclass(slots=True)
class _Floats:
    """Weights and activations in float32."""

    weights: dict[str, Array]
    file: File = field(default_factory=File)
    versions: dict[str, int] = field(default_factory=dict)
    gates_in_weights: bool = False

    def output(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the output tensor of op `name`."""
        return self.file.tensor(name, shape)

    def padded(self, name: str, shape: tuple[int, ...]) -> int:
        """Return the padded input tensor of op `name`."""
        return self.file.tensor(f"{name}/padded", shape)

    def arrays(self, name: str, layout: tuple[int, ...]) -> list[int]:
        """Return the kernel of op `name` with its axes in the order of `layout`, and its bias."""
        kernel, bias = (self.weights[f"{name}.{part}"] for part in ("weight", "bias"))
        kernel = kernel.reshape(*kernel.shape, *[1] * (4 - kernel.ndim))  # the classifier's has two axes
        return [self.kernel(f"{name}/weight", kernel.transpose(layout), layout.index(0)), self.bias(name, bias)]

    def kernel(self, name: str, values: Array, axis: int) -> int:
        """Return the tensor of a kernel; `axis` is that of the output channels."""
        return self.file.constant(name, values)

    def bias(self, name: str, values: Array) -> int:
        """Return the tensor of a bias."""
        return self.file.constant(f"{name}/bias", values)


class _Float16(_Floats):
    """Constants in float16, converted to float32 when the file is opened."""

    def kernel(self, name: str, values: Array, axis: int) -> int:
        """Return the tensor of a kernel, dequantised from float16."""
        if (largest := np.abs(values).max()) > np.finfo(np.float16).max:
            raise UsageError(f"{name} holds {largest:g}, beyond what float16 can: write float32 (tflite)")
        half = self.file.constant(f"{name}/float16", values.astype(np.float16))
        return self.file.run("DEQUANTIZE", [half], self.file.tensor(name, values.shape), FLOAT16["DEQUANTIZE"])

    def bias(self, name: str, values: Array) -> int:
        """Return the tensor of a bias, dequantised from float16."""
        return self.kernel(f"{name}/bias", values, 0)


class _Dynamic(_Floats):
    """Kernels in int8, -127 to 127 times a scale per output channel."""

    def kernel(self, name: str, values: Array, axis: int) -> int:
        """Return the tensor of a kernel in int8."""
        largest = np.abs(values).max(axis=tuple(n for n in range(4) if n != axis), keepdims=True)
        scale = np.maximum(largest / np.float32(127), np.finfo(np.float32).tiny)  # of a channel of zeros
        real = Real(scale.ravel(), axis=axis)
        return self.file.constant(name, np.rint(values / scale).clip(-127, 127).astype(np.int8), real)


def to_tflite(model: Model) -> bytes:
    """Return the file with float32 weights."""
    return _write(model, _Floats(fold_batch_norm(model.graph, model.weights)[1]))


def to_tflite_float16(model: Model) -> bytes:
    """Return the file with float16 weights; raises `UsageError` for a weight beyond float16."""
    return _write(model, _Float16(fold_batch_norm(model.graph, model.weights)[1]))


def to_tflite_dynamic(model: Model) -> bytes:
    """Return the file with int8 weights."""
    return _write(model, _Dynamic(fold_batch_norm(model.graph, model.weights)[1], versions=HYBRID))


def _write(model: Model, numbers: _Floats) -> bytes:
    plain, _ = fold_batch_norm(model.graph, model.weights)
    file, network = numbers.file, model.network
    image = file.tensor("image", (1, network.height, network.width, network.channels))
    logits = write_ops(plain, numbers, image)
    kind, options = OPERATORS[network.output]
    answer = file.run(kind, [logits], file.tensor("probabilities", (1, network.classes)), **options)
    return finish(file, model, image, answer)


def pixels_to_logits(model: Model) -> bytes:
    """Return a float32 file for benchmarks: uint8 pixels in, normalised inside, logits out, no metadata."""
    plain, weights = fold_batch_norm(model.graph, model.weights)
    numbers = _Floats(weights)
    image, normalised = _normalise(numbers.file, model.preprocess)
    return numbers.file.content(image, write_ops(plain, numbers, normalised), {})


def _normalise(file: File, preprocess: Preprocess) -> tuple[int, int]:
    """Return the tensors of the pixels and of (pixel - mean) / std; DEQUANTIZE divides by a std that all channels
    share.
    """
    shape = (1, preprocess.height, preprocess.width, preprocess.channels)
    scale = np.float32(1 / preprocess.std) if isinstance(preprocess.std, float | int) else np.float32(1)
    std = np.asarray(preprocess.std, np.float32) * scale
    mean = np.asarray(preprocess.mean, np.float32) * scale / std
    image = file.tensor("image", shape, "uint8", Real(scale))
    x = file.run("DEQUANTIZE", [image], file.tensor("image/float", shape))
    for kind, values in (("MUL", 1 / std), ("SUB", mean)):
        if (values != (kind == "MUL")).any():
            x = file.run(kind, [x, _spread(file, kind, values, shape)], file.tensor(f"image/{kind.lower()}", shape))
    return image, x


def _spread(file: File, name: str, values: Array, shape: tuple[int, ...]) -> int:
    """Return one number, or an image of them: broadcasting three is slow in LiteRT."""
    return file.constant(f"image/{name}/by", np.broadcast_to(values, shape) if values.ndim else np.atleast_1d(values))

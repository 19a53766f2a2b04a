"""Models in the formats that others read: ONNX, TensorFlow Lite, Keras, timm, PyTorch."""

from dataclasses import dataclass
from importlib import import_module

from ..errors import UsageError
from ..model import Model
from ..quant.scheme import QuantModel

__all__ = ["FORMATS", "Format", "write"]


@dataclass(frozen=True, slots=True)
class Format:
    """The suffixes of a format, and the functions (module.function) that write one; "" where it cannot hold such a
    model.
    """

    suffix: str
    floats: str = ""  # of a `Model`
    integers: str = ""  # of a `QuantModel`
    rounding: float = 0.0  # of weights, by at most so much of the largest of their output channel


FORMATS = {
    "onnx": Format(".onnx", "onnx.to_onnx", "onnx_int8.to_onnx_int8"),
    "tflite": Format(".tflite", "tflite.to_tflite", "tflite_int8.to_tflite_int8"),
    "tflite-float16": Format(".float16.tflite", "tflite.to_tflite_float16", rounding=2**-11),
    "tflite-dynamic": Format(".dynamic.tflite", "tflite.to_tflite_dynamic", rounding=0.5001 / 127),
    "tflite-micro": Format(".micro.tflite", integers="tflite_int8.to_tflite_micro"),
    "keras-h5": Format(".h5", "keras.to_keras_h5"),
    "timm": Format(".timm.safetensors", "timm.to_timm"),
    "torch": Format(".pt", "pytorch.to_pytorch"),
}


def write(model: Model | QuantModel, format: str) -> bytes:
    """Return the content of the file.

    Raises `UsageError` for an unknown format, and for a network that the format cannot hold.
    """
    if format not in FORMATS:
        raise UsageError(f"format {format!r} must be one of {', '.join(FORMATS)}")
    if format != "onnx" and model.network.output != "softmax":
        raise UsageError(f"format {format} holds classifiers, this is a network for the task {model.task}: use onnx")
    kind = "integers" if model.precision == "int8" else "floats"
    function = getattr(FORMATS[format], kind)
    if not function:
        others = ", ".join(name for name, other in FORMATS.items() if getattr(other, kind))
        raise UsageError(f"format {format} does not hold networks of {kind}, which this is: use {others}")
    module, _, name = function.partition(".")
    content: bytes = getattr(import_module(f"{__package__}.{module}"), name)(model)
    return content

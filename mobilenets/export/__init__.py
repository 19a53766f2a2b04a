"""A model in the formats that others read: ONNX, Keras, timm, PyTorch."""

from dataclasses import dataclass
from importlib import import_module

from ..errors import UsageError
from ..model import Model

__all__ = ["FORMATS", "Format", "write"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a format's files end, and the function that writes one."""

    suffix: str
    module: str
    function: str


FORMATS = {
    "onnx": Format(".onnx", "onnx", "to_onnx"),
    "keras-h5": Format(".h5", "keras", "to_keras_h5"),
    "timm": Format(".timm.safetensors", "timm", "to_timm"),
    "torch": Format(".pt", "pytorch", "to_pytorch"),
}


def write(model: Model, format: str) -> bytes:
    """The file's content; `UsageError` for an unknown format, or a network that the format cannot hold."""
    if format not in FORMATS:
        raise UsageError(f"format {format!r} must be one of {', '.join(FORMATS)}")
    if format != "onnx" and model.network.output != "softmax":
        raise UsageError(f"format {format} holds classifiers, this is a network for the task {model.task}: use onnx")
    chosen = FORMATS[format]
    content: bytes = getattr(import_module(f"{__package__}.{chosen.module}"), chosen.function)(model)
    return content

"""The output of every layer of a float network, computed in ONNX Runtime for calibration."""

from collections.abc import Callable

import onnx
import onnxruntime as ort

from ..arch.fold import without_batch_norm
from ..arrays import Floats
from ..exporters.onnx import to_onnx
from ..image import Pixels
from ..model import Model
from ..quant.conversion import to_integers
from ..quant.observe import channel_ranges, whole
from ..quant.scheme import QuantModel, integer_layers

__all__ = ["min_max_integers", "open_activations"]


def open_activations(model: Model) -> Callable[[Pixels], dict[str, Floats]]:
    """Return a function: (N, H, W, C) uint8 -> {layer: float32}, the output behind its activation.

    Layers are those of `quant.scheme.integer_layers`: (N, H', W', channels), "fc" (N, classes).
    """
    found = integer_layers(without_batch_norm(model.graph))
    tensors = {layer.name: "logits" if layer.name == "fc" else layer.output.name for layer in found}
    proto = onnx.load_from_string(to_onnx(model))
    del proto.graph.output[:]
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None) for tensor in tensors.values()
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(images: Pixels) -> dict[str, Floats]:
        """Return the output of each layer for `images`."""
        found = dict(zip(tensors, session.run(list(tensors.values()), {"image": images}), strict=True))
        return {name: values if name == "fc" else values.transpose(0, 2, 3, 1) for name, values in found.items()}

    return run


def min_max_integers(model: Model, images: Pixels) -> QuantModel:
    """Return the network in int8 with whole ranges and no correction, for timing only."""
    ranges = channel_ranges(open_activations(model), images)
    return to_integers(model, whole(ranges))

"""What ONNX's operators do where a file leaves an attribute out, against ONNX Runtime, which knows the defaults."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx_files import network, run
from torch_peer import assert_same, noise, our_logits

from mobilenets.arch.network import Block, Network
from mobilenets.image import normalise
from mobilenets.model import Model
from mobilenets.weights import Given
from mobilenets.weights.read.onnx import read_onnx
from mobilenets.weights.recognise import recognise

RandomModel = Callable[..., Model]
NETWORK = Network(1.0, 41, 52, classes=5, stem=8, epsilon=1e-3, blocks=(Block(1, 12), Block(2, 16)))


def without(proto: onnx.ModelProto, kind: str, attribute: str, value: object) -> bytes:
    """The file less an attribute of all nodes of a kind, where it has that value."""
    for node in proto.graph.node:
        for one in list(node.attribute):
            if (node.op_type, one.name) == (kind, attribute) and onnx.helper.get_attribute_value(one) == value:
                node.attribute.remove(one)
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("kind", "attribute", "value"),
    [
        ("BatchNormalization", "epsilon", pytest.approx(1e-3)),
        ("Conv", "strides", [1, 1]),
        ("Conv", "pads", [0, 0, 0, 0]),
        ("Conv", "group", 1),
    ],
)
def test_defaults_are_onnx_runtime_s(kind: str, attribute: str, value: object, random_model: RandomModel) -> None:
    """Variances are small: an epsilon of 1e-3 counts."""
    model = random_model(NETWORK)
    for name, array in model.weights.items():
        if name.endswith("running_var"):
            array *= 1e-2
    content = without(network(model), kind, attribute, value)
    assert content != network(model).SerializeToString()
    back = recognise(read_onnx(content), Given(pixels=(127.5, 127.5))).model
    pixels = noise(41, 52)
    images = normalise(pixels, back.preprocess).transpose(0, 3, 1, 2)
    assert_same(our_logits(back, pixels), run(content, np.ascontiguousarray(images)))

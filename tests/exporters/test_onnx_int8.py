"""int8 ONNX in QDQ form, run by ONNX Runtime, against the numpy oracle."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_networks import FORMS, SHAPES, extremes, quantised, with_zero_points

from mobilenets.arch.network import Network
from mobilenets.exporters.onnx_int8 import to_onnx_int8
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel, QuantParams
from mobilenets.runtime.session import Session


@pytest.fixture(params=FORMS)
def model(request: pytest.FixtureRequest) -> QuantModel:
    return quantised(FORMS[request.param])


def integers(model: QuantModel, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logits' integers, and the probabilities."""
    session = Session.from_onnx(to_onnx_int8(model), 1)
    affine = model.activations["fc"]
    logits = np.rint(session.logits(images).astype(np.float64) / affine.scale) + affine.zero_point
    return logits.astype(int), session.run(images)


def test_every_byte_is_the_oracle_s(model: QuantModel) -> None:
    images = extremes(model)
    expected = reference.run(model, images)
    logits, probabilities = integers(model, images)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_allclose(probabilities, reference.outputs(model, expected), atol=1e-6)


def test_weights_with_zero_points(model: QuantModel) -> None:
    model = with_zero_points(model)
    images = extremes(model)
    np.testing.assert_array_equal(integers(model, images)[0], reference.run(model, images))


@settings(max_examples=25)
@given(network=SHAPES, seed=st.integers(0, 9))
def test_any_shape(network: Network, seed: int) -> None:
    model = quantised(network, seed)
    images = extremes(model)
    np.testing.assert_array_equal(integers(model, images)[0], reference.run(model, images))


@pytest.mark.parametrize("zero_point", [-128, -127, -126, -101])
def test_any_zero_point_of_the_pool(zero_point: int) -> None:
    model = quantised(FORMS["1001 classes"])
    moved = replace(model.activations["pool"], zero_point=zero_point)
    model = replace(model, activations={**model.activations, "pw8": moved, "pool": moved})
    images = extremes(model)
    np.testing.assert_array_equal(integers(model, images)[0], reference.run(model, images))


@pytest.mark.parametrize("scale", [6 / 255, 0.0014017376])
def test_halves_of_a_pool_over_six_pixels(scale: float) -> None:
    """A quotient of scales that is not 1 / 6 to the last bit would move some of them."""
    model = quantised(FORMS["two classes"])
    moved = QuantParams(scale, -128)
    model = replace(model, activations={**model.activations, "pw13": moved, "pool": moved})
    images = extremes(model, 40)
    np.testing.assert_array_equal(integers(model, images)[0], reference.run(model, images))


def test_a_pool_with_a_scale_of_its_own() -> None:
    model = quantised(FORMS["plain"])
    pool = replace(model.activations["pool"], scale=model.activations["pool"].scale / 1.5)
    model = replace(model, activations={**model.activations, "pool": pool})
    images = extremes(model)
    assert np.abs(integers(model, images)[0] - reference.run(model, images)).max() <= 1


def test_onnx_runtime_computes_in_integers(tmp_path: Path) -> None:
    """What stands between QuantizeLinear and DequantizeLinear becomes one integer node each."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    model = quantised(FORMS["relu6"])
    ort.InferenceSession(to_onnx_int8(model), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == len(model.layers) and kinds["QLinearGlobalAveragePool"] == 1
    assert "Conv" not in kinds


def test_the_file_itself(model: QuantModel) -> None:
    proto = onnx.load_model_from_string(to_onnx_int8(model))
    onnx.checker.check_model(proto, full_check=True)
    (image,) = proto.graph.input
    assert image.name == "image" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [output.name for output in proto.graph.output] == ["logits", "probabilities"]
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for name, layer in model.layers.items():
        np.testing.assert_array_equal(stored[f"{name}.weight_quantized"].reshape(layer.weight.shape), layer.weight)
        np.testing.assert_array_equal(stored[f"{name}.weight_scale"], layer.scale)
        np.testing.assert_array_equal(stored[f"{name}.bias_quantized"], layer.bias)
    assert {entry.key for entry in proto.metadata_props} >= {"network", "preprocess", "labels", "task"}


def test_the_same_model_gives_the_same_bytes() -> None:
    network = FORMS["grey"]
    assert to_onnx_int8(quantised(network)) == to_onnx_int8(quantised(network))

"""int8 TensorFlow Lite files, run by LiteRT with XNNPACK, against the numpy oracle: the same bytes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from integer_networks import FORMS, SHAPES, extremes, quantised, with_zero_points
from litert_peer import BUILT_IN, differing_means, litert, opened

from mobilenets.arch.network import Network
from mobilenets.errors import UsageError
from mobilenets.exporters.tflite_int8 import pixels_to_logits_int8, to_tflite_int8, to_tflite_micro
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel


@pytest.fixture(params=FORMS)
def model(request: pytest.FixtureRequest) -> QuantModel:
    return quantised(FORMS[request.param])


def rounded_probabilities(model: QuantModel, logits: np.ndarray) -> np.ndarray:
    """In steps of 1 / 256, 0 to 255."""
    return np.clip(np.rint(reference.outputs(model, logits) * 256), 0, 255).astype(np.uint8)


def test_every_byte_is_the_oracle_s(model: QuantModel) -> None:
    images = extremes(model)
    logits = reference.run(model, images)
    assert len(np.unique(logits[:4], axis=0)) > 1, "a network that says the same of all images shows nothing"
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(model), images), logits)
    probabilities = rounded_probabilities(model, logits)
    answers = litert(to_tflite_int8(model), images)
    # LiteRT's softmax looks up its powers in a table of float32: halves may go the other way
    assert np.abs(answers.astype(int) - probabilities).max() <= 1 and (answers != probabilities).mean() < 0.01
    micro = litert(to_tflite_micro(model), (images.astype(int) - 128).astype(np.int8))
    np.testing.assert_array_equal(micro.astype(int) + 128, answers)


@settings(max_examples=25)
@given(network=SHAPES, seed=st.integers(0, 9))
def test_any_shape(network: Network, seed: int) -> None:
    model = quantised(network, seed)
    height, width, _ = model.graph.op("pool").shape_in
    assume(not differing_means(height * width))
    images = extremes(model)
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(model), images), reference.run(model, images))


def test_pools_that_litert_rounds_otherwise() -> None:
    """None of a square image up to 416 pixels, by all sums that there can be; 12 shapes of maps up to 13x13."""
    assert not any(differing_means((-(-side // 32)) ** 2) for side in range(32, 417))
    maps = [(h, w) for h in range(1, 14) for w in range(h, 14) if differing_means(h * w)]
    few = [(2, 7), (2, 13), (3, 10), (4, 7), (4, 13), (5, 6), (5, 12), (6, 10), (7, 8), (8, 13), (10, 11), (10, 12)]
    assert maps == few


@pytest.mark.parametrize(("zero_point", "same"), [(-128, True), (-127, False), (-126, True), (-101, False)])
def test_where_litert_s_mean_differs(zero_point: int, same: bool) -> None:
    """In its MEAN, where the zero point is odd. Behind a ReLU, which this package's networks have there, it is -128."""
    model = quantised(FORMS["1001 classes"])
    assert model.activations["pool"].zero_point == -128
    moved = replace(model.activations["pool"], zero_point=zero_point)
    assert same == (not differing_means(6, zero_point))
    model = replace(model, activations={**model.activations, "pw8": moved, "pool": moved})
    images = extremes(model)
    assert (litert(pixels_to_logits_int8(model), images) == reference.run(model, images)).all() == same


@pytest.mark.parametrize("scale", [6 / 255, 0.0014017376])
def test_halves_of_a_pool_over_six_pixels(scale: float) -> None:
    model = quantised(FORMS["two classes"])
    moved = replace(model.activations["pool"], scale=scale)
    model = replace(model, activations={**model.activations, "pw13": moved, "pool": moved})
    images = extremes(model, 40)
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(model), images), reference.run(model, images))


def test_weights_with_zero_points_are_uint8_throughout(model: QuantModel) -> None:
    model = with_zero_points(model)
    images = extremes(model)
    logits = reference.run(model, images)
    assert len(np.unique(logits[:4], axis=0)) > 1
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(model), images).astype(int) - 128, logits)
    answers = litert(to_tflite_int8(model), images).astype(int)
    assert np.abs(answers - rounded_probabilities(model, logits)).max() <= 1


def test_one_scale_a_layer_where_weights_have_zero_points() -> None:
    model = quantised(FORMS["grey"])
    layers = {name: replace(layer, zero_point=1) for name, layer in model.layers.items()}
    with pytest.raises(UsageError, match=r"^conv0 has a scale for each channel, in a network with weights of zero"):
        to_tflite_int8(replace(model, layers=layers))


def test_litert_s_own_kernels_multiply_with_integers_and_stay_near() -> None:
    """They are not those of the specification: a multiplier of 31 bits instead of a float32, rounded twice."""
    model = quantised(FORMS["plain"])
    images = extremes(model, 20)
    steps = litert(pixels_to_logits_int8(model), images, BUILT_IN).astype(int) - reference.run(model, images)
    assert 0 < np.abs(steps).max() <= 16 and np.abs(steps).mean() < 4


@pytest.mark.parametrize(("write", "dtype"), [(to_tflite_int8, np.uint8), (to_tflite_micro, np.int8)])
def test_what_the_file_says_of_itself(write: Callable[[QuantModel], bytes], dtype: Any) -> None:
    model = quantised(FORMS["same"])
    interpreter, takes, gives = opened(write(model))
    shift = 128 if dtype is np.uint8 else 0
    image = model.activations["image"]
    assert (takes["name"], takes["dtype"], takes["shape"].tolist()) == ("image", dtype, [1, 32, 45, 3])
    assert takes["quantization"] == (image.scale, image.zero_point + shift)
    assert (gives["name"], gives["dtype"], gives["shape"].tolist()) == ("probabilities", dtype, [1, 7])
    assert gives["quantization"] == (1 / 256, -128 + shift)
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}


def test_the_file_keeps_every_integer() -> None:
    model = quantised(FORMS["grey"])
    interpreter, _, _ = opened(to_tflite_int8(model), BUILT_IN)
    tensors = {tensor["name"]: tensor for tensor in interpreter.get_tensor_details()}
    axes = {"dw1": (3, (1, 2, 3, 0)), "pw2": (0, (0, 2, 3, 1))}
    for name, (axis, layout) in axes.items():
        layer, source = model.layers[name], model.sources()[name][0]
        stored = {part: tensors[f"{name}/{part}"] for part in ("weight", "bias")}
        np.testing.assert_array_equal(interpreter.get_tensor(stored["weight"]["index"]), layer.weight.transpose(layout))
        np.testing.assert_array_equal(interpreter.get_tensor(stored["bias"]["index"]), layer.bias)
        said = stored["weight"]["quantization_parameters"]
        np.testing.assert_array_equal(said["scales"], layer.scale)
        assert said["quantized_dimension"] == axis and not said["zero_points"].any()
        said = stored["bias"]["quantization_parameters"]["scales"]
        np.testing.assert_array_equal(said, np.float32(source.scale) * layer.scale)
        affine = model.activations[name]
        assert tensors[name]["quantization"] == (affine.scale, affine.zero_point)


def test_the_same_model_gives_the_same_bytes() -> None:
    network = FORMS["relu6"]
    assert to_tflite_int8(quantised(network)) == to_tflite_int8(quantised(network))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v1_0.5_160_quant.tflite"])
def test_photographs(name: str, shared_data: Path) -> None:
    from mobilenets.image import prepare
    from mobilenets.model import Model
    from mobilenets.opening import open_model
    from mobilenets.quant.conversion import to_integers
    from mobilenets.runtime.activations import open_activations

    trained = open_model(shared_data / "weights" / name, floats=True).model
    assert isinstance(trained, Model)
    paths = sorted((shared_data / "imagenet-1000").glob("*.jpg"))[::10]
    photos = np.stack([prepare(path, trained.preprocess) for path in paths])
    seen = open_activations(trained)(photos[:16])
    ranges = {op: (float(values.min()), float(values.max())) for op, values in seen.items()}
    model = to_integers(trained, ranges)
    np.testing.assert_array_equal(litert(pixels_to_logits_int8(model), photos), reference.run(model, photos))


def test_the_file_states_the_shapes_of_what_goes_in_and_out(model: QuantModel) -> None:
    """Before LiteRT works them out: other programs read them from the file."""
    network = model.network
    for content in (to_tflite_int8(model), to_tflite_micro(model)):
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        ends = graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))
        assert [list(end.ShapeAsNumpy()) for end in ends] == [
            [1, network.height, network.width, network.channels],
            [1, network.classes],
        ]

"""Integers that a file brings are kept: LiteRT gives the same bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from tflite_files import File, Form, mobilenet, write

from mobilenets import export
from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.image import prepare
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel, QuantParams
from mobilenets.weights import Given, import_files

litert = pytest.importorskip("ai_edge_litert.interpreter")

HEADS = "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite", "mobilenet_quant_v1_224_head_layers.tflite"
IMAGES = 6


def integers(shared_data: Path, *names: str) -> QuantModel:
    found = import_files([shared_data / "weights" / name for name in names], int8=True).integers
    assert found is not None
    return found


def photographs(shared_data: Path, model: QuantModel) -> np.ndarray:
    paths = sorted((shared_data / "imagenet-1000").glob("*.jpg"))[::150][:IMAGES]
    return np.stack([prepare(path, model.preprocess) for path in paths])


def litert_logits(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Return the inputs of the softmax, or the outputs without one; as stored."""
    network = litert.Interpreter(str(path), num_threads=1)
    network.allocate_tensors()
    softmax = [op for op in network._get_ops_details() if op["op_name"] == "SOFTMAX"]
    index = softmax[0]["inputs"][0] if softmax else network.get_output_details()[0]["index"]
    given = network.get_input_details()[0]
    found = []
    for one in inputs:
        network.set_tensor(given["index"], one.view(given["dtype"])[None])
        network.invoke()
        found.append(network.get_tensor(index)[0].copy())
    return np.stack(found)


def test_an_int8_network_gives_the_bytes_of_litert(shared_data: Path) -> None:
    model = integers(shared_data, "vww_96_int8.tflite")
    images = photographs(shared_data, model)
    expected = litert_logits(shared_data / "weights" / "vww_96_int8.tflite", images ^ 128)
    assert (reference.run(model, images) == expected).all()
    assert model.activations["image"].zero_point == -128  # [0, 1]


def test_a_uint8_network_gives_the_bytes_of_litert(shared_data: Path) -> None:
    model = integers(shared_data, "mobilenet_v1_0.5_160_quant.tflite")
    images = photographs(shared_data, model)
    expected = litert_logits(shared_data / "weights" / "mobilenet_v1_0.5_160_quant.tflite", images)
    assert (reference.run(model, images) == (expected[:, 1:] ^ 128).view(np.int8)).all()  # without the background
    assert any(layer.zero_point for layer in model.layers.values())


def test_halves_in_an_even_pool_are_rounded_up_as_litert_does(shared_data: Path) -> None:
    """4x4 pixels: sixteenths, of which one is a half; XNNPACK's rule alone would round them to even."""
    name = "mobilenet_v1_0.25_128_quant.tflite"
    model = integers(shared_data, name)
    images = photographs(shared_data, model)
    expected = (litert_logits(shared_data / "weights" / name, images)[:, 1:] ^ 128).view(np.int8)
    assert (reference.run(model, images) == expected).all()
    steps = dict(reference.steps(model, images))
    body = steps["pw13"].astype(int) + 128
    assert (steps["pool"][:, 0, 0] == (body.sum(axis=(1, 2)) + 8) // 16 - 128).all()
    assert (body.sum(axis=(1, 2)) % 16 == 8).any()


def test_two_files_become_one_network(shared_data: Path) -> None:
    model = integers(shared_data, *HEADS)
    images = photographs(shared_data, model)[:2]
    pooled = litert_logits(shared_data / "weights" / HEADS[0], images)
    expected = (litert_logits(shared_data / "weights" / HEADS[1], pooled)[:, 1:] ^ 128).view(np.int8)
    assert (reference.run(model, images) == expected).all()


def test_integers_are_near_the_floats_they_stand_for(shared_data: Path) -> None:
    imported = import_files([shared_data / "weights" / "person_detect.tflite"], int8=True)
    model, floats = imported.integers, imported.model
    assert model is not None
    layer, kernel = model.layers["fc"], floats.weights["fc.weight"]
    assert np.allclose(layer.weight * layer.scale[:, None], kernel, rtol=1e-6)
    assert model.network.channels == 1 and model.labels == floats.labels


def test_a_float_file_has_none_to_keep(shared_data: Path) -> None:
    with pytest.raises(ModelFileError, match="its input are no integers: import it without"):
        import_files([shared_data / "weights" / "vww_96_float.tflite"], Given(pixels=(0.0, 255.0)), int8=True)
    assert import_files([shared_data / "weights" / "vww_96_int8.tflite"]).integers is None


def test_what_is_exported_again_comes_back_the_same(shared_data: Path, tmp_path: Path) -> None:
    """The pool's scale, once lifted, is not lifted again."""
    model = integers(shared_data, "mobilenet_v1_0.25_128_quant.tflite")
    done = export(model.save(tmp_path / "m.safetensors"), tmp_path / "m.tflite", "tflite")
    imported = import_files([done.path], int8=True).integers
    assert imported is not None and imported.digest() == model.digest()


# What no shared file shows, on machines without them as well

SMALL = Network(1.0, 32, 32, classes=5, stem=8, blocks=(Block(1, 12), Block(2, 20)), activation="relu6")
PIXELS = Given(pixels=(127.5, 127.5))


def path_of(folder: Path, *changes: Callable[[File], None], kind: str = "int8") -> Path:
    """A small network whose activations are operators of their own, changed."""
    file = mobilenet(make_random_model(SMALL), Form(kind, fused=False))
    for change in changes:
        change(file)
    (folder / "m.tflite").write_bytes(write(file))
    return folder / "m.tflite"


def scaled(name: str, scale: list[float] | None, zero: int | list[int] = -128) -> Callable[[File], None]:
    def change(file: File) -> None:
        tensor = next(tensor for tensor in file.tensors if tensor.name == name)
        tensor.scale, tensor.zero = scale, zero if isinstance(zero, list) else [zero]

    return change


def test_an_activation_of_its_own_keeps_the_scale_of_its_layer(tmp_path: Path) -> None:
    """Of that before it: other layers may have others."""
    path = path_of(tmp_path, scaled("dw2", [0.02]), scaled("dw2/act", [0.02]))
    found = import_files([path], int8=None).integers
    assert found is not None
    assert found.activations["dw2"] == QuantParams(float(np.float32(0.02)), -128) != found.activations["dw1"]


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        (scaled("dw2", [0.02]), "dw2"),  # the activation rounds once more
        (scaled("dw2/act", [0.02]), "dw2"),
        (scaled("dw2/act", None), "dw2"),
        (scaled("pw1/kernel", [0.01] * 12, [0, 1] * 6), "pw1"),  # not one zero point
    ],
)
def test_a_layer_without_integers_of_our_scheme_becomes_floats(
    tmp_path: Path, change: Callable[[File], None], layer: str
) -> None:
    path = path_of(tmp_path, change)
    assert import_files([path], int8=None).integers is None
    with pytest.raises(ModelFileError, match=f"{layer} has no integers to keep: import it without --int8"):
        import_files([path], int8=True)


def test_floats_that_a_converter_left_a_scale_are_floats(tmp_path: Path) -> None:
    path = path_of(tmp_path, scaled("image", [1 / 255], 0), kind="float32")
    with pytest.raises(ModelFileError, match="its input are no integers: import it without"):
        import_files([path], PIXELS, int8=True)


def single_logit(path: Path, kind: str, end: str) -> Path:
    """Write a network with one output, and `end` as its last operator."""
    model = make_random_model(SMALL)
    weights = {name: a[:1] if name.startswith("fc") else a for name, a in model.weights.items()}
    object.__setattr__(model, "network", SMALL.replace(classes=1))
    object.__setattr__(model, "weights", weights)
    file = mobilenet(model, Form(kind, softmax=bool(end)))
    if end == "LOGISTIC":
        last = file.operators[-1]
        last.kind, last.options, last.fields = end, "", {}
    path.write_bytes(write(file))
    return path


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_single_logit_becomes_that_of_class_1_of_two(kind: str, tmp_path: Path) -> None:
    """Class 0 has the logit 0, class 1 the very integers of LiteRT, with a sigmoid behind them or without."""
    path = single_logit(tmp_path / "m.tflite", kind, "")
    found = import_files([path], int8=True).integers
    assert found is not None and found.network.classes == 2 and found.network.output == "softmax"
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    logits = reference.run(found, images)
    expected = litert_logits(path, images if kind == "uint8" else images ^ 128)[:, 0]
    assert (logits[:, 1] == (expected if kind == "int8" else (expected ^ 128).view(np.int8))).all()
    assert (logits[:, 0] == found.activations["fc"].zero_point).all() and len(set(expected.tolist())) > 2
    ended = import_files([single_logit(tmp_path / "s.tflite", kind, "LOGISTIC")], int8=True).integers
    assert ended is not None and ended.digest() == found.digest()


def test_integers_with_a_softmax_of_one_output_are_refused(tmp_path: Path) -> None:
    path = single_logit(tmp_path / "m.tflite", "int8", "SOFTMAX")
    with pytest.raises(ModelFileError, match="a softmax of one output is always 1: at least two classes are needed"):
        import_files([path], int8=True)

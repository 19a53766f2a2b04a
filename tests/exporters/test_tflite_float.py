"""TensorFlow Lite files with float activations: LiteRT against a slow interpreter, and what the files say."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tflite
from flatbuffers.table import Table as Bytes
from litert_peer import BUILT_IN, litert, opened
from test_onnx import NETWORKS, close, interpret, some_images

from mobilenets.arch.fold import fold_batch_norm
from mobilenets.errors import UsageError
from mobilenets.exporters.tflite import pixels_to_logits, to_tflite, to_tflite_dynamic, to_tflite_float16
from mobilenets.exporters.tflite_file import _OPERATORS
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.weights.read.tflite import read_tflite
from mobilenets.weights.recognise import recognise

ODD_LABELS = ("Ελιά", "a, b", 'quote " and \\', "line\nbreak\r\nand tab\t", "")


@pytest.fixture(params=NETWORKS)
def model(request: pytest.FixtureRequest, random_model) -> Model:
    return random_model(NETWORKS[request.param])


def test_litert_agrees_with_the_trained_graph(model: Model) -> None:
    images = some_images(model.network, 3)
    x = normalise(images, model.preprocess)
    outputs = interpret(model.graph, model.weights, x.astype(np.float64))
    assert close(litert(pixels_to_logits(model), images), outputs["fc"][:, 0, 0])
    for resolver in (BUILT_IN, None):
        probabilities = litert(to_tflite(model), x, *([resolver] if resolver else []))
        assert close(probabilities, outputs["softmax"][:, 0, 0])


@pytest.mark.parametrize(("write", "near"), [(to_tflite_float16, 0.01), (to_tflite_dynamic, 0.1)])
def test_rounded_weights(write, near: float, model: Model) -> None:
    x = normalise(some_images(model.network, 3), model.preprocess)
    probabilities = interpret(model.graph, model.weights, x.astype(np.float64))["softmax"][:, 0, 0]
    assert np.abs(litert(write(model), x) - probabilities).max() <= near


def test_what_is_read_back_is_what_was_written(model: Model) -> None:
    if model.network.convolution == "full":
        pytest.skip("only networks of separable convolutions are read")
    wanted = fold_batch_norm(model.graph, model.weights)[1]
    for write, rounding in ((to_tflite, 1e-6), (to_tflite_float16, 2**-11), (to_tflite_dynamic, 0.501 / 127)):
        back = recognise(read_tflite(write(model))).model
        assert (back.network, back.preprocess, back.labels) == (model.network, model.preprocess, model.labels)
        found = fold_batch_norm(back.graph, back.weights)[1]
        for name, array in wanted.items():
            largest = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True)
            assert (np.abs(found[name] - array) <= rounding * largest + 2**-25).all(), name


def test_files_of_rounded_weights_are_smaller(random_model) -> None:
    model = random_model(NETWORKS["plain"])
    whole = len(to_tflite(model))
    assert len(to_tflite_float16(model)) < 0.55 * whole and len(to_tflite_dynamic(model)) < 0.35 * whole


def test_a_weight_beyond_float16_is_refused(random_model) -> None:
    model = random_model(NETWORKS["grey"])
    weights = {**model.weights, "pw1.weight": model.weights["pw1.weight"] * 1e6}
    with pytest.raises(UsageError, match=r"^pw1/weight holds .*, beyond what float16 can: write float32 \(tflite\)$"):
        to_tflite_float16(replace(model, weights=weights))


def test_a_channel_of_zeros_has_a_scale(random_model) -> None:
    model = random_model(NETWORKS["grey"])
    kernel = model.weights["pw1.weight"].copy()
    kernel[3] = 0
    model = replace(model, weights={**model.weights, "pw1.weight": kernel})
    x = normalise(some_images(model.network, 1), model.preprocess)
    assert np.isfinite(litert(to_tflite_dynamic(model), x)).all()


@pytest.mark.parametrize(
    "preprocess",
    [{"mean": 0.0, "std": 255.0}, {"mean": 0.0, "std": 1.0}, {"mean": (120.0, 110.5, 99.0), "std": (60.0, 58.5, 57.0)}],
)
def test_normalisation_inside(preprocess: dict, random_model) -> None:
    model = random_model(NETWORKS["plain"])
    model = replace(model, preprocess=replace(model.preprocess, **preprocess))
    images = some_images(model.network, 2)
    x = normalise(images, model.preprocess)
    assert close(
        litert(pixels_to_logits(model), images),
        interpret(model.graph, model.weights, x.astype(np.float64))["fc"][:, 0, 0],
    )
    (unit,) = metadata(to_tflite(model))["units"]
    assert unit == tuple(tuple(np.atleast_1d(np.float32(preprocess[name])).tolist()) for name in ("mean", "std"))


def test_what_the_file_says_of_itself(random_model) -> None:
    model = random_model(NETWORKS["not square"])
    interpreter, takes, gives = opened(to_tflite(model))
    assert (takes["name"], takes["dtype"], takes["shape"].tolist()) == ("image", np.float32, [1, 49, 34, 3])
    assert (gives["name"], gives["dtype"], gives["shape"].tolist()) == ("probabilities", np.float32, [1, 5])
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}


def test_several_images_at_once(random_model) -> None:
    model = random_model(NETWORKS["plain"])
    images = some_images(model.network, 5)
    content = pixels_to_logits(model)
    interpreter, takes, gives = opened(content)
    interpreter.resize_tensor_input(takes["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(takes["index"], images)
    interpreter.invoke()
    assert close(interpreter.get_tensor(gives["index"]), litert(content, images))


def test_labels_and_preprocessing(random_model) -> None:
    network = NETWORKS["not square"]
    preprocess = Preprocess(49, 34, crop=0.9, resize="lanczos")
    model = replace(random_model(network), labels=ODD_LABELS, preprocess=preprocess)
    content = to_tflite(model)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.getinfo("labels.txt").compress_type == zipfile.ZIP_STORED
        lines = archive.read("labels.txt").decode()
    assert lines == 'Ελιά\na, b\nquote " and \\\nline break and tab\n4\n'
    said = metadata(content)
    assert said["file"] == "labels.txt" and said["colours"] == 1 and said["size"] == (34, 49)
    assert "lanczos" in said["description"] and "0.9" in said["description"]
    back = recognise(read_tflite(content)).model
    assert (back.labels, back.preprocess) == (ODD_LABELS, preprocess)


def metadata(content: bytes) -> dict:
    """What the flatbuffer under TFLITE_METADATA says, by the field numbers of metadata_schema.fbs."""
    model = tflite.Model.GetRootAsModel(content, 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    data = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert data[4:8] == b"M001"
    root = Bytes(data, int.from_bytes(data[:4], "little"))
    graph = elements(root, 3)[0]
    (image,), (answer,) = elements(graph, 2), elements(graph, 3)
    colours = inner(inner(image, 3), 1)
    size = inner(colours, 1)
    units = [tuple(floats(inner(unit, 1), slot) for slot in (0, 1)) for unit in elements(image, 4)]
    return {
        "description": text(image, 1),
        "colours": data[colours.Pos + colours.Offset(4)],
        "size": tuple(
            int.from_bytes(data[(at := size.Pos + size.Offset(4 + 2 * i)) : at + 4], "little") for i in (0, 1)
        ),
        "units": units,
        "file": text(elements(answer, 6)[0], 0),
    }


def inner(table: Bytes, slot: int) -> Bytes:
    return Bytes(table.Bytes, table.Indirect(table.Pos + table.Offset(4 + 2 * slot)))


def elements(table: Bytes, slot: int) -> list[Bytes]:
    offset = table.Offset(4 + 2 * slot)
    start = table.Vector(offset)
    return [Bytes(table.Bytes, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(offset))]


def text(table: Bytes, slot: int) -> str:
    return table.String(table.Pos + table.Offset(4 + 2 * slot)).decode()


def floats(table: Bytes, slot: int) -> tuple[float, ...]:
    offset = table.Offset(4 + 2 * slot)
    start = table.Vector(offset)
    return tuple(np.frombuffer(table.Bytes, "<f4", table.VectorLen(offset), start).tolist())


def test_constants_lie_where_processors_read_16_bytes_at_once(random_model) -> None:
    content = to_tflite(random_model(NETWORKS["grey"]))
    model = tflite.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert starts and not any(start % 16 for start in starts)


def test_the_numbers_of_operators_are_the_published_schema_s() -> None:
    for name, (number, table, union) in _OPERATORS.items():
        assert getattr(tflite.BuiltinOperator, name) == number
        assert getattr(tflite.BuiltinOptions, table) == union


def test_metadata_that_is_not_ours_is_no_network(random_model) -> None:
    content = to_tflite(random_model(NETWORKS["grey"]))
    other = content.replace(b"mobilenets_network", b"somebodys__network")
    assert read_tflite(other).network is None and read_tflite(content).network is not None


def test_damaged_metadata_is_one_line(random_model) -> None:
    from mobilenets.errors import ModelFileError

    model = random_model(NETWORKS["grey"])
    content = to_tflite(model).replace(json.dumps(list(model.labels)).encode()[:6], b'{"x": ')
    with pytest.raises(ModelFileError, match=r"^its metadata: [^\n]*$"):
        read_tflite(content)


def test_the_same_model_gives_the_same_bytes(random_model) -> None:
    network = NETWORKS["relu6"]
    assert to_tflite(random_model(network)) == to_tflite(random_model(network))

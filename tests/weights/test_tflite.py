"""TensorFlow Lite files through LiteRT and through us: the shared trained ones, and small ones of every form."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from conftest import make_random_model
from tflite_files import Form, Operator, mobilenet, write
from torch.nn import functional

from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.network import BODY, Block, Network
from mobilenets.arch.ops import Op
from mobilenets.cli import main
from mobilenets.data.imagenet import names as imagenet_names
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Pixels, Preprocess, prepare
from mobilenets.model import Model
from mobilenets.runtime import Session
from mobilenets.weights.importing import import_files
from mobilenets.weights.layers import chain
from mobilenets.weights.read.tflite import read_tflite
from mobilenets.weights.recognise import Given, recognise

Array = np.ndarray[Any, Any]

IMAGENET = {
    "0.25-128": ["mobilenet_v1_0.25_128_quant.tflite"],
    "0.5-160": ["mobilenet_v1_0.5_160_quant.tflite"],
    "0.75-192": ["mobilenet_v1_0.75_192_quant.tflite"],
    "1-224": ["mobilenet_v1_1.0_224_quant_embedding_extractor.tflite", "mobilenet_quant_v1_224_head_layers.tflite"],
}
SHARED = {
    **IMAGENET,
    "vww": ["vww_96_int8.tflite"],
    "person": ["person_detect.tflite"],
}
BUILT_IN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
XNNPACK = OpResolverType.AUTO  # LiteRT's default on this kind of machine

# preserving all tensors with XNNPACK is "intended for debugging purposes only": so it is here
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small convolutions: on a busy machine torch's threads mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def paths(shared_data: Path, files: Sequence[str]) -> list[Path]:
    return [shared_data / "weights" / file for file in files]


@pytest.mark.parametrize("name", [*IMAGENET])
def test_what_googles_networks_are(shared_data: Path, name: str) -> None:
    imported = import_files(paths(shared_data, IMAGENET[name]))
    alpha, side = float(name.split("-")[0]), int(name.split("-")[1])
    assert imported.model.network == Network(
        alpha, side, side, classes=1000, activation="relu6", padding="same", epsilon=1e-3
    )
    assert imported.model.preprocess == Preprocess(side, side, mean=128, std=128)
    assert imported.model.labels == imagenet_names()
    facts = {fact.name: (fact.value, fact.source) for fact in imported.facts}
    assert facts["format"] == ("TensorFlow Lite uint8", "the file")
    assert facts["outputs"] == ("1000: output 0 of 1001, the background, is dropped", "convention of TF-slim")
    assert imported.model.data["imported"]["file"] == " + ".join(IMAGENET[name])


@pytest.mark.parametrize(
    ("file", "format", "changes", "preprocess"),
    [
        ("vww_96_float.tflite", "float", {"activation": "relu"}, {"mean": 0, "std": 255}),
        ("vww_96_int8.tflite", "int8", {"activation": "relu"}, {"mean": 0, "std": 255}),
        (
            "person_detect.tflite",
            "int8",
            {"activation": "relu6", "channels": 1},
            {"channels": 1, "mean": 127, "std": 127.5},
        ),
    ],
)
def test_what_the_others_are(
    shared_data: Path, file: str, format: str, changes: dict[str, Any], preprocess: dict[str, Any]
) -> None:
    given = Given(pixels=(0, 255)) if format == "float" else None
    imported = import_files(paths(shared_data, [file]), given)
    assert imported.model.network == Network(0.25, 96, 96, classes=2, padding="same", epsilon=1e-3, **changes)
    assert imported.model.network.blocks == BODY
    assert imported.model.preprocess == Preprocess(96, 96, **preprocess)
    assert imported.facts[0].value == f"TensorFlow Lite {format}"


def test_labels_of_1001_outputs(shared_data: Path) -> None:
    """Their own list begins with the background, and its classes stand in ImageNet's order."""
    labels = tuple((shared_data / "weights" / "imagenet_labels.txt").read_text().splitlines())
    assert len(labels) == 1001
    model = import_files(paths(shared_data, IMAGENET["0.25-128"]), Given(labels=labels)).model
    assert (model.labels[0], model.labels[999]) == (
        "tench, Tinca tinca",
        "toilet tissue, toilet paper, bathroom tissue",
    )


class Peer:
    """LiteRT, all of whose tensors can be looked at; several files run one after the other."""

    def __init__(self, contents: Sequence[bytes], kernels: OpResolverType = BUILT_IN) -> None:
        self.parts = [
            Interpreter(
                model_content=content,
                experimental_op_resolver_type=kernels,
                experimental_preserve_all_tensors=True,
                num_threads=1,
            )
            for content in contents
        ]
        for part in self.parts:
            part.allocate_tensors()

    def run(self, image: Pixels, preprocess: Preprocess) -> Array:
        """(H, W, C) uint8 -> the last output, as it is stored."""
        given = image[None]
        for part in self.parts:
            wanted = part.get_input_details()[0]
            if wanted["dtype"] == np.float32 != given.dtype:
                given = (given.astype(np.float32) - np.float32(preprocess.mean)) / np.float32(preprocess.std)
            elif given.dtype != wanted["dtype"]:
                given = (given.astype(np.int16) - 128).astype(np.int8)
            part.set_tensor(wanted["index"], given)
            part.invoke()
            given = part.get_tensor(part.get_output_details()[0]["index"])
        return given

    def steps(self) -> Iterator[tuple[str, Array, Array, float, tuple[float, float]]]:
        """(kind, input, output, step and range of the output) of each operator; a PAD belongs to what follows it."""
        for part in self.parts:
            details = {tensor["index"]: tensor for tensor in part.get_tensor_details()}
            padded: dict[int, int] = {}
            for operator in part._get_ops_details():
                takes, gives = operator["inputs"][0], operator["outputs"][0]
                if operator["op_name"] == "PAD":
                    padded[gives] = takes
                    continue
                taken, _, _ = real(part, details[padded.get(takes, takes)])
                given, step, bounds = real(part, details[gives])
                yield operator["op_name"], taken, given, step, bounds

    def logits(self) -> Array:
        return [given for kind, _, given, _, _ in self.steps() if kind in ("FULLY_CONNECTED", "CONV_2D")][-1].ravel()


def real(part: Interpreter, tensor: dict[str, Any]) -> tuple[Array, float, tuple[float, float]]:
    """A tensor's values in float64, its step, and the range that it can represent."""
    values = part.get_tensor(tensor["index"]).astype(np.float64)
    known = tensor["quantization_parameters"]
    if tensor["dtype"] not in (np.int8, np.uint8) or len(known["scales"]) != 1:
        return values, 0.0, (-np.inf, np.inf)
    step, zero = float(known["scales"][0]), int(known["zero_points"][0])
    limits = np.iinfo(tensor["dtype"])
    return (values - zero) * step, step, ((limits.min - zero) * step, (limits.max - zero) * step)


LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MEAN")


def distances(peer: Peer, model: Model) -> dict[str, float]:
    """How far each of our float layers is from LiteRT's, given what LiteRT's took, in steps of what that gives."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    ours = [op for op in graph.ops if f"{op.name}.weight" in weights or op.kind == "global_average_pool"]
    theirs = [step for step in peer.steps() if step[0] in LAYERS]
    assert len(ours) == len(theirs)
    found = {}
    for op, (_, taken, given, step, bounds) in zip(ours, theirs, strict=True):
        result = layer(op, weights, taken.reshape(op.shape_in), model.network.activation).clip(*bounds)
        given = given.reshape(*op.shape_out[:2], -1)[..., -op.shape_out[2] :]  # without the background
        found[op.name] = float(np.abs(result - given).max() / step)
    return found


def layer(op: Op, weights: dict[str, Array], image: Array, activation: str) -> Array:
    """(H, W, C) -> (H, W, C) in float64: one convolution of the folded graph with its activation, or the pool."""
    if op.kind == "global_average_pool":
        return image.mean((0, 1), keepdims=True)
    weight, bias = (torch.from_numpy(weights[f"{op.name}.{part}"]).double() for part in ("weight", "bias"))
    top, left, bottom, right = op.padding
    x = functional.pad(torch.from_numpy(image).permute(2, 0, 1)[None], (left, right, top, bottom))
    weight = weight.reshape(*weight.shape[:2], op.kernel, op.kernel)
    x = functional.conv2d(x, weight, bias, op.stride, groups=op.shape_in[2] if op.kind == "depthwise" else 1)
    if op.kind != "fully_connected":
        x = x.clamp(0, 6) if activation == "relu6" else x.relu()
    return x[0].permute(1, 2, 0).numpy()


def contents(shared_data: Path, files: Sequence[str]) -> list[bytes]:
    return [one_axis_biases(path.read_bytes()) for path in paths(shared_data, files)]


def one_axis_biases(content: bytes) -> bytes:
    """LiteRT refuses person_detect.tflite: its biases, of one axis, are said to be quantised along axis 3."""
    changed = bytearray(content)
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    for at in range(graph.TensorsLength()):
        tensor = graph.Tensors(at)
        quantisation = tensor.Quantization()
        if quantisation and quantisation.QuantizedDimension() and tensor.ShapeLength() == 1:
            place = quantisation._tab.Pos + quantisation._tab.Offset(16)
            changed[place : place + 4] = bytes(4)
    return bytes(changed)


def noise(preprocess: Preprocess, seed: int = 0) -> Pixels:
    shape = (preprocess.height, preprocess.width, preprocess.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def shared_distances(shared_data: Path, name: str, kernels: OpResolverType, photos: int) -> float:
    model = import_files(paths(shared_data, SHARED[name])).model
    peer = Peer(contents(shared_data, SHARED[name]), kernels)
    chosen = sorted((shared_data / "imagenet-1000").iterdir())[:: 1000 // photos][:photos]
    found = []
    for image in [noise(model.preprocess), *(prepare(photo, model.preprocess) for photo in chosen)]:
        peer.run(image, model.preprocess)
        found.append(max(distances(peer, model).values()))
    return max(found)


# XNNPACK rounds once: half a step. LiteRT's built-in kernels round twice, to 31 bits and then by a shift of s bits: up
# to 1/2 + 1/2 ** (s + 1) steps, of which the shared files' smallest shift, 1, makes 0.75.
LIMITS = {XNNPACK: 0.5001, BUILT_IN: 0.7501}


@pytest.mark.parametrize("kernels", LIMITS, ids=["xnnpack", "built_in"])
@pytest.mark.parametrize(
    "name", [next(iter(SHARED)), *(pytest.param(n, marks=pytest.mark.slow) for n in [*SHARED][1:])]
)
def test_each_layer_is_within_the_quantisations_step(shared_data: Path, name: str, kernels: OpResolverType) -> None:
    found = shared_distances(shared_data, name, kernels, photos=4)
    print(f"{name} {kernels.name}: {found:.5f} steps")
    assert found <= LIMITS[kernels]


def test_float_logits(shared_data: Path) -> None:
    model = import_files(paths(shared_data, ["vww_96_float.tflite"]), Given(pixels=(0, 255))).model
    peer = Peer(contents(shared_data, ["vww_96_float.tflite"]))
    photos = sorted((shared_data / "imagenet-1000").iterdir())[::100]
    for image in [noise(model.preprocess), *(prepare(photo, model.preprocess) for photo in photos)]:
        assert_same_logits(model, peer, image)


def assert_same_logits(model: Model, peer: Peer, image: Pixels) -> None:
    peer.run(image, model.preprocess)
    assert_close(model, peer, image)


def assert_close(model: Model, peer: Peer, image: Pixels) -> None:
    theirs = peer.logits()
    ours = Session.from_onnx(to_onnx(model)).logits(image[None])[0]
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_float_and_int8_are_the_same_weights(shared_data: Path) -> None:
    """vww_96 twice: the int8 file's kernels are the float file's, to half a step a channel."""
    given = Given(pixels=(0, 255))
    exact, rounded = (
        import_files(paths(shared_data, [f"vww_96_{kind}.tflite"]), given).model for kind in ("float", "int8")
    )
    for name in ("conv0.weight", "dw7.weight", "pw12.weight"):
        largest = np.abs(exact.weights[name]).max((1, 2, 3), keepdims=True)
        assert (np.abs(exact.weights[name] - rounded.weights[name]) <= 0.51 / 127 * largest + 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*IMAGENET])
def test_top1_on_1000_photographs(shared_data: Path, name: str) -> None:
    """Within one point of LiteRT on the same pixels."""
    model = import_files(paths(shared_data, IMAGENET[name])).model
    session = Session.from_onnx(to_onnx(model))
    peer = Peer(contents(shared_data, IMAGENET[name]), XNNPACK)
    ours = theirs = 0
    for label, photo in enumerate(sorted((shared_data / "imagenet-1000").iterdir())):
        image = prepare(photo, model.preprocess)
        ours += int(session.logits(image[None])[0].argmax() == label)
        theirs += int(peer.run(image, model.preprocess).argmax() - 1 == label)
    print(f"{name}: ours {ours / 1000}, LiteRT {theirs / 1000}")
    assert abs(ours - theirs) <= 10


@pytest.mark.slow
def test_evaluate_prints_it(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command on the 1,000 photographs, whose names begin with WordNet ids and of which none can be held out."""
    model = import_files(paths(shared_data, IMAGENET["0.25-128"])).model.save(tmp_path / "0.25-128.safetensors")
    assert main(["evaluate", str(model), str(shared_data / "imagenet-1000"), "--split", "all", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["images"] == 1000
    assert values["top1"] == pytest.approx(0.449, abs=0.01)  # LiteRT's: see test_top1_on_1000_photographs
    assert values["top5"] > 0.7


# What no shared file shows, on machines without them as well

SMALL = Network(
    0.5, 33, 47, classes=5, activation="relu6", epsilon=1e-3, blocks=(Block(1, 24), Block(2, 40), Block(2, 20))
)
PIXELS = Given(pixels=(127.5, 127.5))


def made(network: Network, form: Form) -> tuple[Model, bytes]:
    model = make_random_model(network)
    return model, write(mobilenet(model, form))


@pytest.mark.parametrize("padding", ["same", "symmetric", "keras"])
@pytest.mark.parametrize("kind", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"pad": True}, {"mean": True}, {"pointwise_classifier": True, "softmax": False}],
    ids=["plain", "PAD", "MEAN", "pointwise classifier"],
)
def test_forms(padding: Any, kind: str, changes: dict[str, Any]) -> None:
    """Of every number format and padding: the settings, and what LiteRT computes."""
    source, content = made(SMALL.replace(padding=padding), Form(kind, **changes))
    quantised = kind in ("uint8", "int8")
    imported = recognise(read_tflite(content), None if quantised else PIXELS)
    model = imported.model
    assert [op.padding for op in model.graph.ops] == [op.padding for op in source.graph.ops]
    widths = tuple(replace(block, channels=block.channels // 2) for block in SMALL.blocks)
    assert model.network == SMALL.replace(alpha=1.0, stem=16, blocks=widths, padding=model.network.padding)
    assert (model.preprocess.mean, model.preprocess.std) == (127 if quantised else 127.5, 127.5)
    assert imported.facts[0].value == f"TensorFlow Lite {kind.removesuffix('32')}"
    peer, image = Peer([content]), noise(model.preprocess)
    if quantised:
        peer.run(image, model.preprocess)
        assert max(distances(peer, model).values()) <= 1.0
    else:
        assert_same_logits(model, peer, image)


@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_an_activation_of_its_own(kind: str, activation: Any) -> None:
    source, content = made(SMALL.replace(activation=activation, padding="same"), Form(kind, fused=False))
    model = recognise(read_tflite(content), PIXELS).model
    assert model.network.activation == activation
    assert_same_logits(model, Peer([content]), noise(source.preprocess))


@pytest.mark.parametrize("network", [Network(0.25, 64, 64, classes=3), Network(0.1, 32, 40, channels=1, classes=2)])
def test_the_weights_come_back(network: Network) -> None:
    """A float file holds the folded weights, and they are what we fold again."""
    source, content = made(network.replace(activation="relu6", epsilon=1e-3, padding="same"), Form())
    model = recognise(read_tflite(content), PIXELS).model
    assert model.network == source.network
    before, after = (fold_batch_norm(m.graph, m.weights)[1] for m in (source, model))
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-6, atol=1e-7)


def test_two_files_that_run_one_after_the_other() -> None:
    model = make_random_model(SMALL)
    body, head = mobilenet(model, Form("uint8")), mobilenet(model, Form("uint8"))
    cut = next(at for at, operator in enumerate(body.operators) if operator.kind == "AVERAGE_POOL_2D") + 1
    body.operators, head.operators = body.operators[:cut], head.operators[cut:]
    body.outputs = head.inputs = body.operators[-1].outputs
    files = [write(body), write(head)]
    imported = recognise(chain([read_tflite(content) for content in files])).model
    peer = Peer(files)
    peer.run(noise(imported.preprocess), imported.preprocess)
    assert max(distances(peer, imported).values()) <= 1.0


def test_two_files_of_which_the_first_ends_at_one_position() -> None:
    """Their pool has nothing to average, and a converter leaves it out."""
    model = make_random_model(SMALL.replace(width=32, height=32, blocks=(Block(2, 24),) * 4))
    form = Form(pointwise_classifier=True, softmax=False)
    body, head = mobilenet(model, form), mobilenet(model, form)
    pool = next(at for at, operator in enumerate(body.operators) if operator.kind == "AVERAGE_POOL_2D")
    body.operators, head.operators = body.operators[:pool], head.operators[pool + 1 :]
    body.outputs, head.inputs = body.operators[-1].outputs, head.operators[0].inputs[:1]
    files = [write(body), write(head)]
    imported = recognise(chain([read_tflite(content) for content in files]), PIXELS).model
    assert_same_logits(imported, Peer(files), noise(imported.preprocess))


@pytest.mark.parametrize(
    ("steps", "white", "mean", "std"),
    [
        ({"SUB": [0, 10, 20], "DIV": [50, 60, 70]}, 255, (0, 10, 20), (50, 60, 70)),
        ({"DIV": [64], "SUB": [2]}, 255, 128, 64),
        ({"MUL": [1 / 64], "ADD": [0, -1, -2]}, 255, (0, 64, 128), 64),
        ({"SUB": [0.4], "MUL": [4]}, 1, 102, 63.75),
    ],
)
def test_arithmetic_before_the_first_layer(steps: dict[str, list[float]], white: int, mean: Any, std: Any) -> None:
    """Of numbers of at most 1 it is that of an image in [0, 1]."""
    file = mobilenet(make_random_model(SMALL), Form())
    at = image = file.inputs[0]
    for number, (kind, values) in enumerate(steps.items()):
        with_what = file.add("numbers", [len(values)], values=np.array(values, np.float32))
        made = file.add("rescaled", file.tensors[image].shape)
        file.operators.insert(number, Operator(kind, [at, with_what], [made], f"{kind.title()}Options"))
        at = made
    file.operators[len(steps)].inputs[0] = at
    model = recognise(read_tflite(write(file))).model
    assert (model.preprocess.mean, model.preprocess.std) == (mean, std)
    peer, pixels = Peer([write(file)]), noise(model.preprocess)
    peer.run(pixels, replace(model.preprocess, mean=0, std=255 / white))
    assert_close(model, peer, pixels)


@pytest.mark.parametrize(
    ("kind", "pixels", "mean", "std"),
    [
        ("uint8", (1 / 128, 128), 128, 128),
        ("int8", (1 / 127.5, 127), 127, 127.5),
        ("int8", (1 / 255, 0), 0, 255),
        ("uint8", (0.0186, 114), 114, 1 / float(np.float32(0.0186))),
    ],
)
def test_pixels_of_a_quantised_input(kind: str, pixels: tuple[float, int], mean: float, std: float) -> None:
    _, content = made(SMALL, Form(kind, pixels=pixels))
    assert read_tflite(content).pixels == (mean, std)

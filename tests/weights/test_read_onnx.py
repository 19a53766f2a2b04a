"""ONNX files, read, against ONNX Runtime, which runs those very files."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_files as files
import pytest
import timm
import torch
from onnx import TensorProto, numpy_helper
from onnx_files import File, network, run
from torch import nn
from torch_peer import Listed, assert_same, noise, our_logits, randomise

from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.arch.ops import Op
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.weights import Given, import_files
from mobilenets.weights.read.onnx import read_onnx
from mobilenets.weights.recognise import recognise

pytestmark = pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based:DeprecationWarning")

RandomModel = Callable[..., Model]
SIGNED = Given(pixels=(127.5, 127.5))
BLOCKS = (Block(1, 12), Block(2, 10), Block(2, 16))


def read(content: bytes, given: Given | None = SIGNED) -> Model:
    return recognise(read_onnx(content), given).model


def nchw(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


# --- our own exports

OWN = {
    "plain": Network(0.25, 64, 64, classes=5),
    "head, ReLU6": Network(0.5, 64, 64, classes=5, head=1024, activation="relu6"),
    "grey, not square": Network(0.25, 65, 49, channels=1, classes=3, blocks=SHALLOW_BODY),
    "same": Network(0.25, 65, 50, classes=5, padding="same", epsilon=1e-3),
    "keras, where same is the same": Network(0.25, 64, 96, classes=5, padding="keras", epsilon=0.1),
    "keras": Network(0.25, 65, 49, classes=5, padding="keras", epsilon=1e-3),
    "odd alpha": Network(0.37, 32, 32, classes=5, rounding="multiple_of_8"),
    "widths of its own": Network(1.0, 48, 48, classes=5, stem=7, blocks=BLOCKS),
    "widths that an alpha makes": Network(0.25, 48, 48, classes=5, stem=28, blocks=BLOCKS),
    "one channel": Network(0.03, 32, 32, classes=1, output="sigmoid"),
    "four classes": Network(0.1, 32, 32, classes=4),
}


@pytest.mark.parametrize("name", OWN)
def test_our_own_exports_come_back(name: str, tmp_path, random_model: RandomModel) -> None:
    wanted = OWN[name]
    preprocess = Preprocess(wanted.height, wanted.width, wanted.channels, 0.9, "lanczos", mean=100.123, std=51.7)
    labels = tuple(f"größer {i}" for i in range(wanted.classes))
    model = replace(random_model(wanted), preprocess=preprocess, labels=labels)
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(model))
    back = import_files([path]).model
    assert (back.network, back.preprocess, back.labels) == (wanted, preprocess, labels)
    pixels = noise(wanted.height, wanted.width, wanted.channels)
    np.testing.assert_allclose(our_logits(back, pixels), our_logits(model, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network": Network(0.5, 64, 64, classes=5).to_json()}, "network 0.5-64, but layer 1 does not match it"),
        ({"network": "{}"}, "its metadata: the JSON holds no network"),
        ({"labels": "[1, 2, 3, 4, 5]"}, r"its metadata: labels\[0\] \(=1\) must be text"),
        ({"labels": "[[["}, "its metadata: labels is not JSON: Expecting value"),
        ({"preprocess": '{"height": 64}'}, "its metadata: preprocess lacks 'width'"),
        ({"preprocess": '{"height": 96, "width": 64}'}, "the preprocessing gives .96, 64, 3. but"),
        ({"preprocess": '{"height": 64, "width": 64, "std": 1}'}, "states another size or other pixels than its graph"),
    ],
)  # fmt: skip
def test_metadata_that_contradicts_the_graph(change: dict[str, str], reason: str, random_model: RandomModel) -> None:
    proto = onnx.load_model_from_string(to_onnx(random_model(OWN["plain"])))
    for entry in proto.metadata_props:
        entry.value = change.get(entry.key, entry.value)
    with pytest.raises(ModelFileError, match=reason):
        read(proto.SerializeToString(), None)


def test_metadata_may_be_lost(random_model: RandomModel) -> None:
    """Then all but the labels, the epsilon and the crop still stand in the graph."""
    model = random_model(OWN["head, ReLU6"])
    proto = onnx.load_model_from_string(to_onnx(model))
    del proto.metadata_props[:]
    back = read(proto.SerializeToString(), None)
    assert back.network == model.network.replace(epsilon=1e-3)
    assert (back.preprocess, back.labels) == (model.preprocess, tuple("01234"))


# --- PyTorch's exports

HEADS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "flatten": lambda x: nn.functional.adaptive_avg_pool2d(x, 1).flatten(1),
    "view": lambda x: nn.functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1),
    "reshape": lambda x: nn.functional.avg_pool2d(x, 2).reshape(-1, 256),
    "mean": lambda x: x.mean((2, 3)),
    "squeeze": lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1),
    "dropout": lambda x: nn.functional.dropout(x.mean((-1, -2)), 0.2, training=False),
}


class Whole(nn.Module):
    """ImageNet's normalisation of [0, 1], the network, a head and softmax."""

    def __init__(self, head: str) -> None:
        super().__init__()
        self.body, self.head = randomise(Listed(nn.ReLU6)), HEADS[head]
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.body.fc(self.head(self.body.model[:-1]((x - self.mean) / self.std)))
        return logits.log_softmax(1)


def exported(module: nn.Module, size: int, *, dynamo: bool = False, **how: Any) -> bytes:
    if dynamo:
        pytest.importorskip("onnxscript", reason="torch's new exporter needs onnxscript")
    content = io.BytesIO()
    images = torch.zeros(2, 3, size, size)
    program = torch.onnx.export(module.eval(), (images,), None if dynamo else content, dynamo=dynamo, **how)
    return program.model_proto.SerializeToString() if dynamo else content.getvalue()


EXPORTERS: dict[str, dict[str, Any]] = {
    "opset 9": {"opset_version": 9},
    "opset 17": {"opset_version": 17},
    "any batch": {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}},
    "nothing folded": {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False},
}


@pytest.mark.parametrize(
    ("exporter", "head"), [*(("opset 17", head) for head in HEADS), *((how, "view") for how in EXPORTERS)]
)
def test_torchs_exports(exporter: str, head: str) -> None:
    compare(exported(Whole(head), 64, **EXPORTERS[exporter]))


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_torchs_new_exports(head: str) -> None:
    compare(exported(Whole(head), 64, dynamo=True))


def compare(content: bytes) -> None:
    model = read(content, None)
    assert model.network.replace(epsilon=1e-3) == Network(0.25, 64, 64, classes=5, activation="relu6", epsilon=1e-3)
    assert model.preprocess.mean == (123.675, 116.28, 103.53)
    assert model.preprocess.std == pytest.approx((58.395, 57.12, 57.375))
    pixels = noise(64, 64)
    logits = our_logits(model, pixels)
    theirs = run(content, nchw(pixels).astype(np.float32) / 255)
    assert_same(logits - np.log(np.exp(logits).sum(1, keepdims=True)), theirs)


@pytest.mark.parametrize("how", ["folded", "unfolded", pytest.param("dynamo", marks=pytest.mark.slow)])
def test_timm(how: str) -> None:
    peer = randomise(timm.create_model("mobilenetv1_100", num_classes=10))
    settings = {"unfolded": EXPORTERS["nothing folded"], "dynamo": {"dynamo": True}}.get(how, {})
    content = exported(peer, 224, **settings)
    kinds = {node.op_type for node in onnx.load_model_from_string(content).graph.node}
    assert ("BatchNormalization" in kinds) == (how == "unfolded")
    imported = recognise(read_onnx(content), SIGNED)
    epsilon = 1e-5 if how == "unfolded" else 1e-3
    assert imported.model.network == Network(1.0, 224, 224, classes=10, activation="relu6", epsilon=epsilon)
    assert {fact.name: fact.source for fact in imported.facts}["activation"] == "the file"
    pixels = noise(224, 224)
    theirs = run(content, nchw(normalise(pixels, imported.model.preprocess)))
    assert_same(our_logits(imported.model, pixels), theirs)


# --- other ways to write the same network


def same_upper(file: File, x: str, kernel: str, op: Op) -> str:
    return files.pads(file, x, kernel, op, auto_pad="SAME_UPPER", pads=None)


def padded_before(file: File, x: str, kernel: str, op: Op) -> str:
    """Half of it before and half within: what counts is the sum."""
    top, left, bottom, right = op.padding
    if op.kernel == 1:
        return files.pads(file, x, kernel, op)
    amounts = [0, 0, top, 0, 0, 0, bottom, 0]
    if file.opset < 11:
        x = file.add("Pad", x, pads=amounts)
    else:
        x = file.add("Pad", x, file.constant(amounts, np.int64), mode="constant")
    return files.pads(file, x, kernel, op, pads=[0, left, 0, right])


def bias_after(file: File, x: str, kernel: str, op: Op) -> str:
    return file.add("Add", files.pads(file, x, kernel, op), file.constant(np.zeros((1, op.shape_out[2], 1, 1))))


def from_half(file: File, x: str, kernel: str, op: Op) -> str:
    file.constants[-1].CopyFrom(numpy_helper.from_array(half(file.constants[-1]), kernel))
    return files.pads(file, x, file.add("Cast", kernel, to=TensorProto.FLOAT), op)


def bias_expanded(file: File, x: str, kernel: str, op: Op) -> str:
    """A bias of nothing, made as large as another constant is."""
    like = file.add("Shape", file.constant(np.ones(op.shape_out[2])))
    return files.pads(file, x, kernel, op, file.add("Expand", file.constant(0), like))


def half(tensor: TensorProto) -> np.ndarray:
    return numpy_helper.to_array(tensor).astype(np.float16)


def pixels_last(file: File, x: str) -> str:
    x = file.add("Cast", x, to=TensorProto.FLOAT)
    x = file.add("Mul", file.add("Sub", x, file.constant([120, 110, 100])), file.constant(1 / 50))
    return file.add("Transpose", x, perm=[0, 3, 1, 2])


def pixels_first(file: File, x: str) -> str:
    x = file.add("Transpose", file.add("Identity", x), perm=[0, 3, 1, 2])
    x = file.add("Add", file.add("Div", x, file.constant(64)), file.constant(np.full((3, 1, 1), -1.5)))
    return x


def ends(*kinds: str) -> files.End:
    """A pool, a way to flatten and a classifier."""

    def end(file: File, x: str, model: Model) -> str:
        for kind in kinds:
            x = ENDS[kind](file, x, model)
        return x

    return end


def classifier(file: File, model: Model, transpose: bool = False) -> tuple[str, str]:
    matrix = model.weights["fc.weight"]
    return file.constant(matrix.T if transpose else matrix), file.constant(model.weights["fc.bias"])


def matmul(file: File, x: str, model: Model) -> str:
    matrix, bias = classifier(file, model, transpose=True)
    return file.add("Add", bias, file.add("MatMul", x, matrix))


def convolved(file: File, x: str, model: Model) -> str:
    matrix, bias = model.weights["fc.weight"][:, :, None, None], model.weights["fc.bias"]
    return file.add("Conv", x, file.constant(matrix), file.constant(bias))


def last_axis_mean(file: File, x: str, model: Model) -> str:
    """As converters from TensorFlow have it: channels go last first."""
    return file.add("ReduceMean", file.add("Transpose", x, perm=[0, 2, 3, 1]), axes=[1, 2], keepdims=0)


def sized(file: File, x: str, model: Model) -> str:
    """The batch is asked for."""
    zero = file.constant(0, np.int64)
    batch = file.add("Unsqueeze", file.add("Gather", file.add("Shape", x), zero), file.constant([0], np.int64))
    return file.add("Reshape", x, file.add("Concat", batch, file.constant([-1], np.int64), axis=0))


ENDS: dict[str, files.End] = {
    "gemm": files.gemm,
    "pool": lambda file, x, model: file.add("GlobalAveragePool", x),
    "average": lambda file, x, model: file.add("AveragePool", x, kernel_shape=model.graph.op("pool").shape_in[:2]),
    "mean": lambda file, x, model: file.add("ReduceMean", x, axes=[-1, -2]),
    "mean 18": lambda file, x, model: file.add("ReduceMean", x, file.constant([2, 3], np.int64), keepdims=0),
    "last axis mean": last_axis_mean,
    "flatten": lambda file, x, model: file.add("Flatten", x),
    "reshape": lambda file, x, model: file.add("Reshape", x, file.constant([-1, 16], np.int64)),
    "squeeze": lambda file, x, model: file.add("Squeeze", x, file.constant([2, 3], np.int64)),
    "unsqueeze": lambda file, x, model: file.add("Unsqueeze", x, file.constant([2, 3], np.int64)),
    "sized": sized,
    "matmul": matmul,
    "gemm alone": lambda file, x, model: file.add("Gemm", x, *classifier(file, model, transpose=True)),
    "convolved": convolved,
    "softmax": lambda file, x, model: file.add("LogSoftmax", x),
    "dropout": lambda file, x, model: file.add("Dropout", x),
}

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias as well": {"bias": True},
    "SAME_UPPER": {"convolution": same_upper, "network": {"padding": "same"}},
    "SAME_UPPER, average": {
        "convolution": same_upper,
        "network": {"padding": "same"},
        "end": ends("average", "flatten", "gemm alone"),
    },
    "Pad": {"convolution": padded_before},
    "Pad, keras, old": {"convolution": padded_before, "network": {"padding": "keras"}, "opset": 10},
    "bias added": {"convolution": bias_after},
    "half precision": {"convolution": from_half},
    "bias of a constant's size": {"convolution": bias_expanded},
    "Clip": {"activation": files.clip, "network": {"activation": "relu6"}},
    "Clip, old": {
        "activation": lambda file, x: file.add("Clip", x, min=0.0, max=6.0),
        "network": {"activation": "relu6"},
        "opset": 9,
    },
    "Clip from below": {"activation": lambda file, x: file.add("Clip", x, file.constant(0))},
    "Max": {"activation": lambda file, x: file.add("Max", file.constant(0), x)},
    "Max, Min": {
        "activation": lambda file, x: file.add("Min", file.add("Max", x, file.constant(0)), file.constant(6)),
        "network": {"activation": "relu6"},
    },
    "Relu, Min": {
        "activation": lambda file, x: file.add("Min", file.add("Relu", x), file.constant(6)),
        "network": {"activation": "relu6"},
    },
    "pixels last": {"start": pixels_last, "channels_last": True, "kind": TensorProto.UINT8},
    "pixels first": {"start": pixels_first, "channels_last": True},
    "average, squeeze": {"end": ends("average", "squeeze", "gemm alone")},
    "mean, reshape, matmul": {"end": ends("mean", "reshape", "matmul")},
    "mean with axes given": {"end": ends("mean 18", "gemm alone"), "opset": 18},
    "last axis mean": {"end": ends("last axis mean", "dropout", "matmul")},
    "convolved": {"end": ends("pool", "convolved", "squeeze")},
    "convolved after all": {"end": ends("pool", "flatten", "unsqueeze", "convolved", "flatten")},
    "sized": {"end": ends("pool", "sized", "gemm alone")},
}


@pytest.mark.parametrize("way", WAYS)
def test_other_ways_to_write_it(way: str, random_model: RandomModel) -> None:
    settings = dict(WAYS[way])
    wanted = Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS, epsilon=1e-4).replace(**settings.pop("network", {}))
    model = random_model(wanted)
    content = network(model, **settings).SerializeToString()
    back = read(content, None if "start" in settings else SIGNED)
    assert back.network == wanted
    pixels = noise(41, 52)
    if "start" in settings:
        theirs = run(content, pixels if settings.get("kind") else pixels.astype(np.float32))
    else:
        theirs = run(content, nchw(normalise(pixels, back.preprocess)))
    assert_same(our_logits(back, pixels), theirs.reshape(2, 5))


def test_maps_of_one_position_need_no_pool(random_model: RandomModel) -> None:
    """And what stands behind their classifier is the end."""
    model = random_model(Network(1.0, 32, 32, classes=5, stem=8, blocks=(Block(2, 16),) * 4))
    content = network(model, end=ends("flatten", "gemm alone", "softmax")).SerializeToString()
    back, pixels = read(content), noise(32, 32)
    assert back.network.blocks == model.network.blocks
    logits = our_logits(back, pixels)
    theirs = run(content, nchw(normalise(pixels, back.preprocess)))
    assert_same(logits - np.log(np.exp(logits).sum(1, keepdims=True)), theirs)


def test_pixels_of_uint8_are_pixels(random_model: RandomModel) -> None:
    """With nothing done to them they are the network's input; floats may be anything and are asked for."""
    model = random_model(Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS))
    cast = {"start": lambda file, x: file.add("Cast", x, to=TensorProto.FLOAT), "kind": TensorProto.UINT8}
    assert read(network(model, **cast).SerializeToString(), None).preprocess.std == 1.0
    with pytest.raises(UsageError, match="does not say how pixels become its input"):
        read(network(model).SerializeToString(), None)


def test_values_outside_raw_data(random_model: RandomModel) -> None:
    """float_data and Constant nodes instead of raw initializers."""
    model = random_model(Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS))
    proto = network(model)
    nodes = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, TensorProto.FLOAT, values.shape, values.reshape(-1)))
        assert tensor.float_data
        nodes.append(onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    assert read(proto.SerializeToString()).digest() == read(network(model).SerializeToString()).digest()
    del proto.graph.initializer[:]
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)
    assert read(proto.SerializeToString()).digest() == read(network(model).SerializeToString()).digest()


def test_a_constant_of_nothing_beside_the_file(random_model: RandomModel, tmp_path) -> None:
    """As exporters leave it, of a Resize's region say, that no node takes."""
    proto = network(random_model(Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS)))
    inside = read(proto.SerializeToString()).digest()
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.float32), "nothing"))
    path, how = tmp_path / "m.onnx", {"location": "m.data", "size_threshold": 0}
    onnx.save(proto, path, save_as_external_data=True, **how)
    assert import_files([path], SIGNED).model.digest() == inside


def test_initializers_that_are_inputs_too(random_model: RandomModel) -> None:
    """As files from before 2019 have it."""
    proto = network(random_model(Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS)), opset=9)
    for tensor in proto.graph.initializer:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert read(proto.SerializeToString()).network.blocks == BLOCKS


def test_a_size_that_is_open_is_asked_for(random_model: RandomModel) -> None:
    proto = network(random_model(Network(1.0, 41, 52, classes=5, stem=8, blocks=BLOCKS)))
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"
    with pytest.raises(UsageError, match=r"does not say the image size \(--img-size\)"):
        read(proto.SerializeToString())
    assert read(proto.SerializeToString(), replace(SIGNED, size=(41, 52))).network.width == 52

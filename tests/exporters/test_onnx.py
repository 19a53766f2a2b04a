"""ONNX Runtime on the exported graph against a slow interpreter of the graph as it was trained."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from mobilenets.arch import Graph, Network
from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.network import SHALLOW_BODY, Block
from mobilenets.arch.ops import Op
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Preprocess
from mobilenets.model import Model

TINY = (Block(2, 48), Block(1, 64), Block(2, 40))

NETWORKS = {
    "plain": Network(alpha=0.25, height=32, width=32, classes=10),
    "not square": Network(alpha=0.25, height=49, width=34, classes=5, blocks=SHALLOW_BODY),
    "grey": Network(alpha=0.25, height=33, width=32, channels=1, classes=3, blocks=TINY),
    "odd alpha": Network(alpha=0.13, height=37, width=64, classes=4),
    "full": Network(alpha=0.13, height=32, width=35, classes=6, convolution="full", blocks=TINY),
    "same": Network(alpha=0.25, height=32, width=45, classes=7, padding="same", epsilon=1e-3),
    "same, full, grey": Network(0.2, 38, 33, 1, 2, padding="same", convolution="full", blocks=TINY),
    "keras, with a head": Network(alpha=0.25, height=36, width=50, classes=3, padding="keras", head=40, blocks=TINY),
    "relu6": Network(alpha=0.3, height=36, width=36, classes=9, activation="relu6", blocks=TINY),
    "multiple of 8": Network(alpha=0.3, height=32, width=32, classes=2, rounding="multiple_of_8"),
    "one channel everywhere": Network(alpha=0.001, height=32, width=32, classes=2, blocks=TINY),
}


def convolve(op: Op, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(N, H, W, M) * (out, in / groups, k, k), as a sum over the positions of the kernel."""
    top, left, bottom, right = op.padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    h, w, n = op.shape_out
    y = np.zeros((len(x), h, w, n))
    for i in range(op.kernel):
        for j in range(op.kernel):
            seen = x[:, i : i + (h - 1) * op.stride + 1 : op.stride, j : j + (w - 1) * op.stride + 1 : op.stride]
            if op.kind == "depthwise":
                y += seen * kernel[:, 0, i, j]
            else:
                y += np.einsum("bhwm,nm->bhwn", seen, kernel[:, :, i, j])
    return y


def batch_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    return (x - mean) / np.sqrt(var) * scale + shift


def step(graph: Graph, op: Op, x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """One op in float64 on (N, H, W, C)."""
    array = {
        name.rpartition(".")[2]: w.astype(np.float64) for name, w in weights.items() if name.startswith(op.name + ".")
    }
    match op.kind:
        case "conv" | "depthwise" | "pointwise":
            return convolve(op, x, array["weight"]) + array.get("bias", 0)
        case "batch_norm":
            var = array["running_var"] + graph.network.epsilon
            return batch_norm(x, array["weight"], array["bias"], array["running_mean"], var)
        case "relu":
            return np.where(x > 0, x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "global_average_pool":
            return x.mean((1, 2), keepdims=True)
        case "fully_connected":
            return x @ array["weight"].T + array["bias"]
        case "softmax":
            e = np.exp(x - x.max(-1, keepdims=True))
            return e / e.sum(-1, keepdims=True)
    raise AssertionError(op.kind)


def interpret(graph: Graph, weights: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """The output of every op, by name; `x` is normalised (N, H, W, C)."""
    outputs = [x]
    for op in graph.ops[1:]:
        outputs.append(step(graph, op, outputs[op.inputs[0]], weights))
        assert outputs[-1].shape[1:] == op.shape_out
    return {op.name: output for op, output in zip(graph.ops, outputs, strict=True)}


def some_images(network: Network, n: int) -> np.ndarray:
    shape = (n, network.height, network.width, network.channels)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def run(model: Model, images: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(["logits", "probabilities"], {"image": images})
    return outputs


def close(a: np.ndarray, b: np.ndarray, relative: float = 1e-4) -> bool:
    """Within `relative` of the largest value of `b`, which must not be nothing."""
    return 1e-3 < np.abs(b).max() < 1e3 and np.abs(a - b).max() <= relative * np.abs(b).max()


@pytest.fixture(params=NETWORKS)
def model(request: pytest.FixtureRequest, random_model) -> Model:
    return random_model(NETWORKS[request.param])


def test_onnx_runtime_agrees_with_the_trained_graph(model: Model) -> None:
    images = some_images(model.network, 3)
    outputs = interpret(model.graph, model.weights, (images - 127.5) / 127.5)
    logits, probabilities = run(model, images)
    assert logits.shape == probabilities.shape == (3, model.network.classes)
    assert close(logits, outputs["fc"][:, 0, 0])
    assert close(probabilities, outputs["softmax"][:, 0, 0])
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_folded_is_unfolded(model: Model) -> None:
    plain, folded = fold_batch_norm(model.graph, model.weights)
    x = np.random.default_rng(2).normal(size=(2, *model.graph.ops[0].shape_out))
    before, after = interpret(model.graph, model.weights, x), interpret(plain, folded, x)
    for name in (op.name for op in plain.ops if op.kind in ("relu", "relu6", "fully_connected", "softmax")):
        assert np.abs(before[name] - after[name]).max() <= 1e-5 * max(1, np.abs(before[name]).max()), name


def test_the_networks_of_these_tests_are_alive(random_model) -> None:
    """Every layer tells images apart, and ReLU6 cuts some values: else the tests above say little."""
    model = random_model(NETWORKS["relu6"])
    images = some_images(model.network, 3)
    outputs = interpret(model.graph, model.weights, (images - 127.5) / 127.5)
    for op in model.graph.ops:
        assert outputs[op.name].std(0).max() > 1e-3, op.name
    assert any((outputs[op.name] == 6).any() for op in model.graph.ops if op.kind == "relu6")


@pytest.mark.parametrize("preprocess", [{"mean": 0.0, "std": 255.0}, {"mean": 100.0, "std": 1.0}])
def test_normalisation_is_inside_the_graph(preprocess: dict[str, float], random_model) -> None:
    model = random_model(NETWORKS["grey"])
    model = replace(model, preprocess=replace(model.preprocess, **preprocess))
    images = some_images(model.network, 2)
    x = (images.astype(np.float64) - preprocess["mean"]) / preprocess["std"]
    assert close(run(model, images)[0], interpret(model.graph, model.weights, x)["fc"][:, 0, 0])


def test_batches_of_any_size_give_the_same(random_model) -> None:
    model = random_model(NETWORKS["plain"])
    images = some_images(model.network, 7)
    together = run(model, images)[0]
    alone = np.concatenate([run(model, images[i : i + 1])[0] for i in range(7)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 33, 32, 3), np.uint8),
        np.zeros((1, 32, 32, 1), np.uint8),
    ],
)
def test_other_images_are_refused(images: np.ndarray, random_model) -> None:
    with pytest.raises(Exception, match=r"(?i)unexpected input data type|got invalid dimensions"):
        run(random_model(NETWORKS["plain"]), images)


def test_the_file_itself(model: Model) -> None:
    proto = onnx.load_model_from_string(to_onnx(model))
    onnx.checker.check_model(proto, full_check=True)
    network = model.network
    (image,) = proto.graph.input
    assert image.name == "image" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    batch, *rest = image.type.tensor_type.shape.dim
    assert batch.dim_param == "N" and [d.dim_value for d in rest] == [
        network.height,
        network.width,
        network.channels,
    ]
    assert [output.name for output in proto.graph.output] == ["logits", "probabilities"]
    assert not any(node.op_type == "BatchNormalization" for node in proto.graph.node)
    assert (proto.ir_version, proto.opset_import[0].version) == (9, 17)


def test_metadata_holds_what_a_user_needs(random_model) -> None:
    labels = ("Ελιά", "a, b", 'quote " and \\', "line\nbreak", "")
    network = NETWORKS["not square"]
    model = replace(random_model(network), labels=labels, preprocess=Preprocess(49, 34, crop=0.9, resize="lanczos"))
    metadata = {prop.key: prop.value for prop in onnx.load_model_from_string(to_onnx(model)).metadata_props}
    assert sorted(metadata) == ["decoding", "format", "labels", "network", "preprocess", "task", "version"]
    assert (metadata["format"], metadata["version"], metadata["task"]) == ("mobilenets.onnx", "1", "classify")
    assert tuple(json.loads(metadata["labels"])) == labels
    assert Preprocess(**json.loads(metadata["preprocess"])) == model.preprocess
    assert Network.from_json(metadata["network"]) == network


def test_the_same_model_gives_the_same_bytes(random_model) -> None:
    network = NETWORKS["relu6"]
    assert to_onnx(random_model(network)) == to_onnx(random_model(network))

"""Small networks of every kind in every consumer: computed as torch computes them in float64, or refused by name."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_random_model
from native import LACKS
from torch import nn

from mobilenets.arch.graph import _Builder, expand
from mobilenets.arch.network import Block, Network
from mobilenets.benchmarks.ncnn_file import ncnn_files
from mobilenets.benchmarks.peers import Ncnn, Setup
from mobilenets.compiler import has_compiler
from mobilenets.compiler.compile import compile_model
from mobilenets.compiler.processor import missing
from mobilenets.compiler.targets import ALL_FP16_TARGETS
from mobilenets.errors import NetworkError, UsageError
from mobilenets.exporters.keras import to_keras_h5
from mobilenets.exporters.onnx import to_onnx
from mobilenets.exporters.onnx_int8 import to_onnx_int8
from mobilenets.exporters.pytorch import to_pytorch
from mobilenets.exporters.tflite import pixels_to_logits
from mobilenets.exporters.tflite_int8 import pixels_to_logits_int8
from mobilenets.exporters.timm import to_timm
from mobilenets.heads import taps
from mobilenets.image import normalise
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.equalise import equalise
from mobilenets.quant.observe import channel_ranges
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.activations import min_max_integers, open_activations
from mobilenets.runtime.library import OpenLibrary
from mobilenets.runtime.session import Session
from mobilenets.tasks.detection.parts import Detector
from mobilenets.training.fused import Fused, takes
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.training.qat import attach, calibrated, to_model
from mobilenets.weights.transfer import transfer

V1 = Network(1.0, 32, 40, stem=16, blocks=(Block(1, 24), Block(2, 32)), classes=5)
NETWORKS = {
    "V1": V1,
    "relu6": V1.replace(activation="relu6", padding="same"),
    "full": V1.replace(convolution="full"),
    "linear depthwise": V1,  # see `network`
    "linear stem": V1,
    "5x5": V1.replace(blocks=(Block(1, 24, kernel=5), Block(2, 32, kernel=5))),
    "linear pointwise": V1.replace(blocks=(Block(1, 24, expansion=16), Block(2, 32, expansion=48))),
    "residual": V1.replace(blocks=(Block(1, 16, expansion=48, residual=True), Block(2, 32, expansion=48))),
    "gate": V1.replace(blocks=(Block(1, 24, gate=8), Block(2, 32))),
    "hard swish": V1.replace(activation="hard_swish"),
    "mixed activations": V1.replace(blocks=(Block(1, 24, activation="relu6"), Block(2, 32))),
    "mixed with hard swish": V1.replace(blocks=(Block(1, 24), Block(2, 32, activation="hard_swish"))),
    "universal": V1.replace(
        blocks=(
            Block(2, 24, kernel=5, expansion=48, start=3),
            Block(1, 24, kernel=0, expansion=48, start=5, residual=True),
            Block(1, 32, kernel=0),
        )
    ),
    "fused": V1.replace(blocks=(Block(2, 24, expansion=40, fused=True), Block(1, 32, fused=True))),
    "hidden": V1.replace(head=40, hidden=36),
    "hidden with norm": V1.replace(hidden=36, hidden_norm=True),
}
PATCHED = {"linear depthwise": "depthwise", "linear stem": "conv"}  # kinds that lose their activation
HIDDEN = {"hidden", "hidden with norm"}
BLOCKS = {"linear pointwise", "residual", "gate", "hard swish", "mixed with hard swish", "universal", "fused"}
NEWER = {"residual", "universal", "gate", "hard swish", "mixed with hard swish"}
IRREGULAR = {*BLOCKS, *PATCHED, *HIDDEN, "5x5", "mixed activations"}


@pytest.fixture
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Network:
    """One of `NETWORKS`; under the patch every network has no activation behind convolutions of one kind."""
    if kind := PATCHED.get(request.param):
        convolve = _Builder.convolve

        def linear(build: Any, found: str, *arguments: Any) -> None:
            convolve(build, found, *(arguments if found != kind else (*arguments[:-1], None)))

        monkeypatch.setattr(_Builder, "convolve", linear)
    return NETWORKS[request.param]


def made(network: Network) -> Model:
    """Random weights whose activations reach beyond 6."""
    model = make_random_model(network, seed=4)
    scaled = {f"{op.name}.weight" for op in model.graph.ops if op.kind == "batch_norm"}
    return replace(model, weights={n: a * np.float32(3 if n in scaled else 1) for n, a in model.weights.items()})


def pixels(model: Model) -> np.ndarray:
    p = model.preprocess
    return np.random.default_rng(3).integers(0, 256, (4, p.height, p.width, p.channels), np.uint8)


def normalised(model: Model, images: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(normalise(images, model.preprocess)).to(dtype).permute(0, 3, 1, 2)


def in_torch(model: Model, images: np.ndarray, dtype: torch.dtype = torch.float32) -> np.ndarray:
    module = MobileNet(model.graph)
    load_weights(module, model.weights)
    with torch.inference_mode():
        return module.to(dtype).eval()(normalised(model, images, dtype)).double().numpy()


def in_float64(model: Model, images: np.ndarray) -> np.ndarray:
    return in_torch(model, images, torch.float64)


def in_litert(content: bytes, images: np.ndarray) -> np.ndarray:
    from litert_peer import litert

    return litert(content, images)


def in_keras(model: Model, images: np.ndarray) -> np.ndarray:
    from keras_peer import keras, keras_logits

    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.h5"
        path.write_bytes(to_keras_h5(model))
        return keras_logits(keras.models.load_model(path, compile=False), images, 127.5, 127.5)


def in_a_strangers_torch(model: Model, images: np.ndarray) -> np.ndarray:
    """What a reader of `model.{i}.{j}` builds: V1's blocks, one kind of activation behind each convolution."""
    state = torch.load(io.BytesIO(to_pytorch(model)), weights_only=True)
    activation = {"relu": nn.ReLU, "relu6": nn.ReLU6}[model.network.activation]
    strides = [2, *(block.stride for block in model.network.blocks)]
    same = model.network.padding == "same"
    stages = []
    for i, stride in enumerate(strides):
        parts: list[nn.Module] = []
        for j in (0, 3):
            if (weight := state.get(f"model.{i}.{j}.weight")) is not None:
                out, inputs, kernel, _ = weight.shape
                step = stride if kernel == 3 else 1
                groups = out if inputs == 1 else 1
                pad = nn.ZeroPad2d((0, 1, 0, 1) if same and step == 2 else kernel // 2)
                conv = nn.Conv2d(inputs * groups, out, kernel, step, 0, groups=groups, bias=False)
                parts += [nn.Sequential(pad, conv), nn.BatchNorm2d(out), activation()]
        stages.append(nn.Sequential(*parts))
    body, fc = nn.Sequential(*stages).double().eval(), state["fc.weight"].double()
    arrays = [value for name, value in state.items() if not name.startswith("fc")]
    own = [name for name in body.state_dict() if not name.endswith("num_batches_tracked")]
    assert len(arrays) == len(own)
    body.load_state_dict(dict(zip(own, arrays, strict=True)), strict=False)
    with torch.inference_mode():
        features = body(normalised(model, images, torch.float64)).mean((2, 3))
        return (features @ fc.T + state["fc.bias"].double()).numpy()


def as_timm(model: Model, images: np.ndarray) -> np.ndarray:
    to_timm(model)  # which timm builds is tests/exporters's; here, what it cannot say is refused
    return in_float64(model, images)


def in_ncnn(model: Model, images: np.ndarray) -> np.ndarray:
    ncnn_files(model)
    pytest.importorskip("ncnn")
    peer = Ncnn(Setup(model))
    peer.load()
    return peer.run(images)


def equalised(model: Model, images: np.ndarray) -> np.ndarray:
    return in_float64(equalise(model, channel_ranges(open_activations(model), images))[0], images)


def transferred(model: Model, images: np.ndarray) -> np.ndarray:
    moved = transfer(model, model.network, model.labels).model
    ends = {name: array for name, array in model.weights.items() if name.startswith("fc.")}
    return in_float64(replace(moved, weights={**moved.weights, **ends}), images)


def integers(model: Model, images: np.ndarray) -> QuantModel:
    return min_max_integers(model, images)


def in_integers(model: Model, images: np.ndarray) -> np.ndarray:
    quantised = integers(model, images)
    return quantised.activations["fc"].real(reference.run(quantised, images))


def as_int8_onnx(model: Model, images: np.ndarray) -> np.ndarray:
    return Session.from_onnx(to_onnx_int8(integers(model, images)), 1).logits(images)


def as_int8_tflite(model: Model, images: np.ndarray) -> np.ndarray:
    quantised = integers(model, images)
    return quantised.activations["fc"].real(in_litert(pixels_to_logits_int8(quantised), images))


def in_training_of_integers(model: Model, images: np.ndarray) -> np.ndarray:
    module = MobileNet(expand(model.network))
    activations, model = calibrated(model, images)
    load_weights(module, model.weights)
    attach(module, activations, model.preprocess)
    with torch.no_grad():
        found = module(normalised(model, images, torch.float32)).numpy()
    quantised = to_model(module, activations, model)
    assert np.array_equal(found, quantised.activations["fc"].real(reference.run(quantised, images)))
    return found


def compiled(precision: str) -> Callable[[Model, np.ndarray], np.ndarray]:
    def run(model: Model, images: np.ndarray) -> np.ndarray:
        if not has_compiler():
            pytest.skip("no C compiler here")
        if precision == "fp16" and all(missing(target.features) for target in ALL_FP16_TARGETS.values()):
            pytest.skip(f"{LACKS} fp16")
        deployed: Any = integers(model, images) if precision == "int8" else model
        with TemporaryDirectory() as folder:  # not the cache: it takes a patched network for V1
            library = compile_model(deployed, "auto", Path(folder), precision)
            return OpenLibrary(library, 1).outputs(images)[:, 0]

    return run


FLOAT, INT8 = 2e-6, 0.05  # relative RMS of the logits
# runner, consumer that its errors name, error that it may have, networks that it refuses
RUNNERS: dict[str, tuple[Callable[[Model, np.ndarray], np.ndarray], str, float, set[str]]] = {
    "torch": (in_torch, "training in torch", FLOAT, set()),
    "ONNX": (lambda m, x: Session.from_onnx(to_onnx(m)).logits(x), "export to ONNX", FLOAT, set()),
    "TFLite": (lambda m, x: in_litert(pixels_to_logits(m), x), "export to TensorFlow Lite", FLOAT, set()),
    "Keras": (in_keras, "export to Keras", FLOAT, set()),
    "PyTorch": (in_a_strangers_torch, "export to PyTorch and timm", FLOAT, IRREGULAR),
    "timm": (as_timm, "export to PyTorch and timm", FLOAT, {*IRREGULAR, "full"}),
    "ncnn": (in_ncnn, "the ncnn file", 1e-4, NEWER),
    "equalisation": (equalised, "equalisation", 1e-5, set()),
    "transfer": (transferred, "fine-tuning at another width", FLOAT, set()),
    "integers": (in_integers, "int8 arithmetic", INT8, set()),
    "int8 ONNX": (as_int8_onnx, "int8 arithmetic", INT8, set()),
    "int8 TFLite": (as_int8_tflite, "export to TensorFlow Lite", INT8, set()),
    "QAT": (
        in_training_of_integers,
        "quantisation-aware training",
        INT8,
        set(),
    ),
    "fp32": (compiled("fp32"), "the compiler to C in fp32", FLOAT, set()),
    "int8": (compiled("int8"), "the compiler to C in int8", INT8, set()),
    "fp16": (compiled("fp16"), "the compiler to C in fp16", 0.01, set()),
    **{
        precision: (compiled(precision), "the compiler to C in bf16", error, set())
        for precision, error in {"bf16": 0.03, "bf16x3": 3e-4, "bf16x6": 1e-5}.items()
    },
}


def is_slow(runner: str, network: str) -> bool:
    """Leave to `make test-all` what compiles and differs little from what `make test` runs or tests/compiler tests."""
    of_v1, new = network in ("V1", "relu6", "full"), network in ("residual", "gate", "hard swish")
    return runner in ("bf16x3", "bf16x6") or ((runner in ("fp32", "int8") and of_v1) or (runner == "bf16" and not new))


@pytest.mark.any_processor
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, on torch
@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
@pytest.mark.parametrize(
    ("runner", "network"),
    [pytest.param(r, n, marks=[pytest.mark.slow] if is_slow(r, n) else []) for r in RUNNERS for n in NETWORKS],
    indirect=["network"],
)
def test_the_numbers_are_right_or_the_network_is_refused(
    runner: str, network: Network, request: pytest.FixtureRequest
) -> None:
    if (runner, request.node.callspec.params["network"]) == ("fp16", "universal"):
        pytest.skip("its activations reach 422,755, and halves 65,504")
    run, consumer, allowed, refuses = RUNNERS[runner]
    model = made(network)
    images = pixels(model)
    if request.node.callspec.params["network"] in refuses:
        with pytest.raises((NetworkError, UsageError), match=consumer if network.convolution != "full" else "full"):
            run(model, images)
        return
    exact = in_float64(model, images)
    assert np.ptp(exact, axis=0).max() > 0.1
    error = np.sqrt(np.square(run(model, images) - exact).mean() / np.square(exact).mean())
    assert error <= allowed


@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_training_in_c_is_that_of_torch_or_is_left_to_it(network: Network, request: pytest.FixtureRequest) -> None:
    handled = request.node.callspec.params["network"] not in ("full", "fused")
    model = made(network)
    assert takes(model.graph) == handled
    if not handled or not has_compiler():
        return
    module, exact = MobileNet(model.graph), MobileNet(model.graph).double()
    for each in (module, exact):
        load_weights(each, model.weights)
    found = Fused(module, bf16=False)(normalised(model, pixels(model), torch.float32)).detach().double()
    expected = exact.train()(normalised(model, pixels(model), torch.float64)).detach()
    assert float((found - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_a_detector_has_the_bodys_maps_or_is_refused(network: Network, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["network"]
    model = made(network.replace(output="features"))
    body = MobileNet(model.graph)
    load_weights(body, model.weights)
    if name in {*BLOCKS, *PATCHED}:
        with pytest.raises(NetworkError, match="object detection"):
            Detector(body)
        return
    with torch.inference_mode():
        found = Detector(body).double().eval().run(model.graph.ops[1:], normalised(model, pixels(model), torch.float64))
    last = model.graph.ops[-1].name
    assert np.array_equal(found[last].numpy(), in_float64(model, pixels(model)))


def test_a_detectors_maps_are_not_those_of_linear_blocks() -> None:
    with pytest.raises(UsageError, match=r"^block 2: a detector needs the blocks of MobileNet v1"):
        taps(V1.replace(blocks=(Block(1, 16), Block(2, 24, expansion=32), Block(2, 32))))

"""Feature x reader of networks: what each format may hold is read as the peer runs it, or is a hole with its reason."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tflite_files
import torch
from ai_edge_litert.interpreter import Interpreter
from conftest import make_random_model
from keras_peer import keras, keras_logits, noise, our_logits, randomise
from safetensors.torch import save_file
from tflite_files import Form
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_peer import Listed, torch_logits
from torch_peer import randomise as drawn

from mobilenets.arch.network import Network
from mobilenets.errors import MobilenetsError
from mobilenets.exporters import write
from mobilenets.image import Preprocess
from mobilenets.weights import Given, import_files

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's old exporter; Keras' own, on torch
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
SIZE = 64
PIXELS = noise(SIZE, SIZE)
SIGNED, UNIT = (127.5, 127.5), (0.0, 255.0)
LOGITS = Form(softmax=False)
READERS = (".keras", ".h5", ".weights.h5", ".tflite", ".onnx", ".pt", ".safetensors")
KERAS, TENSORS = (".keras", ".h5"), (".pt", ".safetensors")


@dataclass(frozen=True)
class Case:
    """A file, what has to be said of it, and the logits of its peer; None: its body is all that is read."""

    path: Path
    given: Given
    logits: np.ndarray | None


Make = Callable[[str, Path], Case]


def of_keras(suffix: str, folder: Path, model: keras.Model, pixels: tuple[float, float] | None = SIGNED) -> Case:
    path = folder / f"m{suffix}"
    randomise(model)
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    size = (SIZE, SIZE) if suffix == ".weights.h5" else None
    mean, std = pixels or (0.0, 1.0)
    classified = isinstance(model.layers[-1], keras.layers.Dense | keras.layers.Activation)
    logits = keras_logits(model, PIXELS, mean, std) if classified else None
    return Case(path, Given(pixels=pixels, size=size), logits)


def applications(**how: object) -> keras.Model:
    settings = {"weights": None, "alpha": 0.25, "input_shape": (SIZE, SIZE, 3), "classes": 5, **how}
    return keras.applications.MobileNet(**settings)


def body() -> keras.Model:
    return applications(include_top=False)


def on_top(*layers: keras.Layer, before: tuple[keras.Layer, ...] = ()) -> keras.Model:
    pool = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *before, body(), pool, *layers])


def of_torch(suffix: str, folder: Path, module: nn.Module, pixels: tuple[float, float] | None = SIGNED) -> Case:
    path = folder / f"m{suffix}"
    module.eval()
    if suffix == ".onnx":
        example = (torch.zeros(1, 3, SIZE, SIZE),)
        torch.onnx.export(module, example, str(path), input_names=["image"], dynamo=False)
        given = Given(pixels=pixels)
    else:
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
        given = Given(pixels=pixels, size=(SIZE, SIZE), activation="relu")
    mean, std = pixels or UNIT
    return Case(path, given, torch_logits(module.float(), PIXELS, Preprocess(SIZE, SIZE, mean=mean, std=std)))


def peer(outputs: int = 5) -> Listed:
    module = Listed()
    module.fc = nn.Linear(256, outputs)
    return drawn(module)


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = peer()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner((x - self.mean) / self.std)


def fused(module: nn.Module) -> nn.Module:
    """Every batch norm folded into the convolution before it."""
    last: tuple[nn.Module, str] | None = None
    for owner in list(module.modules()):
        for name, part in list(owner.named_children()):
            if isinstance(part, nn.BatchNorm2d):
                assert last is not None
                setattr(last[0], last[1], fuse_conv_bn_eval(getattr(*last), part))
                setattr(owner, name, nn.Identity())
            last = (owner, name) if isinstance(part, nn.Conv2d) else last
    return module


def plain_keras() -> keras.Model:
    """One block whose convolutions have biases and no batch norm."""
    layers, how = keras.layers, {"padding": "same", "activation": "relu"}
    parts = [layers.Conv2D(8, 3, 2, **how), layers.DepthwiseConv2D(3, **how), layers.Conv2D(16, 1, **how)]
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts, *ends])


def litert(content: bytes, mean: float, std: float) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    image, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for pixels in PIXELS:
        x = (pixels.astype(np.float32) - mean) / std
        if image["dtype"] != np.float32:
            x = pixels if image["dtype"] == np.uint8 else (pixels.astype(int) - 128).astype(np.int8)
        interpreter.set_tensor(image["index"], x[None])
        interpreter.invoke()
        found = interpreter.get_tensor(answer["index"])[0].astype(np.float32)
        scale, zero = answer["quantization"]
        rows.append((found - zero) * scale if scale else found)
    return np.stack(rows)


def of_tflite(
    folder: Path,
    outputs: int = 5,
    form: Form = LOGITS,
    pixels: tuple[float, float] | None = SIGNED,
) -> Case:
    path = folder / "m.tflite"
    network = Network(0.25, SIZE, SIZE, classes=max(outputs, 2), activation="relu6", epsilon=1e-3)
    model = make_random_model(network)
    weights = {name: a[:outputs] if name.startswith("fc") else a for name, a in model.weights.items()}
    object.__setattr__(model, "weights", weights)
    if outputs == 1:
        object.__setattr__(model, "network", network.replace(classes=1))
    path.write_bytes(tflite_files.write(tflite_files.mobilenet(model, form)))
    return Case(path, Given(pixels=pixels), litert(path.read_bytes(), *(pixels or SIGNED)))


def metadata_of_tflite(folder: Path) -> Case:
    """TensorFlow Lite's own metadata; what this package writes beside it is made unreadable."""
    network = Network(0.25, SIZE, SIZE, classes=3, activation="relu6")
    model = replace(make_random_model(network), labels=("cat", "dog", "fox"))
    path = folder / "m.tflite"
    path.write_bytes(write(model, "tflite").replace(b"mobilenets_", b"somebodys__"))
    return Case(path, Given(), our_logits(model, PIXELS))


def cut(case: Case) -> Case:
    """With nothing but the body to be read."""
    return replace(case, logits=None)


def halved(module: nn.Module) -> nn.Module:
    return module.half().float().half()


def half_keras(suffix: str, folder: Path) -> Case:
    """Variables of Keras' policy float16, and the logits in float32 of a model with the same values."""
    keras.config.set_dtype_policy("float16")
    try:
        model = applications()
    finally:
        keras.config.set_dtype_policy("float32")
    case, floats = of_keras(suffix, folder, model), applications()
    floats.set_weights([array.astype(np.float32) for array in model.get_weights()])
    return replace(case, logits=keras_logits(floats, PIXELS, *SIGNED))


def half_onnx(folder: Path) -> Case:
    module, path = peer().half(), folder / "m.onnx"
    example = (torch.zeros(1, 3, SIZE, SIZE, dtype=torch.float16),)
    torch.onnx.export(module, example, str(path), input_names=["image"], dynamo=False)
    mean, std = SIGNED
    logits = torch_logits(module.float(), PIXELS, Preprocess(SIZE, SIZE, mean=mean, std=std))
    return Case(path, Given(pixels=SIGNED), logits)


def external(folder: Path) -> Case:
    import onnx

    case = of_torch(".onnx", folder, peer())
    model = onnx.load(case.path)
    onnx.save(model, case.path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert (folder / "m.data").is_file()
    return case


def apart(suffix: str, folder: Path) -> Case:
    case = of_torch(suffix, folder, peer())
    example = (torch.zeros(1, 3, SIZE, SIZE),)
    how = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "dynamo": False}
    torch.onnx.export(peer(), example, str(case.path), input_names=["image"], **how)
    return case


dense, two = keras.layers.Dense, (lambda: (keras.layers.Dense(9, activation="relu"), keras.layers.Dense(4)))


def two_linear() -> nn.Module:
    """A hidden layer with another activation than the body's, which no MobileNet has."""
    return nn.Sequential(peer(9), nn.ReLU6(), nn.Linear(9, 4))


WAYS: dict[str, dict[tuple[str, ...], Make]] = {
    "normalisation inside": {
        KERAS: lambda s, f: of_keras(s, f, on_top(dense(5), before=(keras.layers.Rescaling(1 / 127.5, -1),)), None),
        (".tflite",): lambda s, f: metadata_of_tflite(f),
        (".onnx",): lambda s, f: of_torch(s, f, Normalised(), None),
    },
    "labels inside": {(".tflite",): lambda s, f: metadata_of_tflite(f)},
    "size inside": {
        KERAS: lambda s, f: of_keras(s, f, applications()),
        (".tflite",): lambda s, f: of_tflite(f),
        (".onnx",): lambda s, f: of_torch(s, f, peer()),
    },
    "no head": {
        (*KERAS, ".weights.h5"): lambda s, f: of_keras(s, f, body()),
        (".onnx", *TENSORS): lambda s, f: cut(of_torch(s, f, peer().model)),
        (".tflite",): lambda s, f: cut(of_tflite_body(f)),
    },
    "another head": {
        KERAS: lambda s, f: cut(of_keras(s, f, on_top(*two()))),
        (".onnx", *TENSORS): lambda s, f: cut(of_torch(s, f, two_linear())),
        (".tflite",): lambda s, f: cut(two_heads(f)),
    },
    "one logit": {
        KERAS: lambda s, f: of_keras(s, f, on_top(dense(1))),
        (".weights.h5",): lambda s, f: of_keras(s, f, applications(classes=1, classifier_activation=None)),
        (".tflite",): lambda s, f: of_tflite(f, 1),
        (".onnx", *TENSORS): lambda s, f: of_torch(s, f, peer(1)),
    },
    "half precision": {
        (*KERAS, ".weights.h5"): half_keras,
        (".tflite",): lambda s, f: of_tflite(f, form=Form("float16", softmax=False)),
        (".onnx",): lambda s, f: half_onnx(f),
        TENSORS: lambda s, f: of_torch(s, f, halved(peer())),
    },
    "int8": {(".tflite",): lambda s, f: of_tflite(f, form=Form("int8", softmax=False), pixels=None)},
    "external data": {(".onnx",): lambda s, f: external(f)},
    "batch norm apart": {
        (*KERAS, ".weights.h5"): lambda s, f: of_keras(s, f, applications()),
        (".onnx",): apart,
        TENSORS: lambda s, f: of_torch(s, f, peer()),
    },
    "batch norm folded": {
        KERAS: lambda s, f: of_keras(s, f, plain_keras()),
        (".tflite",): lambda s, f: of_tflite(f),
        (".onnx", *TENSORS): lambda s, f: of_torch(s, f, fused(peer())),
    },
}
_TENSORS_ONLY = "a state dict holds tensors and nothing else"
_WEIGHTS_ONLY = "weights alone, read under the names of keras.applications, which say all that is known"
HOLES: dict[str, dict[tuple[str, ...], str]] = {
    "normalisation inside": {(".weights.h5",): _WEIGHTS_ONLY, TENSORS: _TENSORS_ONLY},
    "labels inside": {
        (*KERAS, ".weights.h5"): "Keras keeps no labels in its files",
        (".onnx",): "ONNX has no agreed place for labels; this package's own exports have theirs",
        TENSORS: _TENSORS_ONLY,
    },
    "size inside": {(".weights.h5",): _WEIGHTS_ONLY, TENSORS: _TENSORS_ONLY},
    "another head": {(".weights.h5",): _WEIGHTS_ONLY},
    "int8": {
        (*KERAS, ".weights.h5"): "Keras quantises Dense layers alone, the convolutions stay in floats",
        (".onnx",): "QDQ graphs of other programs round by different rules; import the float file and quantize it",
        TENSORS: "torch pickles quantised tensors with code that rebuilds them",
    },
    "external data": {
        (*KERAS, ".weights.h5", ".tflite", *TENSORS): "the format is one file",
    },
    "batch norm apart": {(".tflite",): "converters fold it; arithmetic behind a convolution is refused"},
    "batch norm folded": {(".weights.h5",): _WEIGHTS_ONLY},
}


def two_heads(folder: Path) -> Case:
    """A second FULLY_CONNECTED behind the classifier."""
    case = of_tflite(folder)
    file = tflite_files.mobilenet(
        make_random_model(Network(0.25, SIZE, SIZE, classes=5, activation="relu6", epsilon=1e-3)), LOGITS
    )
    constants = [file.add(f"more/{name}", [*shape], values=np.ones(shape, np.float32)) for name, shape in SECOND]
    file.outputs = [file.add("more", [1, 4])]
    inputs = [file.operators[-1].outputs[0], *constants]
    file.operators.append(tflite_files.Operator("FULLY_CONNECTED", inputs, file.outputs, "FullyConnectedOptions"))
    case.path.write_bytes(tflite_files.write(file))
    return case


SECOND = (("kernel", (4, 5)), ("bias", (4,)))


def of_tflite_body(folder: Path) -> Case:
    """All that stands before the pool."""
    case = of_tflite(folder)
    model = make_random_model(Network(0.25, SIZE, SIZE, classes=5, activation="relu6", epsilon=1e-3))
    file = tflite_files.mobilenet(model, LOGITS)
    pool = next(at for at, operator in enumerate(file.operators) if operator.kind == "AVERAGE_POOL_2D")
    file.operators, file.outputs = file.operators[:pool], [file.operators[pool].inputs[0]]
    case.path.write_bytes(tflite_files.write(file))
    return case


def flat(table: dict[str, dict[tuple[str, ...], object]]) -> dict[tuple[str, str], object]:
    return {
        (feature, reader): value
        for feature, row in table.items()
        for readers, value in row.items()
        for reader in readers
    }


def test_every_hole_has_a_reason() -> None:
    """Each feature of each reader is read, or is a hole; none is both, none neither."""
    ways, holes = set(flat(WAYS)), set(flat(HOLES))
    assert not ways & holes
    assert ways | holes == {(feature, reader) for feature in WAYS for reader in READERS}


@pytest.mark.parametrize(("feature", "reader"), sorted(flat(WAYS)))
def test_read_as_its_peer_runs_it(feature: str, reader: str, tmp_path: Path) -> None:
    case = flat(WAYS)[feature, reader](reader, tmp_path)
    if case.logits is None:
        with pytest.raises(MobilenetsError):
            import_files([case.path], case.given)
    found = import_files([case.path], case.given, body_only=case.logits is None)
    model = found.model
    if case.logits is None:
        assert (model.network.output, bool(found.left)) == ("features", feature == "another head")
        return
    wanted = np.hstack([0 * case.logits, case.logits]) if feature == "one logit" else case.logits
    if feature == "labels inside":
        assert model.labels == ("cat", "dog", "fox")
    # dequantised, int8 rounds nothing between its layers; torch folds batch norm in half precision as it exports
    bound = 0.1 if feature == "int8" else 2e-3 if (feature, reader) == ("half precision", ".onnx") else 1e-4
    assert np.abs(our_logits(model, PIXELS) - wanted).max() <= bound * np.abs(wanted).max()
    assert model.network.height == SIZE


def quantised_keras(suffix: str, folder: Path) -> Case:
    model, path = on_top(dense(5)), folder / f"m{suffix}"
    model.quantize("int8")
    model.save(path)
    return Case(path, Given(pixels=SIGNED), None)


def quantised_onnx(folder: Path) -> Case:
    """QDQ as ONNX Runtime's own tool writes it."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Images(CalibrationDataReader):
        images = iter([{"image": np.zeros((1, 3, SIZE, SIZE), np.float32)}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.images, None)

    case = of_torch(".onnx", folder, peer())
    quantize_static(str(case.path), str(folder / "q.onnx"), Images())
    return replace(case, path=folder / "q.onnx")


def quantised_torch(folder: Path) -> Case:
    module = peer().eval()
    module.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(module)
    prepared(torch.zeros(1, 3, SIZE, SIZE))
    torch.save(torch.ao.quantization.convert(prepared).state_dict(), folder / "m.pt")
    return Case(folder / "m.pt", Given(pixels=SIGNED, size=(SIZE, SIZE), activation="relu"), None)


# what the programs themselves write where the table has a hole, and the line that refuses it
TRIED: dict[tuple[str, str], tuple[Make, str]] = {
    ("int8", ".keras"): (quantised_keras, "dense.*: the file has an array"),
    ("int8", ".h5"): (quantised_keras, "dense.*: the file has an array"),
    ("int8", ".onnx"): (lambda s, f: quantised_onnx(f), "DequantizeLinear|QuantizeLinear"),
    ("int8", ".pt"): (lambda s, f: quantised_torch(f), "code"),
    ("normalisation inside", ".weights.h5"): (
        lambda s, f: of_keras(s, f, on_top(dense(5), before=(keras.layers.Rescaling(1 / 127.5, -1),))),
        "weights alone",
    ),
    ("another head", ".weights.h5"): (lambda s, f: of_keras(s, f, on_top(*two())), "weights alone"),
    ("batch norm folded", ".weights.h5"): (lambda s, f: of_keras(s, f, plain_keras()), "weights alone"),
    ("size inside", ".weights.h5"): (
        lambda s, f: replace(of_keras(s, f, applications()), given=Given(pixels=SIGNED)),
        "--img-size",
    ),
    ("size inside", ".pt"): (
        lambda s, f: replace(of_torch(s, f, peer()), given=Given(pixels=SIGNED, activation="relu")),
        "--img-size",
    ),
}


@pytest.mark.parametrize(("feature", "reader"), sorted(TRIED))
def test_a_hole_is_refused_by_name(feature: str, reader: str, tmp_path: Path) -> None:
    assert (feature, reader) in flat(HOLES)
    make, line = TRIED[feature, reader]
    case = make(reader, tmp_path)
    with pytest.raises(MobilenetsError, match=line) as refused:
        import_files([case.path], case.given)
    assert "\n" not in str(refused.value)

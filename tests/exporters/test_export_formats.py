"""`export`: every format of a float and of an int8 network is read back before it is written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from integer_networks import quantised

import mobilenets.exporters.tflite as tflite_writer
import mobilenets.exporters.tflite_int8 as int8_writer
from mobilenets import export
from mobilenets.arch.network import SHALLOW_BODY, Network
from mobilenets.errors import ParityError, UsageError
from mobilenets.exporters import FORMATS, write

NETWORK = Network(0.25, 33, 45, 3, 4, blocks=SHALLOW_BODY, padding="same")
ROUNDED = {name for name, format in FORMATS.items() if format.rounding}


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory, random_model) -> Path:
    return random_model(NETWORK).save(tmp_path_factory.mktemp("floats") / "m.safetensors")


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantised(NETWORK).save(tmp_path_factory.mktemp("integers") / "m.safetensors")


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.floats])
def test_a_float_network(format: str, floats: Path) -> None:
    exported = export(floats, format=format)
    assert exported.path == floats.with_suffix(FORMATS[format].suffix)
    assert exported.bytes == exported.path.stat().st_size
    assert exported.difference <= (0.1 if format in ROUNDED else 1e-5)


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.integers])
def test_an_int8_network(format: str, integers: Path) -> None:
    exported = export(integers, format=format)
    assert exported.path == integers.with_suffix(FORMATS[format].suffix)
    assert exported.difference == 0


@pytest.mark.parametrize(("format", "fault"), [("tflite", 3.0), ("tflite-float16", 1.01), ("tflite-dynamic", 1.01)])
def test_other_weights_are_noticed(format: str, fault: float, floats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some filters that are too large."""
    fold = tflite_writer.fold_batch_norm

    def wrong(*args):
        graph, weights = fold(*args)
        weights["pw2.weight"][:8] *= fault
        return graph, weights

    monkeypatch.setattr(tflite_writer, "fold_batch_norm", wrong)
    output = floats.with_name(f"wrong{FORMATS[format].suffix}")
    with pytest.raises(ParityError, match=r"differ from torch's by|was read back as other values"):
        export(floats, output, format)
    assert not output.exists()


def test_other_integers_are_noticed(integers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = int8_writer._Integers.arrays

    def wrong(numbers, name, layout):
        if name == "pw2":
            layer = numbers.model.layers[name]
            layers = {**numbers.model.layers, name: replace(layer, bias=layer.bias + 1)}
            numbers.model = replace(numbers.model, layers=layers)
        return writer(numbers, name, layout)

    monkeypatch.setattr(int8_writer._Integers, "arrays", wrong)
    with pytest.raises(ParityError, match=r"^the integers that were read back are not those that were written$"):
        export(integers, integers.with_name("wrong.tflite"), "tflite")


def test_what_a_format_does_not_hold(floats: Path, integers: Path) -> None:
    with pytest.raises(UsageError, match=r"^format tflite-micro does not hold networks of floats, which this is: use "):
        export(floats, format="tflite-micro")
    with pytest.raises(UsageError, match=r"which this is: use onnx, tflite, tflite-micro$"):
        export(integers, format="timm")


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"onnx", "tflite-micro"}))
def test_full_convolutions_are_exported_as_onnx_only(format: str, tmp_path: Path, random_model) -> None:
    network = NETWORK.replace(convolution="full")
    path = random_model(network).save(tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match=rf"^format {format} holds separable networks, this has full convolutions"):
        export(path, format=format)


def test_each_format_has_files_of_its_own() -> None:
    assert len({format.suffix for format in FORMATS.values()}) == len(FORMATS)


def test_formats_of_tensorflow_lite_differ_in_their_numbers_only(random_model) -> None:
    model = random_model(NETWORK)
    sizes = [len(write(model, format)) for format in ("tflite", "tflite-float16", "tflite-dynamic")]
    assert list(np.argsort(sizes)) == [2, 1, 0]

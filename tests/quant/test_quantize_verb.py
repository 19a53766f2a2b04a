"""The verb: what it draws, writes, says and refuses."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from test_reference import TINY

from mobilenets.cli.app import app
from mobilenets.data.sources import Dataset, Sample, open_dataset
from mobilenets.errors import DataError, UsageError
from mobilenets.image import Preprocess
from mobilenets.quant.file import load
from mobilenets.quant.scheme import QuantModel
from mobilenets.verbs.quantize import draw, quantize

NETWORK = TINY.replace(width=32)


@pytest.fixture
def model(random_model, photos: Path, tmp_path: Path) -> Path:
    labels = open_dataset(photos).labels
    made = random_model(NETWORK.replace(classes=len(labels)))
    return replace(made, labels=labels, preprocess=Preprocess(32, 32)).save(tmp_path / "m.safetensors")


def drawn_from(targets: list[int]) -> Dataset:
    samples = tuple(Sample(str(i), target, lambda: b"") for i, target in enumerate(targets))
    return Dataset(Path("data"), ("a", "b", "c"), {"train": samples}, "", ())


def test_images_are_drawn_evenly_over_the_classes() -> None:
    dataset = drawn_from([0] * 50 + [1] * 10 + [2] * 3)
    assert Counter(sample.target for sample in draw(dataset, 12)) == {0: 5, 1: 4, 2: 3}
    assert draw(dataset, 12) == draw(dataset, 12)
    assert len(draw(dataset, 500)) == 63


def test_images_of_one_class_are_refused() -> None:
    with pytest.raises(DataError, match="data: all images to calibrate on are of one class, 'b'"):
        draw(drawn_from([1] * 9), 5)


def test_the_file_holds_the_network_and_what_it_costs(model: Path, photos: Path) -> None:
    result = quantize(model, photos, images=30)
    assert result.path == model.with_name("m.int8.safetensors")
    written = load(result.path)
    assert isinstance(written, QuantModel)
    assert written.digest() == result.model.digest()
    both = result.comparison
    assert written.metrics["top1"] == both.integers.result.score
    assert written.metrics["top1_float"] == both.floats.result.score
    assert written.data["quantized"]["calibrated_on"] == 30
    assert both.agreement > 0.8 and both.split == "val"
    assert both.floats.weights_bytes > 2 * both.integers.weights_bytes
    assert json.loads(json.dumps(result.to_dict()))["int8"]["top1"] == both.integers.result.score


def test_nothing_is_overwritten_unasked(model: Path, photos: Path) -> None:
    taken = model.with_name("m.int8.safetensors")
    taken.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists: choose another --output, or use --overwrite"):
        quantize(model, photos, images=30)
    assert taken.read_bytes() == b"mine"
    assert quantize(model, photos, images=30, overwrite=True).path == taken
    before = model.read_bytes()
    with pytest.raises(UsageError, match="is an input file: choose another --output"):
        quantize(model, photos, model, images=30, overwrite=True)
    assert model.read_bytes() == before
    with pytest.raises(UsageError, match=r"images \(=0\) to calibrate on must be at least 10"):
        quantize(model, photos, images=0)
    with pytest.raises(UsageError, match="is an int8 model already"):
        quantize(taken, photos, images=30)


def test_the_command_prints_layers_rules_and_both_figures(model: Path, photos: Path, capsys) -> None:
    app(["quantize", str(model), "--data", str(photos), "--images", "30"], result_action="return_value")
    text = capsys.readouterr().out
    for part in (
        "conv0",
        "minmax",
        "percentile",
        "mse",
        "top-1",
        "same prediction",
        "95% interval",
        "m.int8.safetensors",
    ):
        assert part in text

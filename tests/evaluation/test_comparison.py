"""A float network and its integers on the same images: which two belong together, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mobilenets import evaluate, quantize
from mobilenets.arch.network import Network
from mobilenets.costs import cost
from mobilenets.data.cache import decode_split
from mobilenets.data.sources import open_dataset
from mobilenets.evaluation import compare, serve
from mobilenets.evaluation.comparison import sibling_of
from mobilenets.image import Preprocess
from mobilenets.model import Model
from mobilenets.quant.reference import agreement
from mobilenets.quant.scheme import QuantModel

NETWORK = Network(alpha=0.125, height=32, width=32, classes=3)


@pytest.fixture(scope="module")
def files(random_model, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    made = replace(random_model(NETWORK), labels=open_dataset(photos).labels, preprocess=Preprocess(32, 32))
    floats = made.save(folder / "m.safetensors")
    return floats, quantize(floats, photos, images=30).path


def test_either_file_finds_the_other(files: tuple[Path, Path]) -> None:
    from mobilenets.quant.file import load

    models = [load(path) for path in files]
    for at, path in enumerate(files):
        found = sibling_of(path, models[at])
        assert found is not None and found.digest() == models[1 - at].digest()
    assert models[1].data["quantized"]["from_sha256"] == models[0].digest()


def test_integers_of_other_weights_are_no_pair(files: tuple[Path, Path], random_model, tmp_path: Path) -> None:
    (tmp_path / "m.int8.safetensors").write_bytes(files[1].read_bytes())
    other = random_model(NETWORK, seed=1)
    assert sibling_of(other.save(tmp_path / "m.safetensors"), other) is None
    (tmp_path / "m.int8.safetensors").write_bytes(b"broken")
    assert sibling_of(tmp_path / "m.safetensors", other) is None
    assert sibling_of(tmp_path / "alone.safetensors", other) is None


def test_both_are_evaluated_as_each_would_be_alone(files: tuple[Path, Path], photos: Path) -> None:
    from mobilenets.quant.file import load

    floats, integers = (load(path) for path in files)
    assert isinstance(floats, Model) and isinstance(integers, QuantModel)
    images = decode_split(open_dataset(photos).splits["val"], floats.preprocess, short_side=None, max_bad=0)
    both = compare(serve(floats, images), serve(integers, images), images, "val")
    for path, half in zip(files, (both.floats, both.integers), strict=True):
        assert half.result.score == evaluate(path, photos).evaluation.score
        assert half.latency.median > 0
    assert 0.5 < both.agreement <= 1
    assert both.integers.weights_bytes < both.floats.weights_bytes / 2
    names, *rows = both.table().columns, *both.table().rows
    assert names[1] == "top-1" and [row[0] for row in rows] == ["float", "int8"]


@pytest.mark.parametrize("which", [0, 1])
def test_the_report_of_one_shows_both(files: tuple[Path, Path], photos: Path, tmp_path: Path, which: int) -> None:
    evaluate(files[which], photos, report=tmp_path / "page.html")
    assert "Float and int8" in (tmp_path / "page.html").read_text()


def test_agreement_is_the_tasks_own() -> None:
    one, other = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), np.array([[0.6, 0.4], [0.7, 0.3]], np.float32)
    assert agreement("softmax", one, other) == 0.5
    assert agreement("sigmoid", one, other) == 0.5
    assert agreement("l2_normalise", one, np.array([[1, 0], [0, 1]], np.float32)) == pytest.approx(0.85)


def test_bytes_of_a_float_model_are_those_of_its_costs(random_model) -> None:
    for network in (NETWORK, Network(alpha=0.25, height=40, width=32, classes=7, activation="hard_swish")):
        assert random_model(network).nbytes == cost(network).bytes("fp32")

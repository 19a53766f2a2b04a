"""int8 in a benchmark: the same integers for every runtime, and logits that differ from the oracle's are counted."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mobilenets import Network
from mobilenets.benchmarks import PEERS, benchmark_model, measure
from mobilenets.benchmarks.int8_reference import int8_reference
from mobilenets.benchmarks.measure import noise
from mobilenets.benchmarks.opening import Missing, open_peers
from mobilenets.benchmarks.peers import Setup
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.compiler.targets import INT8_TARGETS
from mobilenets.errors import UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Pixels
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime import Session
from mobilenets.runtime.activations import min_max_integers

INT8 = {name: kind for name, kind in PEERS.items() if "int8" in kind.precisions}
SMALL = Network(0.25, 32, 32, classes=10)
# OpenVINO's own files warn of something
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(not has_compiler(), reason="no C compiler"),
]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0.02)
    monkeypatch.setattr(measure, "BATCH_SECONDS", 0.01)


@pytest.fixture
def floats(random_model) -> Model:
    return random_model(SMALL)


@pytest.fixture
def integers(floats: Model) -> QuantModel:
    return min_max_integers(floats, noise(floats, 8))


def test_four_runtimes_know_int8() -> None:
    assert set(INT8) == {"mobilenets", "ONNX Runtime", "OpenVINO", "LiteRT"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "mobilenets")) for n in INT8])
def test_every_runtime_gets_the_same_integers(name: str, integers: QuantModel) -> None:
    images = noise(integers, 3)
    (opened,) = open_peers(Setup(integers, "int8"), images[:1], {name: INT8[name]})
    if isinstance(opened, Missing):
        assert "not installed" in opened.reason
        pytest.skip(opened.reason)
    logits = opened.peer.run(images)
    steps = np.rint(logits / np.float32(integers.activations["fc"].scale)) + integers.activations["fc"].zero_point
    oracle = reference.run(integers, images)
    assert np.abs(steps - oracle).max() <= (3 if name == "OpenVINO" else 0)
    assert opened.peer.file_bytes < 400_000


def test_integers_made_by_min_max_are_near_the_floats(floats: Model, integers: QuantModel) -> None:
    images = noise(floats, 4)
    real = integers.activations["fc"].real(reference.run(integers, images))
    expected = Session.from_onnx(to_onnx(floats), 1).logits(images)
    assert np.abs(real - expected).max() < 0.1 * np.abs(expected).max()


def test_int8_beside_float(floats: Model) -> None:
    kinds = {name: INT8[name] for name in ("mobilenets", "ONNX Runtime")}
    result = benchmark_model(floats, threads=(1,), batch_sizes=(1, 2), precisions=("fp32", "int8"), kinds=kinds)
    assert {(row.runtime, row.precision) for row in result.rows} == {(n, p) for n in kinds for p in ("fp32", "int8")}
    for row in result.rows:
        assert row.differing == ((0, 40) if row.precision == "int8" else None)
        assert (0 < row.difference < 0.1) if row.precision == "int8" else row.difference < 1e-4
    found = {(row.runtime, row.precision): row for row in result.rows}
    ours, before = found["mobilenets", "int8"], found["mobilenets", "fp32"]
    assert ours.file_bytes < 0.5 * before.file_bytes and ours.arena_bytes < 0.5 * before.arena_bytes
    source, counts = result.about_integers()
    assert source.startswith("int8: made here, ranges from the smallest to the largest value of 16 images (noise)")
    assert "mobilenets 0 of 40" in counts and "ONNX Runtime 0 of 40" in counts


def test_an_int8_model_is_compared_with_the_oracle(integers: QuantModel) -> None:
    kinds = {"mobilenets": INT8["mobilenets"]}
    result = benchmark_model(integers, threads=(1,), batch_sizes=(), kinds=kinds)
    (row,) = result.rows
    assert (row.precision, row.agreement, row.difference, row.differing) == ("int8", 1, 0, (0, 40))
    assert (result.integers, result.reference) == ("the model's own integers", "quant/reference.py in numpy")
    with pytest.raises(UsageError, match="precision 'fp32' is of float models"):
        benchmark_model(integers, precisions=("fp32",), kinds=kinds)


def test_without_int8_nothing_is_said_of_it(floats: Model) -> None:
    kinds = {"mobilenets": INT8["mobilenets"]}
    result = benchmark_model(floats, threads=(1,), batch_sizes=(), kinds=kinds)
    assert result.integers is None and result.about_integers() == []


class Shifted(INT8["ONNX Runtime"]):  # type: ignore[misc,valid-type]
    """One step off in the first logit of each image."""

    def run(self, images: Pixels) -> np.ndarray:
        logits = super().run(images)
        logits[:, 0] += np.float32(self.setup.model.activations["fc"].scale)
        return logits


def test_other_bytes_are_counted(integers: QuantModel) -> None:
    result = benchmark_model(integers, threads=(1,), batch_sizes=(), kinds={"shifted": Shifted})
    assert result.rows[0].differing == (4, 40)
    assert int8_reference(integers, noise(integers, 2)).differing(np.full((2, 10), 1e6, np.float32)) == (20, 20)


def test_the_verb_takes_an_int8_file(
    integers: QuantModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "PEERS", {"mobilenets": INT8["mobilenets"]})
    path = integers.save(tmp_path / "m.int8.safetensors")
    assert main(["benchmark", str(path), "--tune", "0s", "--threads", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in printed["rows"]] == ["int8"] and printed["rows"][0]["differing"] == [0, 40]
    assert main(["benchmark", str(path), "--tune", "0s", "--threads", "1", "--batch-sizes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "int8: the model's own integers" in lines and max(map(len, lines)) <= 160
    assert main(["benchmark", str(path), "--precisions", "bf16"]) != 0
    assert "precision 'bf16' is of float models" in capsys.readouterr().err


def test_describe_and_compile_say_what_an_int8_model_takes(
    integers: QuantModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = integers.save(tmp_path / "m.int8.safetensors")
    assert main(["describe", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["int8"]
    assert set(said["arena_bytes"]) == set(INT8_TARGETS)
    assert path.stat().st_size - 12000 < said["weights_bytes"] < path.stat().st_size
    assert main(["describe", str(path)]) == 0
    assert "arena of the compiled C: " in capsys.readouterr().out
    assert main(["compile", str(path), "--target", "portable", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arena_bytes"] == said["arena_bytes"]["portable"]
    assert main(["compile", str(path), "--target", "portable", "--overwrite"]) == 0
    printed = capsys.readouterr().out
    assert "quant/reference.py, bit for bit" in printed and "ONNX" not in printed


def test_the_script_has_int8(floats: Model) -> None:
    spec = importlib.util.spec_from_file_location("runtimes", Path(__file__).parents[2] / "benchmarks" / "runtimes.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    args = type("Args", (), {"threads": [1], "target": "portable", "precisions": ["int8"], "tune": 0})()
    kinds = {name: INT8[name] for name in ("mobilenets", "ONNX Runtime")}
    (row,) = script.rows(("0.25-32",), args, kinds, 0.05, {"int8": 1e12})
    assert row["differ"] == {"mobilenets": 0, "ONNX Runtime": 0} and 0 < row["share"]["mobilenets"] < 1
    assert row["precision"] == "int8" and row["ratio"] > 0
    line = script.line(row, ["ONNX Runtime"])
    assert "%, 0 differ |" in line and line.endswith("%, 0 differ) |")

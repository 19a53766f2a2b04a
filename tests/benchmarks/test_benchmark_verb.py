"""`mobilenets benchmark` and benchmarks/runtimes.py as they are called."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mobilenets import Network, named
from mobilenets.benchmarks import PEERS, measure
from mobilenets.benchmarks.chart import write_chart
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.exporters.onnx import to_onnx

ROOT = Path(__file__).parents[2]
ROW = {
    *(
        "runtime",
        "version",
        "precision",
        "threads",
        "latency_ms",
        "images_per_second",
        "agreement",
        "difference",
        "differing",
    ),
    *("file_bytes", "arena_bytes", "load_ms", "threads_by", "cores_used"),
}
TOP = {
    *(
        "network",
        "weights",
        "processor",
        "reference",
        "images",
        "image_count",
        "integers",
        "rows",
        "missing",
        "verdicts",
    ),
    "caution",
}


@pytest.fixture(autouse=True)
def two_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and ONNX Runtime, and one that is not there."""
    absent = type("Absent", (PEERS["ONNX Runtime"],), {"package": "no-such-runtime", "modules": ("no_such_runtime",)})
    kinds = {name: PEERS[name] for name in ("mobilenets", "ONNX Runtime")} | {"absent": absent}
    monkeypatch.setattr(measure, "PEERS", kinds)
    monkeypatch.setattr(measure, "SECONDS", 0.02)
    monkeypatch.setattr(measure, "BATCH_SECONDS", 0.01)


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runtimes", ROOT / "benchmarks" / "runtimes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_json_has_the_keys_that_the_docs_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "0.25-32", "--tune", "0s", "--threads", "1", "--batch-sizes", "1", "4", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == TOP and all(set(row) == ROW for row in printed["rows"])
    assert printed["weights"] == "random" and printed["network"] == "0.25-32"
    assert set(printed["rows"][0]["images_per_second"]) == {"1", "4"}
    assert "not installed: pip install no-such-runtime" in [missing["reason"] for missing in printed["missing"]]
    line = next(line for line in (ROOT / "docs/json.md").read_text().splitlines() if line.startswith("| `benchmark`"))
    assert set(re.findall(r"`(\w+)`", line)) >= TOP | ROW


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "0.25-32", "--tune", "0s", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "random weights" in lines[0]
    assert max(map(len, lines)) <= 160 and not any("…" in line for line in lines)
    assert any(line.startswith("ONNX Runtime") for line in lines)
    assert "absent fp32: not installed: pip install no-such-runtime" in lines
    assert lines[-1].startswith("fp32, 1 thread: ")


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_a_trained_file_and_images(
    suffix: str, tmp_path: Path, photos: Path, random_model, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = random_model(Network(0.25, 32, 32, classes=3)), tmp_path / f"model{suffix}"
    if suffix == ".onnx":
        path.write_bytes(to_onnx(model))
    else:
        model.save(path)
    command = [
        "benchmark",
        str(path),
        "--tune",
        "0s",
        "--data",
        str(photos),
        "--threads",
        "1",
        "--batch-sizes",
        "1",
        "--json",
    ]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["weights"] == "trained" and printed["images"] == photos.name
    assert 30 < printed["image_count"] <= 100
    assert all(row["agreement"] > 0.9 for row in printed["rows"])


@pytest.mark.parametrize("suffix", [".html", ".png", ".svg"])
def test_a_picture(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"speed{suffix}"
    assert (
        main(["benchmark", "0.25-32", "--tune", "0s", "--threads", "1", "--batch-sizes", "1", "--report", str(path)])
        == 0
    )
    assert f"\nwrote {path}  report\n" in capsys.readouterr().out
    content = path.read_bytes()
    if suffix == ".png":
        assert content.startswith(b"\x89PNG")
    else:
        assert b"ONNX Runtime fp32" in content
    if suffix == ".html":
        assert b"http" not in content and b"src=" not in content and b"url(" not in content  # nothing is loaded
        assert b"fp32, 1 thread: " in content


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["bogus"], "network 'bogus' must be ALPHA-SIZE"),
        (["nothing.safetensors"], "nothing.safetensors: no such model file"),
        (["0.25-32", "--threads", "0"], "threads (=0) must be from 1 to"),
        (["0.25-32", "--threads", "many"], "many"),
        (["0.25-32", "--batch-sizes", "-3"], "batch size (=-3) must be from 1"),
        (["0.25-32", "--precisions", "fp7"], "precision 'fp7' must be one of fp32, bf16"),
        (["0.25-32", "--report", "speed.pdf"], "speed.pdf: the name must end in .html or .png or .svg"),
        (["0.25-32", "--report", "no/folder/speed.png"], "the folder no/folder does not exist"),
        (["0.25-32", "--data", "no-such-folder"], "no-such-folder: no such file or folder"),
    ],
)
def test_nonsense_gets_one_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *arguments, "--tune", "0s"]) != 0
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and error.startswith("mobilenets: ") and text in error


def test_names_are_escaped_on_the_page(tmp_path: Path, random_model) -> None:
    kinds = {"<script>": PEERS["ONNX Runtime"]}
    model = random_model(named("0.25-32").replace(classes=2))
    result = measure.benchmark_model(model, threads=(1,), batch_sizes=(), kinds=kinds, source="<img>")
    page = write_chart(tmp_path / "page.html", result).read_text()
    assert "<script>" not in page and "<img>" not in page and "&lt;script&gt;" in page


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_the_script_tells_ratio_and_share(script: ModuleType) -> None:
    assert len(script.ALL) == 16 and set(script.QUICK) <= set(script.ALL)
    args = type("Args", (), {"threads": [1], "target": "auto", "precisions": ["fp32"], "tune": 0.0})()
    kinds = {name: PEERS[name] for name in ("mobilenets", "ONNX Runtime")}
    (row,) = script.rows(("0.25-32",), args, kinds, 0.05, {"fp32": 1e11})
    assert {"network", "precision", "threads", "ours_ms", "peers_ms", "best_peer", "ratio"} <= set(row)
    assert row["best_peer"] == "ONNX Runtime"
    assert row["ratio"] == pytest.approx(row["peers_ms"]["ONNX Runtime"] / row["ours_ms"])
    assert 0 < row["share"]["mobilenets"] < 1
    peers = ["ONNX Runtime", "absent"]
    line = script.line(row, peers)
    assert line.startswith("| 0.25-32 | fp32 | 1 | ") and line.endswith("%) | - |")
    assert line.count("|") == script.head(peers).splitlines()[0].count("|")


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_the_ratio_is_of_the_fastest_peer(script: ModuleType) -> None:
    def timed(milliseconds: float) -> object:
        latency = type("L", (), {"median": milliseconds, "p10": milliseconds, "p90": milliseconds, "runs": 15})()
        return type("T", (), {"latency": latency, "cores_used": 1.0})()

    found = {"mobilenets": timed(2.0), "LiteRT": timed(1.0), "OpenVINO": timed(3.0)}
    assert script.compared(found)["ratio"] == 0.5 and script.compared(found)["best_peer"] == "LiteRT"
    assert script.compared({"OpenVINO": timed(3.0)})["ratio"] is None


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_where_the_time_goes(precision: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "layers.py"), "0.25-32", "--precision", precision]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert re.match(r"compiled in [\d.]+ s, opened from the cache in [\d.]+ ms", printed[1])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed if line.startswith("| ")][2:]
    assert rows[-1][0] == "all" and rows[-1][2] == f"{sum(float(row[2]) for row in rows[:-1]):.2f}"
    assert all(float(row[3]) >= 0 for row in rows)


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_the_script_runs_whole() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "runtimes.py"), "--quick", "--threads", "1", "--json"]
    printed = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert [row["network"] for row in printed["rows"]] == ["1.0-224", "0.5-160", "0.25-128"]
    assert all(row["ratio"] > 0 for row in printed["rows"])

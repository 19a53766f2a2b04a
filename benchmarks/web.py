"""Measure a network in one headless Chromium, one thread: the folder of `export --format web` with plain and with
relaxed SIMD, LiteRT.js and onnxruntime-web, in turn.

    python benchmarks/web.py            # 0.25-128 and 1.0-224, fp32 and int8
    python benchmarks/web.py --networks 0.5-160 --rounds 60

Needs Chromium, npm (which installs the peers into a temporary folder, or --peers FOLDER) and a compiler for
WebAssembly. The weights are random; times do not depend on them.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from chromium import browser, serving

from mobilenets.arch.zoo import named
from mobilenets.exporters import write
from mobilenets.model import Model
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.activations import open_activations
from mobilenets.runtime.measure import untrained
from mobilenets.web import web_files

PEERS = ("@litertjs/core", "onnxruntime-web")
KINDS = (
    ("plain SIMD", "ours", "simd.wasm"),
    ("relaxed SIMD", "ours", "relaxed.wasm"),
    ("dot product of VNNI", "ours", "vnni.wasm"),  # of int8, right only where the processor has it
    ("LiteRT.js", "litert", "model.tflite"),
    ("onnxruntime-web", "onnx", "model.onnx"),
)
LEAST_MS = 20  # of a round: the browser's clock has steps of 0.1 ms
PAGE = Path(__file__).with_name("web.html")


def main() -> None:
    """Print a row for each network and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["0.25-128", "1.0-224"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--peers", type=Path, help="a folder whose node_modules holds the peers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mobilenets-web-") as name:
        folder = Path(name)
        install(folder, options.peers)
        shutil.copy(PAGE, folder / "index.html")
        rows = [row for network in options.networks for row in measured(folder, network, options.rounds)]
    print(json.dumps(rows) if options.json else table(rows))


def install(folder: Path, peers: Path | None) -> None:
    """Put the peers' packages into `folder`."""
    if peers is not None:
        (folder / "node_modules").symlink_to((peers / "node_modules").resolve())
        return
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", folder, *PEERS], check=True)


def measured(folder: Path, network: str, rounds: int) -> list[dict[str, Any]]:
    """Return the times of each runtime, in milliseconds, of the float and of the int8 network."""
    floats = untrained(named(network))
    noise = np.random.default_rng(0).integers(0, 256, (10, *floats.graph.ops[0].shape_out), np.uint8)
    integers = quantize(floats, noise, open_activations, Choices("minmax")).model
    return [in_browser(folder, model, rounds) for model in (floats, integers)]


def in_browser(folder: Path, model: Model | QuantModel, rounds: int) -> dict[str, Any]:
    """Return the median and the least time of each runtime, timed in turn in a new browser."""
    name = f"{model.name}-{model.precision}"
    (folder / name).mkdir()
    contents = {**web_files(model), "model.tflite": write(model, "tflite"), "model.onnx": write(model, "onnx")}
    for file, content in contents.items():
        (folder / name / file).write_bytes(content)
    runtimes = [[title, kind, name, file] for title, kind, file in KINDS if file in contents]
    with serving(folder) as url, browser() as page:
        page.open(url)
        version = page.run("navigator.userAgent").partition("Chrome/")[2].split(".")[0]
        found = page.run(f"measure({json.dumps(runtimes)}, {rounds}, {LEAST_MS})")
    times = {title: {"median": median(f["times"]), "least": min(f["times"])} for title, f in found.items()}
    wasm = {file: len(contents[file]) for file in contents if file.endswith(".wasm")}
    return {"network": model.name, "precision": model.precision, "chromium": version, "bytes": wasm, "ms": times}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows in Markdown: least and median ms, and the ratio of each peer's least to our faster one's."""
    titles = [title for title, _, _ in KINDS]
    lines = [f"| network | precision | {' | '.join(titles)} |", f"| --- | --- |{' ---: |' * len(titles)}"]
    for row in rows:
        ours = min(row["ms"][title]["least"] for title, kind, _ in KINDS if kind == "ours" and title in row["ms"])
        cells = []
        for title, kind, _ in KINDS:
            if title not in row["ms"]:
                cells.append("")
                continue
            time = row["ms"][title]
            ratio = "" if kind == "ours" else f" ({time['least'] / ours:.2f}x)"
            cells.append(f"{time['least']:.2f} / {time['median']:.2f}{ratio}")
        lines.append(f"| {row['network']} | {row['precision']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

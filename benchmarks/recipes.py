"""Accuracy of the default recipe beside two peers: timm's `train.py`, and a plain loop of timm's parts.

    python benchmarks/recipes.py SOURCE OUT --weights 0.25-128.safetensors --timm-train train.py

SOURCE is the folder of test data (`recipe_sets.py` says what of it is used), OUT keeps the data sets, the runs and
`results.csv`: a run that stands there is not repeated, so a killed benchmark goes on. `--weights` is a model of this
package to fine-tune (`mobilenets import FILE.tflite`), `--width` its alpha; without it all train from scratch. `--size`
is the side of the images, whatever the side of the trained network. TIMM_TRAIN is `train.py` of a checkout of
huggingface/pytorch-image-models, run as it is.

All systems see the same images for as many epochs, in batches of 64, from the same weights: the batch norms of a
folded network are restated on the training images for the peers as they are for ours. A figure is top-1 of the
averaged weights after the last epoch: nothing is chosen by the validation images.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recipe_sets import LARGE, SETS, build

from mobilenets.arch.graph import expand
from mobilenets.exporters.timm import to_timm
from mobilenets.image import Preprocess, normalise, prepare
from mobilenets.model import load
from mobilenets.training.module import MobileNet, load_weights, weights_of
from mobilenets.training.start import recompute_statistics

HERE = Path(__file__).parent
FIELDS = ("system", "set", "network", "start", "epochs", "seed", "flags", "top1", "seconds")
LAUNCHER = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
from peer_network import peer_network
from timm.models import register_model
width, weights = float(sys.argv[2]), sys.argv[3] or None
def mobilenetv1_peer(pretrained=False, num_classes=1000, **kwargs):
    return peer_network(width, num_classes, weights)
register_model(mobilenetv1_peer)
sys.argv = sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# the settings of the loop where timm's train.py has them, its own defaults for all else (crops, colours, smoothing)
TIMM = (
    "--opt adamw --lr 0.001 --weight-decay 0.05 --sched cosine --sched-on-updates --warmup-epochs 3 --warmup-lr 1e-6 "
    "--cooldown-epochs 0 --min-lr 0 --model-ema --model-ema-decay 0.998 --model-ema-warmup --batch-size 64 --workers 2 "
    "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5 --crop-pct 0.875 --device cpu --channels-last --val-split val"
)


def ours(folder: Path, out: Path, run: dict[str, Any], weights: Path | None) -> float:
    width, size = run["network"].split("-")
    network = ["--pretrained", str(weights)] if weights else ["--alpha", width, "--pretrained", "none"]
    network += ["--img-size", size]
    options = ["--epochs", str(run["epochs"]), "--seed", str(run["seed"]), *run["flags"].split()]
    call([sys.executable, "-m", "mobilenets", "train", str(folder), *network, *options, "--project", str(out)])
    with open(next(out.glob("*/results.csv")), newline="") as file:
        return float(list(csv.DictReader(file))[-1]["val_top1"])


def loop(folder: Path, out: Path, run: dict[str, Any], weights: Path | None) -> float:
    width, size = run["network"].split("-")
    command = [sys.executable, str(HERE / "recipe_loop.py"), str(folder), "--width", width, "--size", size]
    command += ["--epochs", str(run["epochs"]), "--seed", str(run["seed"]), *run["flags"].split()]
    if weights:
        command += ["--weights", str(peer_weights(weights, folder, int(size)))]
    return float(json.loads(call(command).splitlines()[-1])["top1"])


def timm(script: Path, folder: Path, out: Path, run: dict[str, Any], weights: Path | None) -> float:
    width, size = run["network"].split("-")
    initial = str(peer_weights(weights, folder, int(size))) if weights else ""
    command = [sys.executable, "-c", LAUNCHER, str(HERE), width, initial, str(script), str(folder), *TIMM.split()]
    command += ["--model", "mobilenetv1_peer", "--input-size", "3", size, size, "--output", str(out)]
    command += ["--num-classes", str(len(list((folder / "train").iterdir()))), "--epochs", str(run["epochs"])]
    call([*command, "--seed", str(run["seed"]), *run["flags"].split()])
    with open(next(out.glob("*/summary.csv")), newline="") as file:
        return float(list(csv.DictReader(file))[-1]["eval_top1"]) / 100  # of the averaged weights


def peer_weights(weights: Path, folder: Path, size: int) -> Path:
    """Return the file of `weights` under timm's names, its batch norms in the statistics of the training images."""
    path = folder / f"{weights.stem}-{size}.timm.safetensors"
    if not path.is_file():
        model = load(weights)
        preprocess = replace(model.preprocess, height=size, width=size)
        module = MobileNet(expand(model.network))
        load_weights(module, model.weights)
        files = sorted(folder.glob("train/*/*.*"))
        pixels = np.stack([prepare(file.read_bytes(), preprocess) for file in files])
        batches = np.array_split(pixels, len(pixels) // 128 + 1)
        recompute_statistics(module, (tensor(batch, preprocess) for batch in batches))
        path.write_bytes(to_timm(replace(model, weights=weights_of(module.state_dict()))))
    return path


def tensor(pixels: np.ndarray, preprocess: Preprocess) -> torch.Tensor:
    return torch.from_numpy(normalise(pixels, preprocess)).permute(0, 3, 1, 2)


def call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={"OMP_NUM_THREADS": "2", **os.environ})
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def table(rows: list[dict[str, str]]) -> str:
    """Return top-1 by set and system: the mean over seeds, and in brackets each seed's."""
    systems = list(dict.fromkeys((row["system"], row["flags"]) for row in rows))
    lines = ["| network, set | " + " | ".join(" ".join(system).strip() for system in systems) + " |"]
    lines.append("| --- |" + " ---: |" * len(systems))
    means: dict[tuple[str, str], list[float]] = {}
    for case in dict.fromkeys((row["network"], row["start"], row["set"]) for row in rows):
        cells = []
        for system in systems:
            of_case = [row for row in rows if (row["network"], row["start"], row["set"]) == case]
            found = [100 * float(row["top1"]) for row in of_case if (row["system"], row["flags"]) == system]
            means.setdefault(system, []).extend([statistics.mean(found)] if found else [])
            cells.append(f"{statistics.mean(found):.1f} ({', '.join(f'{f:.1f}' for f in found)})" if found else "")
        lines.append(f"| {' '.join(case)} | {' | '.join(cells)} |")
    lines.append("| mean | " + " | ".join(f"{statistics.mean(means[s]):.1f}" for s in systems) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--timm-train", type=Path)
    parser.add_argument("--width", default="0.25")
    parser.add_argument("--size", default="128")
    parser.add_argument("--systems", nargs="+", default=["ours", "loop", "timm"])
    parser.add_argument("--sets", nargs="+", choices=[*SETS, *LARGE], default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--flags", default="", help="for all systems that are run")
    arguments = parser.parse_args()
    results = arguments.out / "results.csv"
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not results.is_file():
        results.write_text(",".join(FIELDS) + "\n")
    network = f"{arguments.width}-{arguments.size}"
    start = arguments.weights.stem if arguments.weights else "scratch"
    for seed in arguments.seeds:
        for name in arguments.sets:
            folder = build(name, arguments.source, arguments.out / "sets")
            for system in arguments.systems:
                run = {"system": system, "set": name, "network": network, "start": start, "epochs": arguments.epochs}
                run |= {"seed": seed, "flags": arguments.flags}
                if not stands(results, run):
                    measure(results, run, folder, arguments)
    print(table(read(results)))


def read(results: Path) -> list[dict[str, str]]:
    with open(results, newline="") as file:
        return list(csv.DictReader(file))


def stands(results: Path, run: dict[str, Any]) -> bool:
    return any(all(row[key] == str(value) for key, value in run.items()) for row in read(results))


def measure(results: Path, run: dict[str, Any], folder: Path, arguments: argparse.Namespace) -> None:
    """Train once and append the row."""
    out = arguments.out / "runs" / f"{time.time_ns()}"
    begun = time.perf_counter()
    if run["system"] == "timm":
        top1 = timm(arguments.timm_train, folder, out, run, arguments.weights)
    else:
        top1 = {"ours": ours, "loop": loop}[run["system"]](folder, out, run, arguments.weights)
    row = {**run, "top1": f"{top1:.4f}", "seconds": f"{time.perf_counter() - begun:.1f}"}
    print(*row.values(), flush=True)
    with open(results, "a", newline="") as file:
        csv.DictWriter(file, FIELDS).writerow(row)


if __name__ == "__main__":
    main()

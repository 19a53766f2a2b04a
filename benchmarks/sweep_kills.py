"""A sweep that is killed at random instants, compared with one that is not: weights and figures of every trial.

    python benchmarks/sweep_kills.py DATA OUT --kills 10

OUT receives the sweeps `whole` and `killed`. SIGKILL comes at instants that are uniform within a sixth of the time of
the whole sweep, counted from each start; the command fails where a trial's weights, top-1 or int8 top-1 differ.
"""

import argparse
import csv
import random
import subprocess
import sys
import time
from pathlib import Path

NETWORKS = ["--model", "0.25-32", "0.5-32", "shallow-0.25-32", "v2-0.35-32", "--seeds", "2"]
COMPARED = ("state", "epochs", "weights_sha256", "val_top1", "top1", "int8_top1")
START = 4.0  # seconds in which Python and torch are loaded


def started(arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mobilenets", "sweep", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def results(sweep: Path) -> dict[str, tuple[str, ...]]:
    with open(sweep / "results.csv", newline="") as file:
        return {row["trial"]: tuple(row[name] for name in COMPARED) for row in csv.DictReader(file)}


def killed(first: list[str], sweep: Path, kills: int, within: float, seed: int) -> None:
    """Run a sweep to its end, through `kills` SIGKILLs."""
    draw, arguments = random.Random(seed), first
    for number in range(kills):
        process, wait = started(arguments), START + draw.random() * within
        try:
            process.wait(wait)
            raise SystemExit(f"the sweep ended after {number} kills")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        models = len(list(sweep.glob("trials/*/best.safetensors")))
        print(f"kill {number + 1} after {wait:.1f} s, {models} trials have a model", flush=True)
        arguments = ["--resume", str(sweep)] if (sweep / "sweep.json").exists() else first
    if started(arguments).wait():
        raise SystemExit("the sweep could not be resumed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    common = [str(given.data), *NETWORKS, "--epochs", str(given.epochs), "--jobs", "1"]
    whole, other = given.out / "whole", given.out / "killed"
    begun = time.monotonic()
    if started([*common, "--out", str(whole)]).wait():
        raise SystemExit("the sweep failed")
    seconds = time.monotonic() - begun
    print(f"without a kill: {seconds:.0f} s, {len(results(whole))} trials", flush=True)
    killed([*common, "--out", str(other)], other, given.kills, seconds / 6, given.seed)
    expected, found = results(whole), results(other)
    differ = [name for name in expected if expected[name] != found.get(name)]
    print(f"{len(expected) - len(differ)} of {len(expected)} trials are equal in {', '.join(COMPARED)}")
    if differ:
        raise SystemExit(f"they differ: {', '.join(differ)}")


if __name__ == "__main__":
    main()

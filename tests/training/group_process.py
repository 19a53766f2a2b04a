"""A process of a group: trains a small run, as the tests of `test_group.py` say. Arguments: data, run folder, what."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from small import small_run

from mobilenets.data.sources import open_dataset
from mobilenets.errors import Interrupted, MobilenetsError, TrainingError
from mobilenets.progress import Watch
from mobilenets.training.fit import fit
from mobilenets.training.group import Group, joined
from mobilenets.training.run import Run

RECIPE = {"epochs": 3, "batch_size": 15, "replicas": 2, "augment": 0.5, "flip": True}
RANK = int(os.environ.get("RANK", "0"))


class Kill(Watch):
    """Sends this process a signal in the middle of the second epoch."""

    def __init__(self, number: int) -> None:
        self.number = number

    def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None:
        if (epoch, batch) == (1, 1):
            os.kill(os.getpid(), self.number)


def run_of(data: Path, folder: Path, group: Group) -> Run:
    """The run that the first process makes; the folder of the others does not exist."""
    run = group.decided(lambda: small_run(data, folder, **RECIPE))
    return run if group.rank == 0 else replace(run, path=folder.with_name("of another"))


def whole_and_resumed(data: Path, folder: Path) -> None:
    """One process fails alone; then a run to its end, then one that the last process stops and that goes on."""
    try:
        with joined() as group:
            if group.rank == 1:
                raise TrainingError("alone")
            group.highest(0)
    except MobilenetsError as exc:
        print(exc)
    if RANK == 0:
        print("one process", fit(open_dataset(data), small_run(data, folder / "alone", **RECIPE)).digest())
    with joined() as group:
        print("same data", group.agree("a"), group.agree(f"of {group.rank}"))
        print("whole", fit(open_dataset(data), run_of(data, folder / "whole", group), None, group).digest())
    with joined() as group:
        run = run_of(data, folder / "cut", group)
        try:
            fit(open_dataset(data), run, Kill(signal.SIGTERM) if group.rank == 1 else None, group)
        except Interrupted as exc:
            print("stopped", exc.exit_code, run.checkpoint.is_file() == (group.rank == 0))
    with joined() as group:
        print("resumed", fit(open_dataset(data), run, None, group).digest())


def killed(data: Path, folder: Path) -> None:
    """The last process is killed while the first trains."""
    with joined() as group:
        run = run_of(data, folder / "killed", group)
        fit(open_dataset(data), run, Kill(signal.SIGKILL) if group.rank == 1 else None, group)


if __name__ == "__main__":
    try:
        {"whole": whole_and_resumed, "killed": killed}[sys.argv[3]](Path(sys.argv[1]), Path(sys.argv[2]))
    except MobilenetsError as exc:
        sys.exit(f"{exc}")

"""A sweep on a Ray cluster of two nodes: the results of a local one, though a node dies; failures; signals."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_fixtures import TwoNodes

from mobilenets.errors import Interrupted, UsageError, WorkError
from mobilenets.sweeps import SweepPlan
from mobilenets.verbs.sweep import Swept, resume_sweep, sweep

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import DEFAULTS, NETWORK, make_squares

RECIPE: dict[str, Any] = {**DEFAULTS, "epochs": 2, "augment": None}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "squares")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out latencies and the sweep's report, which take most of the time of so small trials."""
    monkeypatch.setattr("mobilenets.verbs.trials._measure", lambda *arguments: None)
    monkeypatch.setattr("mobilenets.verbs.trials.write_page", lambda folder, plan, rows: None)


def when_trained(folder: Path, trials: int, act: Callable[[], None]) -> threading.Thread:
    """Call `act`, in a thread, as soon as so many trials have finished an epoch."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("trials/*/results.csv"))) < trials and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def digests(found: Swept) -> dict[str, str]:
    return {row.trial: row.weights_sha256 for row in found.rows}


@pytest.mark.slow
def test_results_are_those_of_a_local_sweep_though_a_node_dies(data: Path, connected: TwoNodes, tmp_path: Path) -> None:
    """Both nodes have one core and train at the same time; one is killed as soon as both have a checkpoint."""
    folder = tmp_path / "spread"

    killer = when_trained(folder, 2, connected.kill_one)
    spread = sweep(data, [NETWORK], RECIPE, seeds=2, cluster=connected.address, out=folder)
    killer.join()
    connected.add_one()
    assert [row.state for row in spread.rows] == ["done", "done"]
    local = sweep(data, [NETWORK], RECIPE, seeds=2, jobs=1, out=tmp_path / "local")
    assert digests(spread) == digests(local) and len(set(digests(local).values())) == 2


def test_a_signal_saves_the_trials(data: Path, connected: TwoNodes, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    stopper = when_trained(folder, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="stopped, and the trials are saved"):
        sweep(data, [NETWORK], {**RECIPE, "epochs": 4000}, cluster=connected.address, out=folder)
    stopper.join()
    run = SweepPlan.open(folder).run(0, folder)
    done = run.epochs_done
    assert run.checkpoint.is_file() and 0 < done < 4000
    time.sleep(0.3)
    assert run.epochs_done == done  # nothing trains on
    with pytest.raises(UsageError, match=r"jobs \(=2\) is of this machine: the cluster"):
        resume_sweep(tmp_path / "s", cluster=connected.address, jobs=2)


def test_what_is_refused(data: Path, connected: TwoNodes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out \(=s3://bucket/s\) must be a path that all nodes see"):
        sweep(data, [NETWORK], RECIPE, cluster=connected.address, out="s3://bucket/s")
    with pytest.raises(UsageError, match="a trial takes 2 cores, and the largest node of the cluster has 1"):
        sweep(data, [NETWORK], {**RECIPE, "replicas": 2}, cluster=connected.address, out=tmp_path / "two")


def test_a_trial_that_cannot_run_is_named(data: Path, connected: TwoNodes, tmp_path: Path) -> None:
    from mobilenets.cluster.ray import run_modules

    with pytest.raises(WorkError, match=r"trial a ended with exit code 1: .*no sweep there"):
        run_modules({"a": ["mobilenets.verbs.trial", str(tmp_path), "0"]}, 1, 0, lambda name: None)

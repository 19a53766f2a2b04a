"""`mobilenets sweep` end to end: results, resuming, halving, failures, its data."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mobilenets import Watch, load
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, Interrupted, TrainingError, UsageError, WorkError
from mobilenets.sweeps import RESULTS, SweepPlan
from mobilenets.training import plan as timing
from mobilenets.training.recipe import Recipe
from mobilenets.verbs.resume import resume
from mobilenets.verbs.sweep import Swept, resume_sweep, sweep
from mobilenets.verbs.sweep_plan import Wanted, planned
from mobilenets.verbs.train import train
from mobilenets.verbs.trial import open_data, run_trial
from mobilenets.verbs.trials import _run_in_processes

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import DEFAULTS, NETWORK, make_squares

RECIPE: dict[str, Any] = {**DEFAULTS, "epochs": 2, "augment": None}
NETWORKS = [NETWORK, NETWORK.replace(alpha=0.25)]


class Notes(Watch):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "squares")


@pytest.fixture(scope="module")
def swept(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return sweep(data, NETWORKS, RECIPE, out=tmp_path_factory.mktemp("sweep") / "s", jobs=1)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out reports and latencies, which take most of the time of so small trials."""
    monkeypatch.setattr("mobilenets.verbs.trials._measure", lambda *arguments: None)
    monkeypatch.setattr("mobilenets.verbs.trials.write_page", lambda folder, plan, rows: None)
    monkeypatch.setattr("mobilenets.verbs.train.write_page", lambda path, *others: path.touch())


def digests(found: Swept) -> dict[str, str]:
    return {row.trial: row.weights_sha256 for row in found.rows}


def test_results_are_those_of_the_runs(swept: Swept) -> None:
    assert [row.state for row in swept.rows] == ["done", "done"]
    with (swept.folder / RESULTS).open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line, row in zip(lines, swept.rows, strict=True):
        run = swept.folder / "trials" / row.trial
        model = load(run)
        assert line["weights_sha256"] == model.digest() and float(line["val_top1"]) == model.metrics["val_top1"]
        assert float(line["top1"]) == model.metrics["top1"]
        measured = json.loads((run / "measured.json").read_text())
        assert float(line["int8_top1"]) == measured["int8_top1"]
        assert float(line["latency_ms"]) == measured["latency"] > 0
    assert swept.report.is_file() and not (swept.folder / "decoded").exists()


def test_a_trial_is_a_run_of_train(plain: None, swept: Swept, data: Path, tmp_path: Path) -> None:
    """All images are smaller than any stored side here, so that `train` alone sees the same pixels."""
    alone = train(data, NETWORKS[1], RECIPE, project=tmp_path)
    assert alone.model.digest() == swept.rows[1].weights_sha256


def test_a_trial_that_stopped_goes_on_to_the_same_weights(plain: None, swept: Swept, tmp_path: Path) -> None:
    """The first trial stands at one epoch, of the second nothing is there but an empty folder."""
    swept.plan.save(tmp_path)
    (tmp_path / "trials" / swept.plan.trials[1].name).mkdir(parents=True)
    run_trial(swept.plan, 0, tmp_path, 1)
    assert swept.plan.run(0, tmp_path).epochs_done == 1 and not swept.plan.run(0, tmp_path).report.exists()
    again = resume_sweep(tmp_path, jobs=1)
    assert digests(again) == digests(swept)


def test_a_finished_sweep_is_kept(plain: None, swept: Swept) -> None:
    times = {path: path.stat().st_mtime_ns for path in swept.folder.glob("trials/*/*")}
    watch, told = Watch(), list[str]()
    watch.note = told.append  # type: ignore[method-assign]
    assert digests(resume_sweep(swept.folder, jobs=1, watch=watch)) == digests(swept)
    assert f"{swept.folder}: 2 of 2 trials done already" in told
    with pytest.raises(UsageError, match=f"is a sweep: mobilenets sweep --resume {swept.folder}$"):
        resume(swept.folder)
    assert {path: path.stat().st_mtime_ns for path in swept.folder.glob("trials/*/*")} == times


def test_measuring_that_is_interrupted_leaves_a_report_and_goes_on(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(swept.folder, folder)
    for name in (RESULTS, "report.html", f"trials/{swept.rows[1].trial}/measured.json"):
        (folder / name).unlink()

    def stop(run: object, dataset: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mobilenets.verbs.trials.measure_trial", stop)
        with pytest.raises(Interrupted, match=f"go on with: mobilenets sweep --resume {folder}$"):
            resume_sweep(folder, jobs=1)
    assert (folder / "report.html").is_file() and (folder / RESULTS).is_file()
    notes = Notes()
    again = resume_sweep(folder, jobs=1, watch=notes)
    assert [row.int8_top1 for row in again.rows] == [row.int8_top1 for row in swept.rows]
    assert sum("int8 top-1" in note for note in notes.notes) == 1


def test_halving_stops_the_dominated_network(plain: None, data: Path, tmp_path: Path) -> None:
    notes = Notes()
    found = sweep(data, NETWORKS, RECIPE, out=tmp_path / "s", halving=True, jobs=1, watch=notes)
    assert sorted((row.state, row.epochs) for row in found.rows) == [("done", 2), ("stopped", 1)]
    assert "after 1 epoch 1 of 2 trials go on" in notes.notes


def test_a_diverged_trial_is_recorded_and_the_others_go_on(
    plain: None, swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobilenets.training.fit._rate", lambda loop, step, batches: 1e30)
    plan = swept.plan
    plan.save(tmp_path)
    shutil.copytree(plan.run(1, swept.folder).path, plan.run(1, tmp_path).path)
    found = resume_sweep(tmp_path, jobs=1)
    assert [row.state for row in found.rows] == ["failed", "done"]
    assert "lower --lr" in found.rows[0].note
    assert found.rows[1].weights_sha256 == swept.rows[1].weights_sha256
    assert digests(resume_sweep(tmp_path, jobs=1)) == digests(found)


def test_other_data_are_refused(swept: Swept, tmp_path: Path) -> None:
    swept.plan.save(tmp_path)
    other = make_squares(tmp_path / "other", train=3, val=2)
    with pytest.raises(TrainingError, match="holds other data than the sweep was planned for"):
        resume_sweep(tmp_path, other)
    with pytest.raises(DataError, match="are not there; where they have moved: --resume"):
        resume_sweep(tmp_path, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": []}, "at least one network"),
        ({"seeds": 0}, r"seeds \(=0\) must be at least 1"),
        ({"networks": ["0.25-32", "0.25-32"]}, "0.25-32 is given twice"),
        ({"jobs": 1000}, r"jobs \(=1000\) must be from 1 to"),
        ({"recipe": {"quantize": True}}, "leave it out"),
        ({"time": "1ms"}, "too short for every trial"),
    ],
)
def test_wrong_arguments_leave_nothing(data: Path, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    given = {"networks": ["0.25-32"], "recipe": RECIPE} | arguments
    with pytest.raises(UsageError, match=message):
        sweep(data, out=tmp_path / "s", **given)
    assert not (tmp_path / "s").exists()


def test_a_cluster_that_does_not_answer_is_told_before_all_else(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"cluster \(=127.0.0.1:9\): no Ray cluster answers there"):
        sweep(tmp_path / "nowhere", ["0.25-32"], cluster="127.0.0.1:9", out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_folder_that_exists_is_refused(swept: Swept, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists: choose another, or --resume it"):
        sweep(data, NETWORKS, out=swept.folder)
    with pytest.raises(UsageError, match=r"exists: choose another$"):
        sweep(data, NETWORKS, out=tmp_path)


def test_time_leaves_out_what_does_not_fit(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Timed:
        seconds = 100.0

    monkeypatch.setattr(timing, "plan", lambda dataset, settings, initial: Timed())
    wanted = Wanted(((NETWORK, 2), (NETWORKS[1], 2)), Recipe(**RECIPE), None, seconds=350, jobs=1)
    plan = planned(wanted, open_dataset(data), Watch())
    assert [trial.name[-5:] for trial in plan.trials] == ["seed0", "seed0", "seed1"]
    assert [one.reason for one in plan.left_out] == ["takes about 1 min 40 s, 50 s are left"]


DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small import NETWORK
from mobilenets.training import fit
from mobilenets.verbs import trials
from mobilenets.verbs.sweep import resume_sweep, sweep
from mobilenets.sweeps import PLAN
data, out, kills, recipe = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
fit.CHECKPOINT_SECONDS = 0.0
networks = [NETWORK, NETWORK.replace(alpha=0.25)]

def forked(folder):
    number = os.fork()
    if number == 0:
        resume_sweep(folder, jobs=1) if (folder / PLAN).is_file() else sweep(data, networks, recipe, out=folder, jobs=1)
        os._exit(0)
    return number

started = time.monotonic()
os.waitpid(forked(out / "whole"), 0)
whole = time.monotonic() - started
draw, killed = random.Random(0), 0
while True:
    number = forked(out / "killed")
    if killed < kills:
        time.sleep(draw.uniform(0, whole / 2))
        os.kill(number, signal.SIGKILL)
        killed += 1
    if os.waitpid(number, 0)[1] == 0:
        break
print(killed)
"""


@pytest.mark.slow
def test_killed_at_ten_random_instants_and_resumed(data: Path, tmp_path: Path) -> None:
    """The children are forks of a process that has computed nothing yet; a checkpoint is saved after each batch."""
    arguments = [str(Path(__file__).parents[1] / "training"), str(data), str(tmp_path), "10", json.dumps(RECIPE)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", DRIVER, *arguments], check=True, env=environment, timeout=500)
    whole, killed = (resume_sweep(tmp_path / name, jobs=1) for name in ("whole", "killed"))
    assert digests(killed) == digests(whole)
    assert len(set(digests(whole).values())) == 2


@pytest.mark.slow
def test_trials_run_in_processes(swept: Swept, tmp_path: Path) -> None:
    """One process that opens the data itself; the images that it needs were decoded before."""
    plan = SweepPlan.open(swept.folder)
    plan.save(tmp_path)
    shutil.copytree(plan.run(0, swept.folder).path, plan.run(0, tmp_path).path)

    notes = Notes()
    _run_in_processes(plan, tmp_path, open_data(plan), [1], None, 2, notes)
    assert load(plan.run(1, tmp_path).path).digest() == swept.rows[1].weights_sha256
    assert notes.notes[-1].startswith("1 of 1: ")


def test_settings_are_resolved_in_the_plan(swept: Swept) -> None:
    """All trials keep the images for the smallest crops of the widest network: 32 px at strength 0.7."""
    settings = [trial.settings for trial in swept.plan.trials]
    assert {one.stored_side for one in settings} == {math.ceil(32 / (1 - 0.75 * 0.7) ** 0.5)}
    assert [one.network.classes for one in settings] == [3, 3]
    assert [one.recipe.augment for one in settings] == [0.7, 0.55]


def test_the_longest_trial_starts_first(swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side, in the order of mult-adds: the plan has alpha 0.5 before 0.25 and is turned round."""
    plan = replace(swept.plan, trials=swept.plan.trials[::-1])
    started: list[str] = []
    monkeypatch.setattr("mobilenets.verbs.trials._decode", lambda *arguments: None)
    monkeypatch.setattr("mobilenets.verbs.trials.run_side_by_side", lambda commands, *others: started.extend(commands))
    _run_in_processes(plan, tmp_path, open_data(plan), [0, 1], None, 2, Watch())
    assert started == [trial.name for trial in swept.plan.trials]

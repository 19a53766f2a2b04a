"""`sweep --peers` end to end with SqueezeNet, the smallest: results, resuming, what is left out of what."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenets import Watch, resume
from mobilenets.cli import main
from mobilenets.costs.peers import PEERS
from mobilenets.designs import read_runs
from mobilenets.errors import MissingExtraError, UsageError
from mobilenets.image import Preprocess, normalise
from mobilenets.model import digest_of
from mobilenets.sweeps import PLAN, Row, SweepPlan, history
from mobilenets.training import plan as timing
from mobilenets.training.recipe import PEER_LR, Recipe
from mobilenets.verbs.sweep import Swept, plan_sweep, resume_sweep, sweep
from mobilenets.verbs.sweep_plan import Wanted, planned
from mobilenets.verbs.trial import open_data, run_trial

pytest.importorskip("torchvision")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import DEFAULTS, NETWORK, make_squares

RECIPE: dict[str, Any] = {**DEFAULTS, "epochs": 2, "replicas": 2, "precision": "auto"}
NETWORKS = [NETWORK.replace(height=64, width=64), NETWORK.replace(alpha=0.25, height=48, width=48)]
NAME = "squeezenet1_0-64-seed0"


@pytest.fixture(scope="module", autouse=True)
def plain() -> Iterator[None]:
    """Train of the peers SqueezeNet alone, save after each batch, and leave out reports and latencies of MobileNets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mobilenets.verbs.sweep_plan.PEERS", {"squeezenet1_0": PEERS["squeezenet1_0"]})
        patch.setattr("mobilenets.training.fit.CHECKPOINT_SECONDS", 0.0)
        patch.setattr("mobilenets.training.fit.SAVING_SHARE", 1e9)
        patch.setattr("mobilenets.verbs.trials._measure", lambda *arguments: None)
        patch.setattr("mobilenets.verbs.train.write_page", lambda path, *others: path.touch())
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "squares")


@pytest.fixture(scope="module")
def swept(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """Two networks, of which one is stopped after an epoch, and the peer."""
    out = tmp_path_factory.mktemp("sweep") / "s"
    return sweep(data, NETWORKS, RECIPE, peers=True, halving=True, out=out, jobs=1)


def peer_of(found: Swept) -> Row:
    return next(row for row in found.rows if row.variant == "peer")


def test_a_peer_is_a_trial_that_halving_leaves_alone(swept: Swept) -> None:
    assert sorted((row.variant, row.state, row.epochs) for row in swept.rows) == [
        ("peer", "done", 2),
        ("plain", "done", 2),
        ("plain", "stopped", 1),
    ]
    row = peer_of(swept)
    assert (row.trial, row.family, row.height, row.split) == (NAME, "squeezenet1_0", 64, "val")
    assert (row.mult_adds, row.params) == PEERS["squeezenet1_0"].count(64, 64, 3)
    assert (row.latency_ms, row.int8_top1) == (None, None)


def test_settings_are_those_of_the_recipe(swept: Swept) -> None:
    """fp32, and a lower rate: SqueezeNet has no batch norm."""
    settings = swept.plan.trials[-1].settings
    assert (settings.peer, settings.network.name) == ("squeezenet1_0", "1-64")
    theirs = swept.plan.trials[0].settings.recipe
    assert settings.recipe == replace(theirs, lr=(theirs.lr or 0) * PEER_LR, precision="fp32")


def test_torchvision_loads_the_weights_and_answers_the_same(swept: Swept, data: Path) -> None:
    """Its own network, on validation images that Pillow decodes and enlarges, has the loss of the best epoch."""
    import torch
    import torchvision
    from PIL import Image
    from safetensors.torch import load_file

    folder, row = swept.folder / "trials" / NAME, peer_of(swept)
    weights = load_file(folder / "weights.safetensors")
    assert digest_of({name: tensor.numpy() for name, tensor in weights.items()}) == row.weights_sha256
    module = torchvision.models.squeezenet1_0(num_classes=3)
    module.load_state_dict(weights)
    module.eval().requires_grad_(False)
    losses = []
    for path in sorted((data / "val").glob("*/*.png")):
        pixels = np.asarray(Image.open(path).resize((64, 64), Image.Resampling.BILINEAR, box=(2, 2, 30, 30)))
        x = torch.from_numpy(normalise(pixels[None], Preprocess(64, 64))).permute(0, 3, 1, 2)
        losses.append(float(torch.nn.functional.cross_entropy(module(x), torch.tensor([int(path.parent.name)]))))
    epochs = history(swept.plan.run(len(swept.plan.trials) - 1, swept.folder))
    best = max(epochs, key=lambda epoch: (epoch["val_top1"], -epoch["val_loss"]))
    assert np.mean(losses) == pytest.approx(best["val_loss"], rel=1e-3)
    assert row.top1 == pytest.approx(best["val_top1"], abs=1e-5)


class Killed(BaseException):
    pass


class Killing(Watch):
    """Ends a run at the second batch of an epoch, of which the first is saved."""

    def __init__(self, epoch: int) -> None:
        self.epoch_of_death = epoch

    def step(self, epoch: int, epochs: int, batch: int, batches: int, speed: float) -> None:
        if (epoch, batch) == (self.epoch_of_death, 2):
            raise Killed


def test_a_killed_peer_goes_on_to_the_same_weights(swept: Swept, tmp_path: Path) -> None:
    """Dropout draws the masks of an uninterrupted run, whatever else was drawn from torch's generator meanwhile."""
    import torch

    plan = replace(swept.plan, trials=swept.plan.trials[-1:], rungs=())
    plan.save(tmp_path)
    for epoch in (0, 1):
        with pytest.raises(Killed):
            run_trial(plan, 0, tmp_path, watch=Killing(epoch), dataset=open_data(plan))
        torch.rand(epoch + 1)
    folder = tmp_path / "trials" / NAME
    assert (folder / "checkpoint.safetensors").is_file() and not (folder / "peer.json").exists()
    state = torch.get_rng_state()
    again = resume_sweep(tmp_path, jobs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert peer_of(again).weights_sha256 == peer_of(swept).weights_sha256 != ""
    assert not (folder / "checkpoint.safetensors").exists()
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert resume_sweep(tmp_path, jobs=1).rows == again.rows
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_a_loss_that_is_not_finite_is_recorded_and_the_others_go_on(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = lambda loop, step, batches: 1e30 if loop.recipe.seed == 0 else 1e-4  # noqa: E731
    monkeypatch.setattr("mobilenets.training.fit._rate", rate)
    first = swept.plan.trials[-1]
    recipe = replace(first.settings.recipe, seed=1, epochs=1)
    second = replace(first, name="second", settings=replace(first.settings, recipe=recipe))
    replace(swept.plan, trials=(first, second), rungs=()).save(tmp_path)
    rows = resume_sweep(tmp_path, jobs=1).rows
    assert [row.state for row in rows] == ["failed", "done"]
    assert rows[0].note.endswith("lower --lr (now 0.0001)")


def test_calibration_reads_the_mobilenets_alone(swept: Swept) -> None:
    assert [point.network.name for point in read_runs([swept.folder])] == [
        row.network for row in swept.rows if (row.variant, row.state) == ("plain", "done")
    ]


def test_train_does_not_resume_a_peer(swept: Swept) -> None:
    folder = swept.folder / "trials" / NAME
    with pytest.raises(UsageError, match=rf"train does not make: sweep --resume {swept.folder}"):
        resume(folder)


def test_a_dry_run_times_peers(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the plan that Python returns."""
    flags = [f"--{name.replace('_', '-')}={RECIPE[name]}" for name in ("epochs", "batch_size", "replicas", "workers")]
    assert (
        main(["sweep", str(data), "--model", "0.25-64", "--peers", *flags, "--device=cpu", "--dry-run", "--json"]) == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert [trial["name"] for trial in printed["trials"]] == ["0.25-64-seed0", NAME]
    assert all(trial["seconds"] > 0 for trial in printed["trials"])
    assert [trial["settings"]["peer"] for trial in printed["trials"]] == [None, "squeezenet1_0"]
    recipe = {name: value for name, value in RECIPE.items() if name not in ("warmup_epochs", "augment", "flip")}
    plan = plan_sweep(data, ["0.25-64"], recipe, peers=True, jobs=1)
    assert [trial.settings for trial in plan.trials] == [trial.settings for trial in _opened(printed, tmp_path).trials]


def _opened(plan: dict[str, Any], folder: Path) -> SweepPlan:
    (folder / PLAN).write_text(json.dumps(plan))
    return SweepPlan.open(folder)


def test_time_counts_all_epochs_of_a_peer(data: Path, swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two networks one trains 1 of 2 epochs: 75 s each of 100; the peer takes 90, and is the first to go."""

    class Timed:
        def __init__(self, peer: bool) -> None:
            self.seconds = 90.0 if peer else 100.0

    monkeypatch.setattr(timing, "plan", lambda dataset, settings, initial: Timed(settings.peer is not None))
    networks = tuple((network, 1) for network in NETWORKS)
    for seconds, left_out in ((241, []), (239, [NAME])):
        wanted = Wanted(networks, Recipe(**RECIPE), None, halving=True, seconds=seconds, jobs=1, peers=True)
        plan = planned(wanted, open_data(swept.plan), Watch())
        assert [one.name for one in plan.left_out] == left_out


def test_what_peers_need_is_said_before_the_data_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="peers need images of at least 63 px, the largest are 48x48"):
        sweep(tmp_path / "nowhere", ["0.5-48"], peers=True, out=tmp_path / "s")
    monkeypatch.setattr("mobilenets.machine.find_spec", lambda name: None if name == "torchvision" else object())
    with pytest.raises(MissingExtraError, match=r"peers need torchvision: pip install 'mobilenets\[train\]'"):
        sweep(tmp_path / "nowhere", ["0.5-64"], peers=True, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()

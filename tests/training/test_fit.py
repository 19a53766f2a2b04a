"""Whole small runs: they learn, repeat, resume to the same bits, stop on signals, and keep their folder in order."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from photos import make_photos

from mobilenets.arch import Network
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, Interrupted, TrainingError, UsageError
from mobilenets.image import Preprocess
from mobilenets.model import Model, load
from mobilenets.progress import Watch
from mobilenets.training import fit as loop
from mobilenets.training.device import resolve
from mobilenets.training.recipe import Recipe
from mobilenets.training.run import Run, Settings
from mobilenets.weights import transfer

RECIPE = Recipe(epochs=4, batch_size=16, device="cpu", replicas=2, workers=2, warmup_epochs=1, ema=0.9)


def start(photos: Path, folder: Path, recipe: Recipe = RECIPE, **network: object) -> Run:
    dataset = open_dataset(photos)
    made = Network(alpha=0.25, height=32, width=32, classes=len(dataset.labels)).replace(**network)
    preprocess = Preprocess(made.height, made.width, made.channels)
    return Run.create(
        folder, Settings(str(photos), made, preprocess, resolve(recipe, 0.25)), dataset.labels, unique=False
    )


def train(photos: Path, folder: Path, recipe: Recipe = RECIPE, watch: Watch | None = None, **network: object) -> Model:
    return loop.fit(open_dataset(photos), start(photos, folder, recipe, **network), watch)


def results(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_learns_and_leaves_a_run_folder(photos: Path, tmp_path: Path) -> None:
    model = train(photos, tmp_path / "run", replace(RECIPE, epochs=20))
    assert model.metrics["val_top1"] > 0.8
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "best.safetensors",
        "checkpoint.safetensors",
        "labels.txt",
        "last.safetensors",
        "results.csv",
        "settings.json",
    }
    assert (tmp_path / "run" / "labels.txt").read_text() == "blue\ngreen\nred\n"
    rows = results(tmp_path / "run")
    assert [int(row["epoch"]) for row in rows] == list(range(1, 21))
    assert load(tmp_path / "run" / "best.safetensors").digest() == model.digest()


def test_the_same_seed_gives_the_same_weights(photos: Path, tmp_path: Path) -> None:
    first, second = train(photos, tmp_path / "a"), train(photos, tmp_path / "b")
    other = train(photos, tmp_path / "c", replace(RECIPE, seed=1))
    assert first.digest() == second.digest() != other.digest()


@pytest.mark.parametrize("opt", ["adamw", *(pytest.param(opt, marks=pytest.mark.slow) for opt in ("sgd", "rmsprop"))])
def test_resumes_within_an_epoch_to_the_same_weights(opt, photos, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    recipe = replace(RECIPE, opt=opt)
    whole = train(photos, tmp_path / "whole", recipe)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    class Kill(Watch):
        def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None:
            if (epoch, batch) == (2, 3):
                raise KeyboardInterrupt  # between a step and its checkpoint, as a kill would come

    run = start(photos, tmp_path / "cut", recipe)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(open_dataset(photos), run, Kill())
    resumed = loop.fit(open_dataset(photos), Run.open(run.path))
    assert resumed.digest() == whole.digest()
    last = [load(tmp_path / name / "last.safetensors").digest() for name in ("whole", "cut")]
    assert last[0] == last[1]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_signals_save_and_leave(number, code, photos, tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Send(Watch):
        def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None:
            if (epoch, batch) == (1, 2):
                os.kill(os.getpid(), number)

    run = start(photos, tmp_path / "run")
    with pytest.raises(Interrupted, match="stopped after 1 of 4 epochs and saved") as stopped:
        loop.fit(open_dataset(photos), run, Send())
    assert stopped.value.exit_code == code
    assert run.checkpoint.is_file()
    assert loop.fit(open_dataset(photos), run).digest() == train(photos, tmp_path / "whole").digest()


@pytest.mark.slow
def test_int8_epochs_resume_to_the_same_integers(photos: Path, tmp_path: Path) -> None:
    """Stopped as the float epochs end, and once more within the int8 ones; the float model is that of a plain run."""

    class Stop(Watch):
        def __init__(self, at: tuple[int, int]) -> None:
            self.at = at

        def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None:
            if (epoch, batch) == self.at:
                os.kill(os.getpid(), signal.SIGINT)

    whole = start(photos, tmp_path / "whole", replace(RECIPE, quantize=True))
    loop.fit(open_dataset(photos), whole)
    cut = start(photos, tmp_path / "cut", replace(RECIPE, quantize=True))
    for at in ((3, 3), (4, 2)):
        with pytest.raises(Interrupted):
            loop.fit(open_dataset(photos), cut, Stop(at))
    loop.fit(open_dataset(photos), cut)
    assert cut.integers.read_bytes() == whole.integers.read_bytes()
    assert cut.best.read_bytes() == whole.best.read_bytes()
    assert load(whole.best).digest() == train(photos, tmp_path / "plain").digest()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills(photos: Path, tmp_path: Path) -> None:
    """SIGKILL a real process at random instants, resume it each time, compare the weights of the end."""
    program = (
        "import sys, mobilenets.training.fit as fit; fit.CHECKPOINT_SECONDS = 0.05; "
        "from mobilenets.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    flags = "--alpha 0.25 --img-size 32 --epochs 16 --batch-size 32 --device cpu --project".split()
    command = [sys.executable, "-c", program, "train"]
    whole = [*command, str(photos), *flags, str(tmp_path), "--name", "whole"]
    started = time.monotonic()
    subprocess.run(whole, check=True, capture_output=True)
    length = time.monotonic() - started
    rng = np.random.default_rng(0)
    cut = [*command, str(photos), *flags, str(tmp_path), "--name", "cut"]
    for _ in range(20):
        process = subprocess.Popen(cut, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(float(rng.uniform(0.3, 1.0) * length))
        process.kill()
        process.wait()
        if (tmp_path / "cut" / "settings.json").exists():
            cut = [*command, "--resume", str(tmp_path / "cut")]
    left = tmp_path / "cut" / ".checkpoint.safetensors.abc_1234"  # as a kill during a write leaves it
    left.write_bytes(b"half")
    subprocess.run(cut, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "cut").iterdir() if path.name.startswith(".")] == []
    for name in ("best", "last"):
        ends = [load(tmp_path / run / f"{name}.safetensors").digest() for run in ("whole", "cut")]
        assert ends[0] == ends[1]


def test_early_stopping(photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=50, patience=2, lr=1e-9)
    train(photos, tmp_path / "run", recipe)
    rows = results(tmp_path / "run")
    best = max(range(len(rows)), key=lambda i: (float(rows[i]["val_top1"]), -float(rows[i]["val_loss"])))
    assert len(rows) == best + 3 < 50
    run = Run.open(tmp_path / "run")
    before = load(run.best).digest()
    assert loop.fit(open_dataset(photos), run).digest() == before and results(run.path) == rows


@pytest.mark.parametrize("balance", ["sample", pytest.param("loss", marks=pytest.mark.slow)])
def test_runs_balanced(balance, photos, tmp_path) -> None:  # type: ignore[no-untyped-def]
    plain = train(photos, tmp_path / "plain", replace(RECIPE, epochs=1))
    even = train(photos, tmp_path / "even", replace(RECIPE, epochs=1, balance=balance))
    assert (even.digest() == plain.digest()) == (balance == "loss")  # equal classes: nothing to weigh


def test_grey_and_odd_sizes(photos: Path, tmp_path: Path) -> None:
    model = train(photos, tmp_path / "run", replace(RECIPE, epochs=1), channels=1, height=32, width=45)
    assert model.weights["conv0.weight"].shape[1] == 1


def test_folders_are_never_overwritten(photos: Path, tmp_path: Path) -> None:
    run = start(photos, tmp_path / "run")
    with pytest.raises(UsageError, match="exists"):
        start(photos, tmp_path / "run")
    second = Run.create(tmp_path / "run", run.settings, ("a",), unique=True)
    third = Run.create(tmp_path / "run", run.settings, ("a",), unique=True)
    assert [second.path.name, third.path.name] == ["run-2", "run-3"]


def test_what_cannot_be_resumed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run to resume"):
        Run.open(tmp_path)
    run = start(photos, tmp_path / "run")
    run.checkpoint.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="cannot be resumed"):
        loop.fit(open_dataset(photos), run)
    (run.path / "settings.json").write_text("{}")
    with pytest.raises(TrainingError, match="cannot be read"):
        Run.open(run.path)


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_a_run_is_trained_by_one_process_at_a_time(photos: Path, tmp_path: Path) -> None:
    run = start(photos, tmp_path / "run", replace(RECIPE, epochs=1))
    code = "import sys; from mobilenets.verbs.resume import resume; resume(sys.argv[1])"
    with run.held():
        with pytest.raises(TrainingError, match=r"run: another process trains it now$"):
            loop.fit(open_dataset(photos), run)
        other = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
    assert "another process trains it now" in other.stderr.splitlines()[-1]
    loop.fit(open_dataset(photos), run)


def test_resuming_on_other_data_is_refused(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    run = start(photos, tmp_path / "run", replace(RECIPE, epochs=1))
    loop.fit(open_dataset(photos), run)
    (photos / "train" / "red" / "0.jpg").unlink()
    with pytest.raises(TrainingError, match="other data"):
        loop.fit(open_dataset(photos), run)


def test_bad_images_are_named_and_bounded(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    (photos / "train" / "red" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        train(photos, tmp_path / "strict", replace(RECIPE, epochs=1))

    lines: list[str] = []

    class Notes(Watch):
        def note(self, text: str) -> None:
            lines.append(text)

    train(photos, tmp_path / "lenient", replace(RECIPE, epochs=1, max_bad=0.05), Notes())
    assert any("broken.jpg" in line for line in lines)


def test_a_class_of_which_nothing_decodes_is_named(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    for path in sorted((photos / "train" / "red").iterdir()):
        path.write_bytes(f"broken {path.name}".encode())
    with pytest.raises(DataError, match="no training image of red could be decoded"):
        train(photos, tmp_path / "run", replace(RECIPE, max_bad=0.5))


def test_a_loss_that_is_not_finite_ends_the_run(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower --lr"):
        train(photos, tmp_path / "run", replace(RECIPE, opt="sgd", lr=100.0, epochs=20, warmup_epochs=0))


def test_fine_tuning_starts_from_the_trained_network(photos: Path, tmp_path: Path, random_model: MakeModel) -> None:
    """Hardly trained, it has its filters and knows no class; killed before a checkpoint, it starts the same."""
    dataset = open_dataset(photos)
    network = Network(alpha=0.25, height=32, width=32, classes=3, padding="same")
    initial = transfer(random_model(network), network, dataset.labels).model
    for name in ("a", "b"):
        recipe = resolve(replace(RECIPE, epochs=1, lr=1e-9), 0.25, tuned_on=12)
        run = Run.create(
            tmp_path / name,
            Settings(str(photos), network, initial.preprocess, recipe, pretrained="a file"),
            dataset.labels,
            unique=False,
        )
        initial.save(run.initial)
        loop.fit(dataset, Run.open(tmp_path / name))
    assert load(tmp_path / "a" / "last.safetensors").digest() == load(tmp_path / "b" / "last.safetensors").digest()
    last = load(tmp_path / "a" / "last.safetensors")
    for name in ("conv0.weight", "dw5.weight", "pw13.weight"):
        np.testing.assert_allclose(last.weights[name], initial.weights[name], atol=1e-5)
    assert float(np.abs(last.weights["fc.weight"]).max()) < 1e-3

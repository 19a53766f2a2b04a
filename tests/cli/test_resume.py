"""Runs that are resumed from elsewhere, with data that have moved, for more epochs; and checks that come first."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from photos import make_photos

from mobilenets.cli import main

FLAGS = "--alpha 0.1 --img-size 32 --batch-size 16 --device cpu --epochs 2".split()


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose command named all its paths as they are seen from `tmp_path`."""
    make_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "photos", *FLAGS, "--name", "run"]) == 0
    return tmp_path / "runs" / "run"


def epochs(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def data_of(run: Path) -> str:
    settings: dict[str, str] = json.loads((run / "settings.json").read_text())
    return settings["data"]


def test_from_another_folder_where_it_says_that_it_has_finished(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert data_of(finished) == str(tmp_path / "photos")
    assert main(["train", "--resume", str(finished)]) == 0
    assert f"{finished} has finished; to extend it: --resume {finished} --epochs N, above 2" in capsys.readouterr().err
    assert len(epochs(finished)) == 2


def test_data_that_have_moved(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    assert main(["train", "--resume", str(finished)]) == 1
    assert f"{tmp_path / 'photos'}: the data of {finished} are not there" in capsys.readouterr().err
    assert main(["train", "moved", "--resume", str(finished)]) == 0
    assert main(["train", "--resume", str(finished)]) == 0  # the place is kept
    shutil.rmtree(tmp_path / "moved" / "train" / "red")
    before = (finished / "settings.json").read_bytes()
    other = make_photos(tmp_path / "other")
    next((other / "train" / "red").iterdir()).unlink()
    capsys.readouterr()
    assert main(["train", str(other), "--resume", str(finished)]) == 1
    assert "was trained on other data" in capsys.readouterr().err
    assert (finished / "settings.json").read_bytes() == before


def test_more_epochs(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = epochs(finished)
    assert main(["train", "--resume", str(finished), "--epochs", "1"]) == 2
    assert "epochs (=1):" in (err := capsys.readouterr().err) and "has done 2 already" in err
    assert main(["train", "--resume", str(finished), "--epochs", "4"]) == 0
    rows = epochs(finished)
    assert rows[:2] == first and [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[2]["lr"]) > float(rows[3]["lr"])
    assert main(["train", "--resume", str(finished)]) == 0  # the number is kept
    assert len(epochs(finished)) == 4


@pytest.mark.parametrize("flags", [("--name", "other"), ("--project", "elsewhere"), ("--pretrained", "imagenet")])
def test_flags_of_a_new_run(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "runs/run", *flags]) == 2
    assert "--resume" in (err := capsys.readouterr().err) and err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--device cuda:77", "'cuda:77' is not available"),
        ("--project taken/runs", "taken is no folder"),
        ("--warmup-epochs 10 --epochs 3", "--warmup-epochs (=10) must be at most the 3 epochs"),
        ("--freeze --pretrained none.h5 --epochs 5 --lr 0.1", "leave out --epochs (=5), --lr (=0.1)"),
        ("--freeze", "--freeze (=True) needs a pretrained network"),
        ("--pretrained imagenett", "no published network is named 'imagenett'"),
        ("--epochs 1.5", "'1.5' is not a whole number"),
        ("--batch-size 64.0", "'64.0' is not a whole number"),
        ("--lr much", "--lr: 'much' is not a number"),
    ],
)
def test_what_is_checked_before_the_data_are_read(
    flags: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("")
    assert main(["train", "nowhere", *flags.split()]) == 2
    assert message in (err := capsys.readouterr().err) and err.count("\n") == 1


@pytest.mark.parametrize("threads", ["0", "9999", "-1"])
def test_threads_of_a_design(threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["design", "--max-mult-adds", "10M", "--threads", threads]) == 2
    assert f"threads (={threads}) must be from 1 to" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_trained_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_photos(tmp_path / "data")
    flags = "--alpha 0.25 --img-size 64 --batch-size 8 --device cpu --epochs 7".split()
    assert main(["train", str(data), *flags, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["network"], told["task"], told["epochs"], told["pretrained"]) == ("0.25-64", "classify", 7, None)
    images = {split: len(list((data / split).rglob("*.jpg"))) for split in ("train", "val")}
    assert told["images"] == images and told["recipe"]["replicas"] > 0
    assert told["seconds"] > 7 * images["train"] / told["images_per_second"] > 0
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "data")
    assert main(["train", "data", *FLAGS, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "0.1-32 from scratch" in out and "2 epochs at" in out and "nothing was kept" in out
    assert main(["train", "--resume", "runs/run", "--dry-run"]) == 2

"""Logs of runs, read back by the libraries' own readers; nothing leaves the machine."""

import importlib.util
import json
import struct
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small import make_squares, small_run

from mobilenets.cli import main
from mobilenets.data.sources import open_dataset
from mobilenets.errors import MissingExtraError, TrainingError, UsageError
from mobilenets.progress import Watch
from mobilenets.training import fit as loop
from mobilenets.training.logs import Logged, check_log, logged
from mobilenets.training.run import Run

Figures = dict[str, dict[int, float]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", train=4, val=2)


@pytest.fixture(autouse=True)
def of_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Their warnings are none of ours; they stay on this machine."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes seconds to make
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Kill(Watch):
    """Ends the training once two epochs are done."""

    def epoch(self, row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt


def rows_of(run: Run) -> Figures:
    """What `results.csv` says of each epoch."""
    head, *rows = [line.split(",") for line in (run.path / "results.csv").read_text().splitlines()]
    return {name: {int(row[0]): float(row[at]) for row in rows} for at, name in enumerate(head) if name != "epoch"}


def trained(data: Path, folder: Path, log: str, monkeypatch: pytest.MonkeyPatch, forgets: bool = False) -> Run:
    """A run that is killed after its second epoch, before a checkpoint of it, and goes on.

    It `forgets` that it has logged its first epoch, as if it had been killed just then.
    """
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 1e9)
    run = small_run(data, folder / "run", batch_size=4)
    run = replace(run, settings=replace(run.settings, log=log))
    for watch in (Kill(), Watch()):
        if forgets and (kept := run.path / "log.json").is_file():
            kept.write_text(kept.read_text().replace('"epoch": 1', '"epoch": 0'))
        with suppress(KeyboardInterrupt), logged(run, watch) as log_:
            assert log_
            loop.fit(open_dataset(data), run, log_)
            log_.end({"top1": 0.5, "note": "no number", "loss": float("nan")}, {"report": "report.html"})
    return run


def same(found: Figures, run: Run) -> None:
    """Each epoch once, with the figures of `results.csv`; times are those of the first of two."""
    expected = rows_of(run)
    assert set(found) == set(expected)
    for name in ("lr", "train_loss", "val_loss", "val_top1"):
        assert found[name] == {at: pytest.approx(value, rel=1e-4) for at, value in expected[name].items()}
        assert list(found[name]) == [1, 2, 3]


def test_tensorboard_has_each_epoch_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = trained(data, tmp_path, "tensorboard", monkeypatch, forgets=True)
    kept = events.EventAccumulator(str(run.path / "tensorboard")).Reload()
    names = kept.Tags()["scalars"]
    found = {name: [(event.step, event.value) for event in kept.Scalars(name)] for name in names}
    assert found.pop("final/top1") == [(0, 0.5)]
    assert all(len(points) == len(dict(points)) for points in found.values())
    same({name: dict(points) for name, points in found.items()}, run)
    assert {"settings/text_summary", "report/text_summary"} <= set(kept.Tags()["tensors"])


def test_mlflow_has_one_run_with_each_epoch_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "squares")
    run = trained(data, tmp_path, "mlflow", monkeypatch)
    client = mlflow.MlflowClient()
    (kept,) = client.search_runs([client.get_experiment_by_name("squares").experiment_id])
    assert (kept.info.run_name, kept.info.status, kept.data.tags["report"]) == ("run", "FINISHED", "report.html")
    assert kept.data.params["recipe.batch_size"] == "4" and kept.data.metrics.pop("final/top1") == 0.5
    histories = {name: client.get_metric_history(kept.info.run_id, name) for name in kept.data.metrics}
    assert all(len(history) == 3 for history in histories.values())
    same({name: {metric.step: metric.value for metric in history} for name, history in histories.items()}, run)


def records(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: a log of LevelDB behind 7 bytes of its own, in blocks of 32 KB.

    Each piece has a checksum (4 bytes), its length (2) and its kind (1: whole, 2: first, 3: middle, 4: last).
    """
    at, block, record = 7, 1 << 15, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # no room for the head of a piece: zeros
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        record = (record if kind in (3, 4) else b"") + content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record


def ended(folder: Path) -> list[Any]:
    """Return the records of wandb's files once each run has its end: another process writes them, and may be late."""
    from wandb.proto.wandb_internal_pb2 import Record

    for _ in range(600):
        files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
        found = [[Record.FromString(one) for one in records(file.read_bytes())] for file in files]
        if all(any(record.HasField("exit") for record in one) for one in found):
            return [record for one in found for record in one]
        time.sleep(0.1)
    raise AssertionError("a run of wandb has no end")


def test_wandb_has_one_run_with_each_epoch_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline each start writes a file; all have the run's id, and `wandb sync` joins them."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run = trained(data, tmp_path, "wandb", monkeypatch)
    found: Figures = {}
    ids, summary = set(), {}
    for record in ended(tmp_path):
        if record.HasField("run"):
            ids.add(record.run.run_id)
        items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for name in [name for name in items if not name.startswith("_")]:
            assert items["_step"] not in found.setdefault(name, {})
            found[name][items["_step"]] = items[name]
        summary |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update}
    assert len(ids) == 1 and summary["final/top1"] == 0.5 and summary["report"] == "report.html"
    same(found, run)


def test_a_log_that_fails_does_not_end_the_training(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run, notes = small_run(data, tmp_path / "run"), []

    class Notes(Watch):
        def note(self, text: str) -> None:
            notes.append(text)

    log = Logged(replace(run, settings=replace(run.settings, log="tensorboard")), Notes())
    log.close(failed=False)

    def fail(*_: object) -> None:
        raise OSError("no space")

    log._log.epoch = fail  # type: ignore[method-assign]
    log.epoch({"epoch": 1, "val_loss": 0.5})
    assert notes == ["log (=tensorboard): OSError: no space"]


def test_a_library_that_is_missing_is_named_before_the_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("mobilenets.training.logs.find_spec", lambda name: None if name == "wandb" else find(name))
    with pytest.raises(MissingExtraError, match=r"mobilenets\[wandb\]"):
        check_log("wandb")
    assert main(["train", str(tmp_path / "nowhere"), "--alpha", "0.25", "--log", "wandb"]) == 1
    assert "--log (=wandb) needs wandb: pip install 'mobilenets[wandb]'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="log \\(='paper'\\) must be one of tensorboard, mlflow, wandb"):
        check_log("paper")


def test_a_log_that_cannot_start_is_an_error(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    run = small_run(data, tmp_path / "run")
    with pytest.raises(TrainingError, match=r"log \(=mlflow\) cannot be started"):
        Logged(replace(run, settings=replace(run.settings, log="mlflow")), Watch())
    run.discard_if_empty()
    assert not run.path.exists()

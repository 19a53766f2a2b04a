"""Calibration points from the model files that training writes."""

from pathlib import Path

import numpy as np
import pytest

from mobilenets.arch import Network, expand
from mobilenets.arch.graph import weight_shapes
from mobilenets.designs import MeasuredPoint, read_runs
from mobilenets.errors import ModelFileError
from mobilenets.image import Preprocess
from mobilenets.model import Model

NETWORK = Network(alpha=0.1, height=32, width=32, classes=3)


def save(path: Path, metrics: dict[str, object]) -> Path:
    shapes = weight_shapes(expand(NETWORK))
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    return Model(NETWORK, weights, Preprocess(32, 32), ("a", "b", "c"), metrics=metrics).save(path)


def test_a_run_folder_and_a_model_file(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    save(run / "best.safetensors", {"top1": 0.75})
    file = save(tmp_path / "other.safetensors", {"top1": 1})
    assert read_runs([run, str(file)]) == [
        MeasuredPoint(NETWORK, 75.0, str(run)),
        MeasuredPoint(NETWORK, 100.0, str(file)),
    ]


def test_a_sweep_gives_its_finished_trials(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").touch()
    with pytest.raises(ModelFileError, match="no trial of this sweep is finished"):
        read_runs([tmp_path])
    for name, top1 in (("a", 0.5), ("b", 0.6), ("running", 0.1)):
        trial = tmp_path / "trials" / name
        trial.mkdir(parents=True)
        save(trial / "best.safetensors", {"top1": top1})
        if name != "running":
            (trial / "report.html").touch()
    assert [point.top1 for point in read_runs([tmp_path])] == [50.0, 60.0]


def test_what_cannot_calibrate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model file; a run folder holds best"):
        read_runs([tmp_path])
    with pytest.raises(ModelFileError, match="lacks 'top1', which calibration needs"):
        read_runs([save(tmp_path / "a.safetensors", {})])
    with pytest.raises(ModelFileError, match=r"top1 \(=75\) must be a fraction from 0 to 1"):
        read_runs([save(tmp_path / "b.safetensors", {"top1": 75})])
    (tmp_path / "c.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match=r"c\.safetensors: "):
        read_runs([tmp_path / "c.safetensors"])

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

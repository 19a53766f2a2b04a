"""`train --pretrained` of files that say little, and how images are fitted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_peer import Listed, randomise

from mobilenets.cli import main
from mobilenets.model import load


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(6):
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return tmp_path / "photos"


def train(photos: Path, *flags: str) -> list[str]:
    run = ["--epochs", "1", "--batch-size", "4", "--project", str(photos.parent / "runs"), "--name", "r", "--json"]
    return ["train", str(photos), "--img-size", "32", *run, *flags]


def test_a_body_that_says_nothing_of_itself(photos: Path, tmp_path: Path) -> None:
    """What its file does not say, the flags of train do."""
    torch.save(randomise(Listed()).model.state_dict(), tmp_path / "body.pt")
    flags = ["--pretrained", str(tmp_path / "body.pt"), "--mean", "0", "--std", "255", "--activation", "relu6"]
    assert main(train(photos, *flags, "--fit", "letterbox", "--resize", "nearest")) == 0
    model = load(tmp_path / "runs" / "r")
    p = model.preprocess
    assert (p.height, p.mean, p.std, p.fit, p.resize) == (32, 0.0, 255.0, "letterbox", "nearest")
    assert (model.network.activation, model.network.output, model.labels) == ("relu6", "softmax", ("cat", "dog"))
    settings = json.loads((tmp_path / "runs" / "r" / "settings.json").read_text())
    assert settings["preprocess"]["fit"] == "letterbox"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fit", "letterbox", "--crop", "0.9"], "--crop 0.9: --fit letterbox shows all of the image"),
        (["--mean", "1"], "--mean and --std: give both or neither"),
        (["--task", "detect", "--fit", "crop"], "task detect needs --fit stretch, which shows all of each image"),
    ],
)
def test_flags_that_contradict(
    photos: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main([flag for flag in train(photos, *flags) if flag != "--json"]) == 2
    assert message in capsys.readouterr().err

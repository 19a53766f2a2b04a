"""`train` without a network: what it starts from, and what it says of that."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import MakeModel

from mobilenets.arch import Network
from mobilenets.cli import main

FLAGS = "--epochs 1 --batch-size 16 --device cpu".split()


def test_a_network_at_hand_is_fine_tuned(
    photos: Path, random_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    start = random_model(Network(alpha=0.1, height=32, width=32, classes=5)).save(tmp_path / "start.safetensors")
    monkeypatch.setattr("mobilenets.weights.at_hand", lambda *_: SimpleNamespace(name=str(start)))
    assert main(["train", str(photos), *FLAGS, "--project", str(tmp_path), "--name", "tuned"]) == 0
    err = capsys.readouterr().err
    assert f"fine-tunes {start}, which is on this machine; from scratch: --pretrained none" in err
    assert "trained from scratch" not in err and (tmp_path / "tuned" / "initial.safetensors").is_file()
    flags = ["--alpha", "0.1", "--img-size", "32", "--project", str(tmp_path), "--name", "none"]
    assert main(["train", str(photos), *FLAGS, *flags, "--pretrained", "none"]) == 0
    err = capsys.readouterr().err
    assert "fine-tunes" not in err and "trained from scratch; with --pretrained imagenet" in err
    assert not (tmp_path / "none" / "initial.safetensors").exists()

"""Trained networks by the command line: import, evaluate and predict as they are, fine-tune, export back."""

import json
from pathlib import Path

import pytest
import torch
from conftest import MakeModel

from mobilenets.arch import Network
from mobilenets.cli import main
from mobilenets.exporters import write
from mobilenets.model import load

NETWORK = Network(alpha=0.25, height=32, width=32, classes=3, activation="relu6")
TRAIN = "--epochs 1 --batch-size 16 --device cpu --workers 2".split()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, random_model: MakeModel) -> Path:
    """One network in three formats, none of them ours."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(NETWORK)
    for format, name in (("keras-h5", "k.h5"), ("timm", "t.safetensors"), ("torch", "p.pt")):
        (folder / name).write_bytes(write(model, format))
    torch.save(torch.load(folder / "p.pt"), folder / "p.pt")  # the tensors alone, as another program has them
    (folder / "labels.txt").write_text("blue\ngreen\nred\n")
    return folder


SAID = "--img-size 32 --activation relu6 --mean 127.5 --std 127.5".split()


def test_import_says_what_it_found_and_writes_a_model(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], random_model: MakeModel
) -> None:
    out = tmp_path / "m.safetensors"
    code, text, _ = run(capsys, "import", files / "p.pt", *SAID, "--labels", files / "labels.txt", "--output", out)
    assert code == 0 and "alpha" in text and "the widths" in text and "you" in text and str(out) in text
    model = load(out)
    assert model.network == NETWORK and model.labels == ("blue", "green", "red")
    code, text, _ = run(capsys, "import", files / "k.h5", "--output", out, "--overwrite", "--json")
    values = json.loads(text)
    assert {"name": "alpha", "value": "0.25", "source": "the widths"} in values["facts"]
    assert values["name"] == "0.25-32" and values["model"] == str(out)


def test_what_a_file_does_not_say_is_asked_for_at_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "import", files / "p.pt")
    assert code == 2 and len(err.splitlines()) == 1
    assert all(flag in err for flag in ("--img-size", "--activation", "--mean 127.5 --std 127.5"))


def test_import_overwrites_nothing_unasked(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (files / "t.safetensors").read_bytes()
    code, _, err = run(capsys, "import", files / "t.safetensors")
    assert code == 2 and "exists: choose another --output, or use --overwrite" in err
    assert (files / "t.safetensors").read_bytes() == before


@pytest.mark.parametrize("extra", [(), pytest.param(("--freeze",), marks=pytest.mark.slow)])
def test_fine_tuning_a_foreign_file(
    extra: tuple[str, ...], files: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrained = ("--pretrained", files / "k.h5")
    flags = extra or TRAIN
    code, out, err = run(capsys, "train", photos, *pretrained, *flags, "--project", tmp_path, "--name", "r")
    assert code == 0, err
    assert "pretrained: " in err and "all 1496 channels kept" in err and "0.25-32" in out
    assert load(tmp_path / "r" / "best.safetensors").network == NETWORK


def test_flags_say_alpha_and_size(
    files: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrained = ("--pretrained", files / "t.safetensors", "--alpha", 0.2, "--img-size", "40x48")
    code, _, err = run(capsys, "train", photos, *pretrained, *TRAIN, "--project", tmp_path, "--name", "r")
    assert code == 0, err
    assert "channels kept, the most important ones" in err
    assert load(tmp_path / "r" / "best.safetensors").network == NETWORK.replace(alpha=0.2, height=40, width=48)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train photos --freeze", 2, "--freeze (=True) needs a pretrained network"),
        ("train photos --pretrained k.h5 --grey", 2, "only --alpha and --img-size"),
        ("train photos --pretrained k.h5 --shallow", 2, "only --alpha and --img-size"),
        ("train photos --pretrained k.h5 --conv full", 2, "only --alpha and --img-size"),
        ("import k.h5 --output k.bin", 2, "k.bin: the name must end in .safetensors"),
        ("predict p.pt photos", 2, "flags of mobilenets import"),
        ("train photos --pretrained nothing.tflite", 1, "nothing.tflite: no such file"),
        ("train photos --pretrained keras/0.3-128", 2, "no published network is named 'keras/0.3-128'"),
        ("import", 2, "FILES is missing"),
        ("import nothing.h5", 1, "nothing.h5: no such file"),
        ("import photo.jpg", 2, "trained networks are read from .tflite, .h5"),
        ("import k.h5 --mean 0", 2, "--mean and --std: give both or neither"),
        ("import k.h5 --labels nothing.txt", 1, "nothing.txt"),
        ("export k.h5 --format caffe", 2, "caffe"),
        ("evaluate nothing.tflite photos", 1, "nothing.tflite: no such file"),
    ],
)
def test_errors_are_one_line(
    arguments: str,
    code: int,
    message: str,
    photos: Path,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "k.h5").symlink_to(files / "k.h5")
    (tmp_path / "p.pt").symlink_to(files / "p.pt")
    (tmp_path / "photo.jpg").write_bytes(b"")
    found, out, err = run(capsys, *arguments.split())
    assert found == code and message in err and out == ""
    assert sum(line.startswith("mobilenets: ") for line in err.splitlines()) <= 1


def test_every_verb_takes_a_foreign_file(files: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "describe", files / "k.h5", "--json")
    assert code == 0 and json.loads(out)["labels"] == ["class 0", "class 1", "class 2"]
    for name in ("k.h5", "t.safetensors"):
        code, out, _ = run(capsys, "predict", files / name, photos / "val" / "red", "--top", 1)
        assert code == 0 and len(out.splitlines()) == 8
    code, _, err = run(capsys, "evaluate", files / "k.h5", photos)
    assert code == 1 and "the model does not have the labels blue, green, red" in err


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
@pytest.mark.parametrize("format", ["onnx", "keras-h5", "timm", "torch"])
def test_export_is_read_back(
    format: str, epsilon: float, tmp_path: Path, random_model: MakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    network = NETWORK.replace(epsilon=epsilon)
    source = random_model(network).save(tmp_path / "m.safetensors")
    code, out, err = run(capsys, "export", source, "--format", format, "--json")
    assert code == 0, err
    values = json.loads(out)
    assert values["format"] == format and values["difference"] < 1e-4
    assert Path(values["path"]).stat().st_size == values["bytes"] and load(source).network == network


def test_a_run_whose_start_is_gone_is_not_resumed(
    files: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From random weights it would reach something else."""
    pretrained = ("--pretrained", files / "k.h5")
    assert run(capsys, "train", photos, *pretrained, *TRAIN, "--project", tmp_path, "--name", "r")[0] == 0
    half = tmp_path / "half"
    half.mkdir()
    (half / "settings.json").write_bytes((tmp_path / "r" / "settings.json").read_bytes())
    code, _, err = run(capsys, "train", "--resume", half)
    assert code == 1 and "initial.safetensors is gone" in err

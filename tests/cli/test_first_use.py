"""What a new user does wrong or reads first: each verb says where it wrote, mistakes are answered with a cure."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from PIL import Image
from test_cli import run

from mobilenets.arch import Network
from mobilenets.cli import main
from mobilenets.image import decode
from mobilenets.tasks.evaluation import wilson
from mobilenets.tasks.result import figure_name

NETWORK = Network(alpha=0.25, height=32, width=32, classes=3)
VERBS = (
    *("describe", "design", "train", "evaluate", "predict", "search", "import", "quantize", "export", "compile"),
    *("benchmark", "demo"),
)
TRAIN = "--alpha 0.25 --img-size 32 --batch-size 16 --device cpu --epochs 1".split()


@pytest.fixture
def model(random_model: MakeModel, tmp_path: Path) -> Path:
    return random_model(NETWORK).save(tmp_path / "model.safetensors")


@pytest.fixture
def photo(photos: Path) -> Path:
    return next(photos.rglob("*.jpg"))


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    assert main(["train", str(photos), *TRAIN, "--project", str(folder), "--name", "run"]) == 0
    return folder / "run"


def test_every_verb_that_writes_says_where(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    timm = tmp_path / "timm.safetensors"
    said = {
        tmp_path / "page.html": ("evaluate", trained, photos, "--report", tmp_path / "page.html", "--runtime", "onnx"),
        timm: ("export", trained, "--format", "timm", "--output", timm),
        tmp_path / "mine.safetensors": (
            *("import", timm, "--output", tmp_path / "mine.safetensors"),
            *("--img-size", 32, "--mean", 127.5, "--std", 127.5),
        ),
        tmp_path / "int8.safetensors": (
            *("quantize", trained, "--data", photos, "--images", 20, "--rule", "minmax"),
            *("--output", tmp_path / "int8.safetensors"),
        ),
    }
    for path, command in said.items():
        code, out, err = run(capsys, *command)
        assert code == 0 and path.is_file(), err
        assert [line for line in out.splitlines() if line.startswith(f"wrote {path}")], (command, out)


def test_pictures_are_counted(model: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    images = sorted(photos.rglob("*.jpg"))[:3]
    code, out, err = run(capsys, "predict", model, *images, "--pictures", tmp_path / "out")
    assert code == 0 and len(out.splitlines()) == 3
    assert err == f"wrote {tmp_path / 'out'}  3 pictures\n"


def test_a_map_has_a_legend(model: Path, photo: Path, tmp_path: Path) -> None:
    command = ["predict", str(model), str(photo), "--top", "1", "--pictures"]
    assert main([*command, str(tmp_path / "plain")]) == 0
    assert main([*command, str(tmp_path / "maps"), "--explain"]) == 0
    paths = [photo, tmp_path / "plain" / photo.name, tmp_path / "maps" / photo.name]
    before, plain, maps = (np.asarray(decode(path.read_bytes())) for path in paths)
    assert len(maps) > len(plain) > len(before)
    strip = maps[len(before) + 6]
    assert strip[2, 2] > 100 > strip[2, 0] and strip[-3, 0] > 200 > strip[-3, 2]  # blue on the left, red on the right


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_arguments_the_other_way_round(verb: str, model: Path, photo: Path, photos: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for data in (photo, photos):
        for name in (model, "coral/0.25-128"):
            code, out, err = run(capsys, verb, data, name)
            assert (code, out) == (2, "")
            assert err == (
                f"mobilenets: the arguments are the other way round: {name} is a model and comes first, then {data}\n"
            )


def test_a_checkpoint_is_no_model(trained: Path, photo: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["predict", str(trained / "checkpoint.safetensors"), str(photo)]) == 1
    wanted = "checkpoint.safetensors: a training checkpoint; the model is the run folder, or best.safetensors in it\n"
    assert capsys.readouterr().err.endswith(wanted)


def test_a_format_given_as_the_output_is_named(trained: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["export", str(trained), "--output", "tflite"]) == 2
    assert "output tflite is the name of a format: give it as format (--format tflite)" in capsys.readouterr().err


def test_a_run_folder_is_a_model(trained: Path, photo: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert "other way round" in run(capsys, "predict", photo, trained)[2]
    assert "other way round" not in run(capsys, "predict", trained, trained)[2]


@pytest.mark.parametrize("joined", [False, True])
def test_a_flag_without_a_value_is_given_one(joined: bool, model: Path, photos: Path, photo: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for flag, *command in (
        ("--csv", "predict", model, photo),
        ("--json", "predict", model, photo),
        ("--json", "evaluate", model, photos),
        ("--flip", "train", photos),
        ("--grey", "describe", "0.25-96"),
    ):
        given = [f"{flag}=out.csv"] if joined else [flag, "out.csv"]
        code, _, err = run(capsys, *command, *given)
        assert code == 2, (command, err)
        assert err.startswith(f"mobilenets: {flag} takes no value (='out.csv')") and err.count("\n") == 1
        assert ("> out.csv keeps what is printed" in err) == (flag in ("--csv", "--json"))


def test_images_after_a_flag_are_images(model: Path, photo: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(capsys, "predict", model, "--csv", photo)
    assert code == 0 and len(out.splitlines()) == 4


def test_devices_are_those_that_are_documented(photos: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for name in ("gpu", "vulkan", "cuda:", "cpu:0"):
        code, _, err = run(capsys, "train", photos, "--device", name)
        assert (code, err) == (2, f"mobilenets: --device (={name!r}) must be auto, cpu, cuda, cuda:N or mps\n")


def test_labels_are_a_file(model: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for names in (["cat,dog"], ["cat", "dog"]):
        code, _, err = run(capsys, "import", model, "--labels", *names)
        assert code == 1 and err == (
            f"mobilenets: --labels {names[0]}: no such file: it takes a text file with the name of one class per line, "
            "not the names\n"
        )


@pytest.mark.parametrize(("channels", "mode"), [(1, "RGB"), (3, "L"), (3, "RGB"), (1, "L")])
def test_colours_that_fine_tuning_cannot_see_are_told(
    channels: int, mode: str, random_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in range(12):
        path = tmp_path / "photos" / "ab"[at % 2] / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (20 * at, 200, 90)).convert(mode).save(path)
    start = random_model(NETWORK.replace(channels=channels)).save(tmp_path / "start.safetensors")
    flags = ["--pretrained", start, "--device", "cpu", "--dry-run"]
    code, _, err = run(capsys, "train", tmp_path / "photos", *flags)
    assert code == 0, err
    assert ("they are converted to grey" in err) == (channels == 1 and mode == "RGB")
    assert ("grey is repeated in all three" in err) == (channels == 3 and mode == "L")


def test_few_images_are_said_to_be_few(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for label in ("blue", "green", "red"):
        (tmp_path / "val" / label).mkdir(parents=True)
    (tmp_path / "val/red/0.jpg").write_bytes((photos / "val/red/0.jpg").read_bytes())
    (tmp_path / "train").symlink_to(photos / "train", target_is_directory=True)
    low = wilson(1, 1)[0]
    said = f"val has 1 image: a rate of 100% on so few may be {low:.0%} on others (95% interval)\n"
    assert said in run(capsys, "evaluate", trained, tmp_path, "--runtime", "onnx")[2]
    code, _, err = run(capsys, "train", tmp_path, *TRAIN, "--project", tmp_path / "runs")
    assert code == 0 and said in err and "train has" not in err
    assert "may be" not in run(capsys, "evaluate", trained, photos, "--split", "all", "--runtime", "onnx")[2]


def test_a_folder_without_images_is_named(model: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    code, out, err = run(capsys, "predict", model, tmp_path / "empty", "--json")
    assert code == 1 and err == f"mobilenets: {tmp_path / 'empty'}: holds no image file\n"
    assert json.loads(out) == {
        "predictions": [],
        "error": {"type": "DataError", "message": f"{tmp_path / 'empty'}: holds no image file"},
    }


@pytest.mark.parametrize("verb", VERBS)
def test_help_breaks_lines_at_the_border_alone(verb: str, capsys, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    panel = [line[2:-2] for line in out.splitlines() if line.startswith("\N{BOX DRAWINGS LIGHT VERTICAL}")]
    for line, below in pairwise(panel):
        at = len(below) - len(below.lstrip())
        if at > 12 and line[at - 2 : at].isspace():  # goes on below, in the column of what flags mean
            assert len(line.rstrip()) + 1 + len(below.split()[0]) > len(line), (line, below)
    assert "(1, 8, 32)" not in out


def test_a_bound_without_a_unit_says_which_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    helped = " ".join(run(capsys, "design", "--help")[1].replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "").split())
    assert helped.count("a number alone is bytes") == 2 and helped.count("a number alone is ms") == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mobilenets.verbs.design.search", lambda *_, **__: pytest.fail("was reached"))
        with pytest.raises(pytest.fail.Exception, match="was reached"):
            main(["design", "--max-latency", "2"])
    assert "looking for at most 2 ms an image, measured on 1 thread: " in capsys.readouterr().err


@pytest.mark.parametrize("seen", ["mobilenets.cli.app", "mobilenets.errors", "mobilenets.verbs.predict"])
def test_ctrl_c_while_python_is_loading(seen: str, model: Path, photo: Path) -> None:
    """Ctrl-C as a module is imported: of the command line, of the package and of the verb."""
    program = f"""
import builtins, os, signal, sys
plain = builtins.__import__
def interrupted(name, *rest, **named):
    if "{seen}" in sys.modules:
        builtins.__import__ = plain
        os.kill(os.getpid(), signal.SIGINT)
    return plain(name, *rest, **named)
builtins.__import__ = interrupted
sys.argv[0] = "mobilenets"
from mobilenets.__main__ import main
sys.exit(main())"""
    command = [sys.executable, "-c", program, "predict", str(model), str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mobilenets: interrupted\n")


def test_figures_are_named_as_people_write_them(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    out = run(capsys, "describe", trained)[1]
    assert "top-1 " in out and "val top-1 " in out and "top1" not in out
    code, _, err = run(capsys, "train", photos, *TRAIN, "--project", tmp_path)
    assert code == 0 and "  val top-1  " in err and err.count("val top-1 ") > 1 and "top1" not in err
    assert "val_top1" in next(tmp_path.rglob("results.csv")).read_text()  # which programs read
    assert [figure_name(name) for name in ("val_map50", "map", "mean_ap", "auc")] == [
        *("mAP at 0.5", "mAP", "mean AP", "AUC"),
    ]


def test_weights_of_classes_by_name(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", photos, *TRAIN, "--class-weight", "pink=2", "--project", tmp_path)
    assert code == 2 and not list(tmp_path.iterdir())
    assert err.endswith("mobilenets: --class-weight: 'pink' is not one of the classes: blue, green, red\n")
    code, _, err = run(capsys, "train", photos, "--class-weight", "red")
    assert (code, err.partition(" must")[0]) == (2, "mobilenets: --class-weight (='red')")
    flags = ["--project", tmp_path, "--name", "run"]
    code, _, err = run(capsys, "train", photos, *TRAIN, *flags, "--class-weight", "red=1000", "blue=.001", "green=.001")
    assert code == 0, err
    task = json.loads((tmp_path / "run" / "settings.json").read_text())["task"]
    assert task["class_weight"] == ["red=1000", "blue=.001", "green=.001"]
    assert run(capsys, "train", "--resume", tmp_path / "run", "--epochs", 2)[0] == 0
    answers = run(capsys, "predict", tmp_path / "run", photos / "val", "--top", 1, "--runtime", "onnx")[1]
    assert all(line.split("  ")[1].startswith("red ") for line in answers.splitlines())

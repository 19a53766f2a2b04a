"""The command line as a user meets it: answers, JSON, one-line errors, exit codes."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeModel
from PIL import Image

from mobilenets.arch import Network, named
from mobilenets.arch.network import BODY
from mobilenets.arch.zoo import FAMILIES
from mobilenets.cli import main
from mobilenets.compiler import build, has_compiler
from mobilenets.costs import cost

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")
FLAGS = "--alpha 0.25 --img-size 32 --batch-size 16 --device cpu".split()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder made by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", str(photos), *FLAGS, "--epochs", "1", "--project", str(folder), "--name", "run"]) == 0
    return folder / "run"


@pytest.mark.parametrize("verb", ["", "describe", "design", "train", "evaluate", "predict", "export", "demo"])
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *([verb] if verb else []), "--help")
    assert code == 0 and err == "" and "Usage: mobilenets" in out
    assert not verb or f"mobilenets {verb}" in out.split("Examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("describe 0.5", 2, "'0.5' must be ALPHA-SIZE"),
        ("describe 0-224", 2, "alpha (=0.0) must be above 0"),
        ("describe 0.5-16", 2, "height (=16) must be a whole number from 32"),
        ("describe --img-size 10y", 2, "--img-size '10y'"),
        ("describe --alpha wide", 2, "--alpha"),
        ("describe v1-1.0-224", 2, "MobileNet V1 has no prefix: 1.0-224"),
        ("describe v3-smal-1.0-96", 2, "; did you mean v3-small-1.0-96 or v3-small-minimalistic-1.0-96?"),
        ("describe v4-small-1.0-96", 2, "or v4-conv-small-1.0-96?"),
        ("describe V2_1.0-96", 2, "; did you mean v2-1.0-96?"),
        ("describe nothing.safetensors", 1, "no such model file"),
        ("paint", 2, "paint"),
        ("design", 2, "give at least one bound"),
        ("design --max-mult-adds 10X", 2, "--max-mult-adds: '10X' is not a count"),
        ("design --max-mult-adds 1 --family v1", 2, "no network fits --max-mult-adds 1: the smallest, shallow-0.1-32"),
        ("design --max-mult-adds 10M --family v2 --img-size 100", 2, "v2-0.25-100, needs 10 M (10,000,192)"),
        ("design --max-size 1M --budget-precision int4", 2, "precision (='int4')"),
        ("train", 2, "needs DATA, or --resume"),
        ("train /nowhere", 1, "no such file or folder"),
        ("train --resume /nowhere", 1, "no run to resume"),
        ("train photos --epochs 0", 2, "epochs (=0)"),
        ("train photos --opt magic", 2, "magic"),
        ("evaluate nothing.onnx photos", 1, "no such model file"),
        ("predict nothing.onnx a.jpg", 1, "nothing.onnx"),
        ("predict", 2, "MODEL is missing (see mobilenets predict --help)"),
        ("quantize x", 2, "--data is missing"),
        ("predict x --topk 3", 2, "unknown option --topk"),
        ("export nothing.safetensors", 1, "no such model file"),
        ("export README.md --format caffe", 2, "caffe"),
    ],
)
def test_errors_are_one_line(arguments: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    got, out, err = run(capsys, *arguments.split())
    assert (got, out) == (code, "")
    assert message in err and err.startswith("mobilenets: ") and err.count("\n") == 1
    assert "Traceback" not in err


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="alpha"):
        main(["describe", "0-224", "--debug"])


def test_describe(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "describe", "0.5-160")
    assert code == 0 and "76.525 M mult-adds, 1,331,592 parameters" in out and "pw13" in out
    code, out, _ = run(capsys, "describe", "0.5-160", "--json")
    values = json.loads(out)
    assert {"mult_adds", "params", "bytes", "peak_ram", "layers"} <= set(values)
    assert (values["mult_adds"], values["params"]) == (76_524_800, 1_331_592)
    code, out, _ = run(capsys, "describe", "--width", "0.25", "--img-size", "96x64", "--classes", "3", "--json")
    assert json.loads(out)["name"] == "0.25-96x64"


def test_describe_paper(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables 4 to 9 as printed, but for the networks that torchvision builds otherwise."""
    code, out, _ = run(capsys, "describe", "paper", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0 and len(rows) == 14
    for row in rows[:10]:
        assert abs(row["mult_adds"] / 1e6 - row["mult_adds_m_printed"]) < 1
    assert rows[0]["mult_adds"] == 4_866_269_184
    code, out, _ = run(capsys, "describe", "paper")
    assert code == 0 and "VGG16" in out


def test_design(capsys: pytest.CaptureFixture[str]) -> None:
    asked = "design --max-mult-adds 10M --max-size 8MB --classes 5 --family v1 v3-small".split()
    code, out, _ = run(capsys, *asked, "--json")
    values = json.loads(out)
    assert code == 0 and values["choice"]["mult_adds"] <= 10_000_000 and values["choice"]["bytes"]["fp32"] <= 8_000_000
    assert values["choice"] == values["front"][-1]
    assert values["choice"]["name"].startswith("v3-small-") and any(
        named(c["name"]).blocks == BODY for c in values["front"]
    )
    code, out, _ = run(capsys, *asked)
    assert code == 0 and f"choice: {values['choice']['name']}" in out and "the best of the other families" in out


@pytest.mark.parametrize("name", [*(f"{family}-0.5-96" for family in FAMILIES if family), "fd-0.25-128x96"])
def test_every_family_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the rounding and the other settings of its family, which flags do not restate."""
    code, out, _ = run(capsys, "describe", name, "--classes", "7", "--json")
    described = json.loads(out)
    assert code == 0 and described["name"] == name
    assert described["mult_adds"] == cost(named(name).replace(classes=7)).mult_adds


def test_train_leaves_model_and_report(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {
        "best.safetensors",
        "last.safetensors",
        "results.csv",
        "settings.json",
        "labels.txt",
        "report.html",
    } <= names


def test_train_by_budget(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--max-mult-adds 1M --family v1 --epochs 1 --device cpu --json".split()
    code, out, err = run(capsys, "train", photos, *flags, "--project", tmp_path)
    values = json.loads(out)
    assert code == 0 and f"design: {values['network']}" in err
    assert "3 classes, " in err and "\nclasses: blue, green, red\n" in err
    code, out, _ = run(capsys, "describe", values["model"], "--json")
    described = json.loads(out)
    assert described["mult_adds"] <= 1_000_000 and described["labels"] == ["blue", "green", "red"]
    code, out, _ = run(
        capsys, "design", "--max-mult-adds", "2M", "--classes", "3", "--family", "v1", "--calibrate", values["run"]
    )
    assert code == 0 and "calibrated" in out


def test_a_named_run_is_not_overwritten(trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", photos, *FLAGS, "--project", trained.parent, "--name", "run")
    assert code == 2 and "exists" in err


def test_evaluate_says_what_training_said(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(capsys, "evaluate", trained, photos, "--json", "--report", tmp_path / "page.html")
    values = json.loads(out)
    assert code == 0 and values["split"] == "val" and values["images"] == 24
    assert {"top1", "top5", "ece", "per_class", "confusion", "latency_ms", "images_per_second"} <= set(values)
    code, out, _ = run(capsys, "describe", trained, "--json")
    assert json.loads(out)["metrics"]["top1"] == values["top1"]
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, out, _ = run(capsys, "evaluate", trained, photos, "--split", "train")
    assert code == 0 and "train top-1" in out
    code, out, _ = run(capsys, "evaluate", trained, photos, "--split", "all", "--json")
    files = [path for path in photos.rglob("*") if path.is_file()]
    assert code == 0 and (json.loads(out)["split"], json.loads(out)["images"]) == ("all", len(files))
    code, _, err = run(capsys, "evaluate", trained, photos, "--split", "test")
    assert code == 2 and "has no split 'test'" in err


def test_evaluate_says_how_to_take_what_cannot_be_split(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    """One image a class, and fewer classes than the model's."""
    for label in sorted(path for path in (photos / "val").iterdir())[:2]:
        (tmp_path / label.name).mkdir()
        image = next(label.iterdir())
        (tmp_path / label.name / image.name).write_bytes(image.read_bytes())
    code, _, err = run(capsys, "evaluate", trained, tmp_path)
    assert code == 1 and err.strip().endswith("--split all")
    code, out, _ = run(capsys, "evaluate", trained, tmp_path, "--split", "all", "--json")
    assert code == 0 and json.loads(out)["images"] == 2


def test_evaluate_refuses_other_labels(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val"):
        for i, label in enumerate(("blue", "violet")):
            (tmp_path / split / label).mkdir(parents=True)
            Image.new("RGB", (40, 40), (i, 0, len(split))).save(tmp_path / split / label / "0.png")
    code, _, err = run(capsys, "evaluate", trained, tmp_path)
    assert code == 1 and "the model does not have the labels violet" in err


def test_export_then_predict(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    onnx = tmp_path / "photos.onnx"
    code, out, _ = run(capsys, "export", trained, "--output", onnx, "--json")
    assert code == 0 and json.loads(out)["difference"] < 1e-4
    folder = photos / "val" / "red"
    answers = []
    for model in (trained, trained / "best.safetensors", onnx):
        code, out, _ = run(capsys, "predict", model, folder, "--json", "--top", 2, "--runtime", "onnx")
        assert code == 0
        answers.append(json.loads(out)["predictions"])
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 8 and len(answers[0][0]["top"]) == 2 and answers[0][0]["error"] is None


def test_predict_forms(trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, broken = photos / "val" / "red" / "0.jpg", tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    code, out, err = run(capsys, "predict", trained, image, broken, "--csv", "--top", 1)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1 and [row["rank"] for row in rows] == ["1", ""] and rows[1]["error"] and "broken.jpg" in err
    code, out, err = run(capsys, "predict", trained, image, broken, "--max-bad", "0.5")
    assert code == 0 and "0.jpg" in out and "1 of 2 images could not be decoded" in err
    code, _, err = run(capsys, "predict", trained, tmp_path / "none")
    assert code == 1 and "no such file" in err
    code, _, err = run(capsys, "predict", trained, image, "--json", "--csv")
    assert code == 2 and "choose one" in err
    (tmp_path / "empty").mkdir()
    code, out, err = run(capsys, "predict", trained, tmp_path / "empty", "--json")
    assert code == 1 and json.loads(out)["predictions"] == [] and "holds no image file" in err


def test_predict_reads_standard_input_without_torch(trained: Path, photos: Path) -> None:
    program = (
        "import sys; from mobilenets.cli import main; code = main(); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "predict", str(trained), "-", "--json"]
    image = (photos / "val" / "red" / "0.jpg").read_bytes()
    done = subprocess.run(command, input=image, capture_output=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["image"] == "-"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("describe 0.25-96 --alpha 0.5", "0.25-96 says alpha and image size"),
        ("train photos --model 0.25-96 --img-size 64", "0.25-96 says alpha and image size"),
        ("train photos --model 0.25-96 --max-mult-adds 10M", "leaves nothing to design"),
        ("design --max-mult-adds 10M --img-size 96x64", "over square inputs only"),
        ("design --max-mult-adds 10M --family v7", "family 'v7' must be one of v1, fd, v2, v3, v4, "),
        ("describe --family v2", "--family v2 says where a search may look: give a budget"),
        ("describe v2-0.5-96 --shallow", "--shallow: v2-0.5-96 is no MobileNet V1"),
        ("design --max-mult-adds 10M --family v2 --shallow", "family v2: --shallow takes v1-shallow only"),
        ("design --max-mult-adds 10M --family v2 v4 --conv full", "family v2, v4: full convolutions are of v1 only"),
        ("design --max-mult-adds 10M --data photos --classes 5", "--classes 5: --data says how many there are"),
        (
            "train nowhere --max-mult-adds 10M --search 2fortnights",
            "--search (='2fortnights') is not a time such as 90s",
        ),
        ("sweep nowhere --model 0.25-32 --time soon", "--time (='soon') is not a time such as 90s, 30min, 2h"),
        ("sweep nowhere --model 0.25-32 --out README.md/x", "README.md is no folder"),
        ("train --resume run --lr 0.1", "--resume keeps the settings"),
        ("train --resume run --alpha 0.5", "--resume keeps the settings"),
        ("train photos --name ../run", "plain folder name"),
        ("train nowhere --img-size 31", "height (=31)"),
    ],
)
def test_flags_that_contradict(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments.split())
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_a_budget_keeps_to_what_flags_fix(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "design", "--max-mult-adds", "20M", "--alpha", "0.25", "--family", "v1", "--json")
    assert code == 0 and json.loads(out)["choice"]["network"]["alpha"] == 0.25
    code, out, _ = run(capsys, "design", "--max-mult-adds", "20M", "--img-size", "128", "--shallow", "--json")
    choice = json.loads(out)["choice"]
    assert code == 0 and choice["network"]["height"] == 128 and choice["name"].startswith("shallow-")


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(4):
            (tmp_path / "photos" / label / f"{i}.jpg").write_bytes(f"no image {label} {i}".encode())
    flags = ["--project", tmp_path / "runs", "--name", "run"]
    code, _, err = run(capsys, "train", tmp_path / "photos", *FLAGS, "--epochs", 1, *flags)
    assert code == 1 and "cannot be decoded" in err and not (tmp_path / "runs" / "run").exists()


@pytest.mark.parametrize(
    ("name", "format"), [("a.tflite", "tflite"), ("a.float16.tflite", "tflite-float16"), ("a.h5", "keras-h5")]
)
def test_the_ending_of_output_says_the_format(trained: Path, tmp_path: Path, capsys, name: str, format: str) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(capsys, "export", trained, "--output", tmp_path / name)
    assert code == 0 and out.splitlines()[0].endswith(f"  {format}")


def test_output_that_cannot_be_written(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run(capsys, "export", trained, "--output", tmp_path)
    assert code == 2 and "is a folder" in err
    code, _, err = run(capsys, "export", trained, "--output", tmp_path / "model.tflite", "--format", "onnx")
    assert code == 2 and "the name must end in .onnx" in err
    code, _, err = run(capsys, "evaluate", trained, photos, "--report", tmp_path)
    assert code == 2 and "is a folder" in err
    code, _, err = run(capsys, "export", trained, "--output", tmp_path / "none" / "x.onnx")
    assert code == 2 and "does not exist" in err and not (tmp_path / "none").exists()
    code, _, err = run(capsys, "evaluate", trained, photos, "--report", tmp_path / "none" / "r.html")
    assert code == 2 and "does not exist" in err


@pytest.mark.parametrize(
    "verb, name", [("export", "model.onnx"), pytest.param("compile", "mobilenets_network.h", marks=needs_compiler)]
)
def test_what_is_there_is_overwritten_only_when_asked(
    verb: str, name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text("mine")
    output = path if verb == "export" else tmp_path
    code, _, err = run(capsys, verb, trained, "--output", output)
    assert code == 2 and f"{name} exists: choose another --output, or use --overwrite" in err
    assert [file.name for file in tmp_path.iterdir()] == [name] and path.read_text() == "mine"
    code, _, err = run(capsys, verb, trained, "--output", output, "--overwrite")
    assert code == 0, err
    assert path.read_bytes() != b"mine"


def test_a_reader_that_has_enough(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("describe 1-224", "describe 1-224 --json"):
        line = f"{sys.executable} -m mobilenets {verb} | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "0" and done.stderr == ""


def test_resume_of_a_finished_run_changes_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (trained / "best.safetensors").read_bytes()
    code, _, _ = run(capsys, "train", "--resume", trained)
    assert code == 0 and (trained / "best.safetensors").read_bytes() == before


def test_describe_reads_models(random_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = random_model(Network(alpha=0.25, height=64, width=64, classes=3)).save(tmp_path / "model.safetensors")
    code, out, _ = run(capsys, "describe", path)
    assert code == 0 and "0.25-64" in out and "labels: class 0, class 1, class 2" in out


def test_predict_draws_answers_into_a_new_folder(trained: Path, photos: Path, tmp_path: Path, capsys) -> None:
    images = sorted((photos / "val").rglob("*.jpg"))[:2]
    same = tmp_path / "same" / images[0].name
    same.parent.mkdir()
    same.write_bytes(images[0].read_bytes())
    folder = tmp_path / "out"
    command = ["predict", str(trained), *map(str, [*images, same]), "--pictures", str(folder)]
    assert main(command) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([f"{images[0].stem}.jpg", f"{images[0].stem}-2.jpg", f"{images[1].stem}.jpg"])
    with Image.open(images[0]) as before, Image.open(folder / f"{images[0].stem}.jpg") as after:
        assert after.width == before.width and after.height > before.height
    capsys.readouterr()
    assert main(command) == 2
    assert "the folder must be empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "said"),
    [
        ("describe 0-224 --json", 2, "NetworkError", "alpha (=0.0) must be above 0"),
        ("train /nowhere --json", 1, "DataError", "/nowhere: no such file or folder"),
        ("train --json --epochs many", 2, "UsageError", "--epochs: 'many' is not a whole number"),
    ],
)
def test_a_failure_is_json_too(
    arguments: str, code: int, kind: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = run(capsys, *arguments.split())
    error = json.loads(out)["error"]
    assert (found, error["type"]) == (code, kind) and said in error["message"]
    assert err == f"mobilenets: {error['message']}\n"


def test_predictions_that_end_in_an_error_are_json(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(next(photos.rglob("*.jpg")).read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        listed = os.scandir

        def refuse(path: str | Path) -> object:
            if Path(path).name == "b":
                raise PermissionError(13, "Permission denied")
            return listed(path)

        patch.setattr(os, "scandir", refuse)
        code, out, err = run(capsys, "predict", trained, folder, "--json")
    told = json.loads(out)
    assert code and "cannot be listed" in told["error"]["message"] and err.count("\n") == 1


def test_least_confidence(trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted((photos / "val").rglob("*.jpg"))[:6]
    best = [one["top"][0]["probability"] for one in predicted(capsys, trained, *images)]
    least = sorted(best)[3]
    told = predicted(capsys, trained, *images, "--min-confidence", least)
    assert [one.get("none", False) for one in told] == [probability < least for probability in best]
    assert sum(one.get("none", False) for one in told) == 3
    code, _, err = run(capsys, "predict", trained, images[0], "--min-confidence", "1.5")
    assert code == 2 and "--min-confidence (=1.5) must be from 0 to 1" in err


def predicted(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    code, out, _ = run(capsys, "predict", *arguments, "--json")
    assert code == 0
    answers: list[dict[str, Any]] = json.loads(out)["predictions"]
    return answers


@needs_compiler
def test_c_for_another_processor_is_written_and_not_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILENETS_PROCESSOR", "sse2")
    code, out, err = run(capsys, "compile", trained, "--target", "avx2", "--output", tmp_path / "c")
    assert code == 0 and "not run here and not compared: this processor lacks avx2, fma" in out, err
    assert (tmp_path / "c" / "libnetwork.so").is_file() and "for avx2 in fp32" in (
        tmp_path / "c" / "network.c"
    ).read_text()
    command = ["compile", trained, "--target", "avx2", "--output", tmp_path / "c", "--overwrite", "--no-library"]
    told = json.loads(run(capsys, *command, "--json")[1])
    assert told["difference"] is None and told["lacks"] == ["avx2", "fma"]
    command = ["compile", trained, "--target", "portable", "--output", tmp_path / "p", "--json"]
    told = json.loads(run(capsys, *command)[1])
    assert told["difference"] < 1e-4 and told["lacks"] == []


@pytest.mark.parametrize("compiler", [pytest.param(None, marks=needs_compiler), "false"])
def test_c_alone_needs_no_compiler(
    compiler: str | None,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if compiler:
        monkeypatch.setenv("CC", compiler)
    build.compiler.cache_clear()
    code, out, err = run(capsys, "compile", trained, "--no-library", "--output", tmp_path / "c")
    build.compiler.cache_clear()
    assert code == 0 and "no library" in out, err
    assert ("not compared: there is no C compiler" in out) == bool(compiler)
    assert {file.name for file in (tmp_path / "c").iterdir()} == {
        *("network.c", "mobilenets_network.h", "network.weights")
    }


def test_photos_that_are_not_read_are_named(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(next(photos.rglob("*.jpg")).read_bytes())
    for name in ("b.DNG", "deep/c.cr2", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    code, out, err = run(capsys, "predict", trained, tmp_path, "--json")
    assert code == 0 and len(json.loads(out)["predictions"]) == 1
    assert "2 photos in unsupported formats: 1 .dng, 1 .cr2" in err and err.count("\n") == 1


def test_completion_of_verbs_and_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert run(capsys, "--install-completion")[0] == 0
    (script,) = (path for path in tmp_path.rglob("mobilenets") if path.is_file())
    text = script.read_text()
    assert "--min-confidence" in text and "benchmark" in text
    assert [path.name for path in tmp_path.iterdir()] == [".local"]  # no start-up file is changed

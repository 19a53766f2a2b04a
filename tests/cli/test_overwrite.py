"""No verb writes over a file that exists unless it is told to, whatever the file is; see `files.check_output`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from PIL import Image

from mobilenets.arch import Network
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.errors import UsageError, WorkError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.files import check_output

PRECIOUS = b"a photo of my grandmother"


@pytest.fixture
def folder(tmp_path: Path, random_model: MakeModel, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, an embedding, photos, and files that must not be lost."""
    labels = tuple(sorted(path.name for path in (photos / "val").iterdir()))
    model = random_model(Network(0.25, 32, 32, classes=len(labels)))
    replace(model, labels=labels).save(tmp_path / "model.safetensors")
    embedder = random_model(Network(0.25, 32, 32, classes=8, output="l2_normalise"))
    replace(embedder, task="embed").save(tmp_path / "embed.safetensors")
    (tmp_path / "theirs.onnx").write_bytes(to_onnx(model))
    (tmp_path / "photos").symlink_to(photos)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# a verb, the option that names a file to write, an ending that it takes
WRITERS = [
    ("evaluate model.safetensors photos", "--report", ".html"),
    ("benchmark model.safetensors", "--report", ".html"),
    ("search photos/val one.png --model embed.safetensors", "--save", ".safetensors"),
    ("search photos/val one.png --model embed.safetensors", "--sheet", ".png"),
    ("export model.safetensors", "--output", ".onnx"),
    ("quantize model.safetensors --data photos", "--output", ".safetensors"),
    ("import theirs.onnx", "--output", ".safetensors"),
]


@pytest.mark.parametrize(("verb", "option", "ending"), WRITERS)
def test_a_file_that_exists_is_kept(
    verb: str, option: str, ending: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rule in ((f"precious{ending}", "exists: choose another"), ("precious.jpeg.txt", "the name must end in")):
        (folder / name).write_bytes(PRECIOUS)
        assert main([*verb.split(), option, name]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert name in line and rule in line and option in line
        assert (folder / name).read_bytes() == PRECIOUS


@pytest.mark.parametrize(
    ("verb", "option", "name"),
    [
        (verb, option, f"precious{ending}")
        for verb, option, ending in WRITERS
        if verb.split()[0] in ("evaluate", "search")
    ],
)
def test_overwrite_replaces_it(verb: str, option: str, name: str, folder: Path) -> None:
    (folder / name).write_bytes(PRECIOUS)
    assert main([*verb.split(), option, name, "--overwrite"]) == 0
    assert (folder / name).read_bytes() != PRECIOUS


def test_the_rule(tmp_path: Path) -> None:
    path = tmp_path / "a.HTML"
    check_output(path, (".html",), overwrite=False, any_case=True)
    path.write_bytes(PRECIOUS)
    check_output(path, (".html",), overwrite=True, any_case=True)
    for wrong, rule in (
        (lambda: check_output(path, (".html",), False, any_case=True), "exists"),
        (lambda: check_output(path, (".html",), True), "the name must end in .html"),
        (lambda: check_output(path, (".png",), True), "the name must end in .png"),
        (lambda: check_output(path, (".html",), True, sources=[path], any_case=True), "is an input file"),
        (lambda: check_output(tmp_path / "no" / "a.html", (".html",), True), "does not exist"),
        (lambda: check_output(tmp_path, (tmp_path.name,), True), "is a folder"),
    ):
        with pytest.raises(UsageError, match=rule):
            wrong()


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_compiling_again_under_a_name_with_capitals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compile", "model.safetensors", "--name", "Net", "--output", "c"]
    assert main(command) == 0
    assert main(command) == 2 and "Net.c exists" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_pictures_that_cannot_be_written_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: an error of the package, which the command line prints in one line, and no half picture."""
    from mobilenets.verbs.pictures import save_picture

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorkError, match=r"a\.jpg: cannot be written: No space left on device"):
        save_picture(folder / "a.jpg", Image.new("RGB", (8, 8)))
    assert not [path for path in folder.iterdir() if "a.jpg" in path.name]

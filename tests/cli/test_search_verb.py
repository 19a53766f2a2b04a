"""`mobilenets search`: over a folder and a saved index, as text, JSON and a picture; what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from marked import NETWORK, make_identities
from PIL import Image

from mobilenets.cli import main
from mobilenets.tasks.verification import index as indices
from mobilenets.tasks.verification.index import Index, load_index


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a network (untrained: colours differ enough) and one that names classes."""
    folder = tmp_path_factory.mktemp("faces")
    make_identities(folder / "photos", 5, 3)
    network = NETWORK.replace(classes=16, output="l2_normalise")
    model = replace(make_random_model(network), task="embed", labels=tuple(map(str, range(16))))
    model.save(folder / "model.safetensors")
    make_random_model(NETWORK.replace(classes=2)).save(folder / "classes.safetensors")
    return folder


def test_a_folder(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = str(faces / "photos" / "person2" / "1.png")
    model = ["--model", str(faces / "model.safetensors")]
    sheet = tmp_path / "found.png"
    command = ["search", str(faces / "photos"), query, *model, "--top", "3", "--sheet", str(sheet)]
    assert main(command) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == f"wrote {sheet}  sheet\n"
    assert lines[0] == query and lines[1].split() == ["1.000", query] and len(lines) == 4
    assert "person2" in lines[2]
    with Image.open(sheet) as picture:
        assert picture.size[0] > 4 * 128


def test_a_saved_index_is_the_folder(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = str(faces / "photos" / "person0")
    saved = tmp_path / "photos.safetensors"
    model = ["--model", str(faces / "model.safetensors")]
    assert main(["search", str(faces / "photos"), query, *model, "--json", "--save", str(saved)]) == 0
    out, err = capsys.readouterr()
    first = json.loads(out)
    assert err == f"wrote {saved}  index of 15 images\n"
    assert main(["search", str(saved), query, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert first["images"] == 15 and first["exact"] and len(first["found"]) == 3
    assert [len(one["nearest"]) for one in first["found"]] == [10, 10, 10]


def test_what_cannot_be_decoded(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_identities(tmp_path / "photos", 2, 2)
    (photos / "broken.png").write_bytes(b"no image")
    command = ["search", str(photos), str(photos / "broken.png"), "--model", str(faces / "model.safetensors"), "--json"]
    assert main(command) == 1
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)["found"]
    assert found["nearest"] == [] and "not an image" in found["error"]
    assert printed.err.count("broken.png") == 2  # as part of the folder, and looked up


def test_a_large_index_is_searched_by_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(tuple(map(str, range(2000))), vectors, "model")
    exact, cosines = index.nearest(vectors[:50], 10)
    monkeypatch.setattr(indices, "LARGE", 1000)
    assert not index.exact
    found, similarity = index.nearest(vectors[:50], 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)]) > 0.95
    np.testing.assert_allclose(similarity[:, 0], cosines[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["{photos}", "{photos}"], "say with --model which network", 2),
        (["{photos}", "--model", "{model}"], "needs an image to look up, or --save", 2),
        (["{photos}", "{photos}", "--model", "{classes}"], "its task is classify: only a network", 2),
        (["{photos}", "none.png", "--model", "{model}"], "none.png: no such file", 1),
        (["{none}", "{photos}", "--model", "{model}"], "no such file or folder", 1),
        (["{model}", "{photos}"], "is no index", 1),
        (["{photos}", "{photos}", "--model", "{model}", "--top", "0"], "must be at least 1", 2),
        (["{photos}", "--model", "{model}", "--save", "{none}/index.safetensors"], "does not exist", 2),
        (["{photos}", "--model", "{model}", "--save", "index.txt"], "index.txt: the name must end in .safetensors", 2),
    ],
)
def test_what_is_refused(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, code: int
) -> None:
    names = {name: str(faces / f"{name}.safetensors") for name in ("model", "classes")}
    places = {**names, "photos": str(faces / "photos"), "none": str(tmp_path / "none")}
    assert main(["search", *(argument.format(**places) for argument in arguments)]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_an_index_of_another_network(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Index(("a.png",), np.ones((1, 3), np.float32), "model").save(tmp_path / "a.safetensors")
    assert load_index(path).names == ("a.png",)
    model = str(faces / "model.safetensors")
    assert main(["search", str(path), str(faces / "photos"), "--model", model]) == 2
    assert "the index has 3 dimensions, the model 16" in capsys.readouterr().err


def test_an_embedder_is_made_int8_and_searches(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_identities(tmp_path / "people", 12, 3)
    made = tmp_path / "model.int8.safetensors"
    command = ["quantize", str(faces / "model.safetensors"), "--data", str(tmp_path / "people"), "--output", str(made)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "AUC" in said and "same prediction" in said
    query = str(faces / "photos" / "person2" / "1.png")
    assert main(["search", str(faces / "photos"), query, "--model", str(made)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["1.000", query]

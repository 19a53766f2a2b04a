"""POST /predict: the answers of `predict --json`, of one image and several, for each task."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from served import Running, serving

from mobilenets import Model, Network, load, predict
from mobilenets.cli import main
from mobilenets.exporters.onnx import to_onnx


def printed(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    capsys.readouterr()
    main([*map(str, command), "--json"])
    return capsys.readouterr().out


def test_the_answer_is_that_of_predict(
    client: httpx.Client,
    model: Path,
    jpegs: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Byte for byte: the images of a form have their names, one that is the body has none."""
    monkeypatch.chdir(jpegs[0].parent)
    names = [jpeg.name for jpeg in jpegs if jpeg.parent == jpegs[0].parent][:8]
    for name in names:
        wanted = printed(capsys, "predict", model, name)
        content = Path(name).read_bytes()
        assert client.post("/predict", files={"image": (name, content)}).text == wanted
        answer = client.post("/predict", content=content)
        assert (answer.status_code, answer.text) == (200, wanted.replace(f'"{name}"', '"image 0"'))
    several = client.post("/predict?top=2", files=[("images", (name, Path(name).read_bytes())) for name in names])
    assert several.text == printed(capsys, "predict", model, *names, "--top", 2)


def test_an_image_that_is_none_has_its_error_beside_the_others(
    client: httpx.Client, model: Path, jpegs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    files = [jpegs[0], tmp_path / "bad.jpg"]
    answer = client.post("/predict", files=[("a", (str(file), file.read_bytes())) for file in files])
    assert answer.status_code == 200
    assert answer.text == printed(capsys, "predict", model, *files, "--max-bad", 1)
    alone = client.post("/predict", files=[("a", ("bad.jpg", b"no image")), ("b", ("worse.jpg", b""))])
    assert (alone.status_code, alone.json()["error"]) == (
        415,
        "no part is an image that can be decoded: not an image in a supported format",
    )


def test_what_the_parts_took(client: httpx.Client, jpegs: list[Path]) -> None:
    timing = client.post("/predict", content=jpegs[0].read_bytes()).headers["server-timing"]
    parts = dict(part.strip().split(";dur=") for part in timing.split(","))
    assert list(parts) == ["queue", "decode", "network"] and all(float(part) >= 0 for part in parts.values())


def test_the_list_of_models(client: httpx.Client) -> None:
    (listed,) = client.get("/models").json()["models"]
    assert (listed["name"], listed["task"], listed["precision"]) == ("flowers", "classify", "fp32")
    assert (listed["classes"], listed["image"]) == (["daisy", "rose", "tulip"], [32, 32, 3])


def test_several_models_and_tasks(
    random_model: Callable[..., Model], model: Path, jpegs: list[Path], tmp_path: Path
) -> None:
    """Run by name; vectors of an embedder, and the same network in ONNX."""
    embed = random_model(Network(alpha=0.125, height=32, width=32, classes=8, output="l2_normalise"))
    embedder = Model(embed.network, embed.weights, embed.preprocess, tuple(map(str, range(8))), task="embed").save(
        tmp_path / "faces.safetensors"
    )
    (tmp_path / "same.onnx").write_bytes(to_onnx(load(model)))
    content = jpegs[0].read_bytes()
    with serving([model, embedder, f"onnx={tmp_path / 'same.onnx'}"]) as running:
        address = f"{running.address}/predict"
        found = httpx.post(address, params={"model": "faces"}, content=content).json()["predictions"][0]
        (wanted,) = predict(embedder, content)
        assert found == json.loads(json.dumps(wanted.to_dict())) and len(found["embedding"]) == 8
        first, onnx = (httpx.post(address, params={"model": name}, content=content) for name in ("flowers", "onnx"))
        best = [answer.json()["predictions"][0]["top"][0] for answer in (first, onnx)]
        assert best[0]["label"] == best[1]["label"]
        assert best[0]["probability"] == pytest.approx(best[1]["probability"], abs=1e-5)
        refused = httpx.post(address, params={"model": "nix"}, content=content)
        assert (refused.status_code, refused.json()["error"]) == (
            404,
            "model 'nix' must be one of flowers, faces, onnx",
        )


def test_one_image_of_many_clients(server: Running, model: Path, jpegs: list[Path]) -> None:
    """On one thread or on all, alone or beside others, an image has the same answer."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool, httpx.Client(base_url=server.address) as client:

        def ask(jpeg: Path) -> str:
            return client.post("/predict", content=jpeg.read_bytes()).text

        assert list(pool.map(ask, jpegs * 3)) == list(map(ask, jpegs)) * 3


@pytest.mark.slow
def test_500_photos(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In fp32 and int8, photos as they come."""
    photos = sorted((shared_data / "flowers").rglob("*.jpg"))[::7] + sorted(
        (shared_data / "hymenoptera").rglob("*.jpg")
    )
    photos = photos[:500]
    published = shared_data / "weights" / "mobilenet_v1_0.25_128_quant.tflite"
    with serving([published]) as running, httpx.Client(base_url=running.address) as client:
        for photo, wanted in zip(photos, predict(published, photos), strict=True):
            found = client.post("/predict", files={"image": (str(photo), photo.read_bytes())}).json()
            assert found == {"predictions": [json.loads(json.dumps(wanted.to_dict()))]}

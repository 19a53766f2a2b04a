"""What `--pretrained` may be: published networks from a server with the makers' own paths, files, run folders."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from serving import Site, google_hash, serving, status

from mobilenets.arch.network import Network
from mobilenets.errors import DownloadError, ModelFileError, UsageError
from mobilenets.exporters import write
from mobilenets.exporters.onnx import to_onnx
from mobilenets.exporters.timm import to_timm
from mobilenets.weights import Given, import_files
from mobilenets.weights.hub import catalogue
from mobilenets.weights.hub.catalogue import CATALOGUE, Published
from mobilenets.weights.pretrained import is_ours, open_pretrained
from mobilenets.weights.recognise import Imported

SMALL = Network(0.25, 32, 32, classes=7, activation="relu6")
HEADED = "timm/mobilenetv1_100h.ra4_e3600_r224_in1k"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """The makers' servers, all of them here, under their own paths; nothing is on them yet."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving() as site:
        monkeypatch.setattr(catalogue, "CATALOGUE", tuple(moved(published, site) for published in CATALOGUE))
        yield site


def moved(published: Published, site: Site) -> Published:
    hosts = ("https://storage.googleapis.com", "https://raw.githubusercontent.com")
    files = published.files
    for host in hosts:
        files = tuple(replace(file, where=file.where.replace(host, site.url)) for file in files)
    return replace(published, files=files)


def path_of(name: str, number: int = 0) -> str:
    """Of a file on its makers' server."""
    (published,) = [published for published in CATALOGUE if published.name == name]
    return "/" + published.files[number].where.split("/", 3)[3]


def sources(imported: Imported) -> dict[str, str]:
    return {fact.name: fact.source for fact in imported.facts}


# ---- published networks


def test_makers_paths() -> None:
    assert path_of("keras/0.25-128") == "/tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf.h5"
    assert path_of("coral/1-224", 1).endswith("/tools/mobilenet_quant_v1_224_head_layers.tflite")


def test_corals_network_is_that_of_its_file(site: Site, shared_data: Path) -> None:
    file = shared_data / "weights" / "mobilenet_v1_0.25_128_quant.tflite"
    site.put(path_of("coral/0.25-128"), file.read_bytes())
    imported = open_pretrained("coral/0.25-128")
    assert imported.model.digest() == import_files([file]).model.digest()
    said = imported.model.data["imported"]
    assert (said["published"], said["licence"]) == ("coral/0.25-128", "Apache-2.0")
    assert said["file"] == file.name
    assert open_pretrained("imagenet:coral/0.25-128", 0.5, 96).model.digest() == imported.model.digest()
    assert len(site.requests) == 1


def test_corals_largest_comes_in_two_files(site: Site, shared_data: Path) -> None:
    names = ["mobilenet_v1_1.0_224_quant_embedding_extractor.tflite", "mobilenet_quant_v1_224_head_layers.tflite"]
    files = [shared_data / "weights" / name for name in names]
    for number, file in enumerate(files):
        site.put(path_of("coral/1-224", number), file.read_bytes())
    seen: list[str] = []
    imported = open_pretrained("coral/1-224", progress=lambda name, done, total: seen.append(name))
    assert imported.model.network.name == "1-224"
    assert imported.model.digest() == import_files(files).model.digest()
    assert list(dict.fromkeys(seen)) == names
    assert open_pretrained("+".join(map(str, files))).model.digest() == imported.model.digest()


def test_keras_weights_alone_are_read_at_the_size_they_are_published_for(
    site: Site, shared_data: Path, tmp_path: Path
) -> None:
    keras_peer = pytest.importorskip("keras_peer")
    whole = shared_data / "weights" / "mobilenet_v1_0.25_224.h5"
    content = keras_peer.weights_alone(whole, tmp_path / "alone.h5").read_bytes()
    site.put(path_of("keras/0.25-224"), content, x_goog_hash=google_hash(content))
    site.put(path_of("keras/0.25-160"), content, x_goog_hash=google_hash(content))  # the same arrays fit any size
    imported = open_pretrained("keras/0.25-224")
    assert imported.model.digest() == import_files([whole]).model.digest()
    assert imported.model.network.name == "0.25-224"
    assert sources(imported)["size"] == "keras/0.25-224"
    assert sources(imported)["pixels"] == "convention of keras.applications"
    nearest = open_pretrained("imagenet", 0.25, 150)
    assert nearest.model.network.name == "0.25-160"
    bent = open_pretrained("keras/0.25-160", given=Given(size=(96, 128), padding="same"))
    assert (bent.model.network.height, bent.model.network.width, bent.model.network.padding) == (96, 128, "same")
    assert sources(bent)["size"] == sources(bent)["padding"] == "you"


def test_timms_network_comes_through_the_hub(tmp_path: Path, random_model) -> None:
    """The whole way, in a process of its own: the hub's client reads HF_ENDPOINT when it is imported."""
    network = Network(head=1024, activation="relu6")
    model = random_model(network)
    content = to_timm(model)
    script = f"""
import json
from mobilenets.weights.pretrained import open_pretrained
imported = open_pretrained({HEADED!r})
model = imported.model
told = {{fact.name: fact.source for fact in imported.facts}}
print(json.dumps([model.digest(), model.network.name, model.network.head, told]))"""
    with serving() as site:
        for revision in ("main", "ab" * 20):
            path = f"/{HEADED}/resolve/{revision}/model.safetensors"
            site.put(path, content, X_Repo_Commit="ab" * 20)
        environment = {**os.environ, "HF_ENDPOINT": site.url, "HF_HOME": str(tmp_path / "hf")}
        environment |= {"MOBILENETS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digest, name, head, told = json.loads(done.stdout)
    (tmp_path / "x.safetensors").write_bytes(content)
    assert digest == import_files([tmp_path / "x.safetensors"]).model.digest()
    assert (name, head, told["size"]) == ("head-1-224", 1024, HEADED)


def test_a_name_goes_before_a_folder_of_that_name(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_model
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()
    random_model(SMALL).save(tmp_path / "imagenet" / "best.safetensors")
    with pytest.raises(DownloadError, match=r"mobilenet_2_5_128_tf\.h5"):
        open_pretrained("imagenet", 0.25, 128)
    assert open_pretrained("./imagenet", 0.25, 128).model.network == SMALL


def test_the_error_without_a_network_is_followed_to_the_letter(site: Site, shared_data: Path, tmp_path: Path) -> None:
    site.put(path_of("coral/0.25-128"), b"", status(404))
    with pytest.raises(DownloadError) as error:
        open_pretrained("coral/0.25-128")
    target = Path(str(error.value).partition("put it at ")[2].partition(", or set")[0])
    shutil.copyfile(shared_data / "weights" / target.name, target)
    assert open_pretrained("coral/0.25-128").model.network.name == "0.25-128"
    target.unlink()
    other = tmp_path / "elsewhere.tflite"
    shutil.copyfile(shared_data / "weights" / target.name, other)
    assert open_pretrained(str(other)).model.network.name == "0.25-128"


# ---- files and folders


def test_our_own_model_is_read_as_it_is(tmp_path: Path, random_model) -> None:
    model = random_model(SMALL)
    path = model.save(tmp_path / "best.safetensors")
    for name in (str(path), str(tmp_path)):
        imported = open_pretrained(name)
        assert (imported.model.digest(), imported.model.labels) == (model.digest(), model.labels)
        assert imported.facts == ()


@pytest.mark.parametrize(
    ("name", "ours"), [("m.safetensors", True), ("m.onnx", True), ("timm.safetensors", False), ("other.onnx", False)]
)
def test_only_our_own_files_are_opened_without_import(name: str, ours: bool, tmp_path: Path, random_model) -> None:
    model, path = random_model(SMALL), tmp_path / name
    if name == "m.safetensors":
        model.save(path)
    else:
        other = to_onnx(model).replace(b"mobilenets.onnx", b"somebodys!.onnx")
        path.write_bytes({"m.onnx": to_onnx(model), "timm.safetensors": to_timm(model), "other.onnx": other}[name])
    assert is_ours(path) == ours


def test_another_programs_safetensors_is_imported(tmp_path: Path, random_model) -> None:
    model = random_model(SMALL)
    path = tmp_path / "timm.safetensors"
    path.write_bytes(to_timm(model))
    imported = open_pretrained(str(path))
    assert imported.facts
    assert np.array_equal(imported.model.weights["fc.weight"], model.weights["fc.weight"])


def test_a_size_is_taken_where_neither_user_nor_file_says_one(tmp_path: Path, random_model) -> None:
    model, said, silent = random_model(SMALL), tmp_path / "m.onnx", tmp_path / "m.pt"
    said.write_bytes(to_onnx(model))
    silent.write_bytes(write(model, "torch"))
    torch.save(torch.load(silent), silent)  # the tensors alone
    given = Given(pixels=(127.5, 127.5), activation="relu6")
    sizes = []
    for path, own in ((silent, None), (silent, (48, 40)), (said, None)):
        network = open_pretrained(str(path), given=replace(given, size=own), size=(64, 96)).model.network
        sizes.append((network.height, network.width))
    assert sizes == [(64, 96), (48, 40), (32, 32)]


def test_a_plus_in_the_name_of_one_file(tmp_path: Path, random_model) -> None:
    random_model(SMALL).save(tmp_path / "a+b.safetensors")
    assert open_pretrained(str(tmp_path / "a+b.safetensors")).model.network == SMALL


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_model) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    random_model(SMALL).save(tmp_path / "m.safetensors")
    assert open_pretrained("~/m.safetensors").model.network == SMALL


@pytest.mark.parametrize(
    "name", ["missing.h5", "runs/missing", "./missing", "~/missing", "a.tflite+b.tflite", "x.ONNX"]
)
def test_a_path_that_does_not_exist_is_said_to_be_one(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match="no such file, and no published network has that name"):
        open_pretrained(name)


@pytest.mark.parametrize("name", ["imagnet", "keras/0.25-129", "imagenet:keras", "timm/x.safetensors", ""])
def test_what_is_neither_path_nor_name_lists_names(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no published network is named"):
        open_pretrained(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"holds no best\.safetensors"):
        open_pretrained(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "huge header", "none"])
def test_a_damaged_safetensors_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"x\.safetensors") as error:
        open_pretrained(str(tmp_path / "x.safetensors"))
    assert "\n" not in str(error.value)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="trained networks are read from"):
        open_pretrained(str(tmp_path / "x.txt"))

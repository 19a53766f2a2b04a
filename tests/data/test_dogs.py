"""Stanford Dogs in its published layout, and classes told by the names of files."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError

scipy_io = pytest.importorskip("scipy.io")
BREEDS = ("n02085620-Chihuahua", "n02116738-African_hunting_dog")


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def save_list(path: Path, files: list[str]) -> None:
    """As the authors did: a cell array of names, one a row."""
    cells = np.empty((len(files), 1), object)
    cells[:, 0] = files
    path.parent.mkdir(exist_ok=True)
    scipy_io.savemat(path, {"file_list": cells, "labels": np.ones((len(files), 1))})


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    files = [f"{breed}/{breed[:9]}_{i}.jpg" for breed in BREEDS for i in range(6)]
    for number, file in enumerate(files):
        photo(tmp_path / "Images" / file, number)
    save_list(tmp_path / "lists" / "train_list.mat", [f for f in files if f[-5] in "0123"])
    save_list(tmp_path / "lists" / "test_list.mat", [f for f in files if f[-5] in "45"])
    return tmp_path


def test_lists_say_train_and_test(dogs: Path) -> None:
    dataset = open_dataset(dogs)
    assert dataset.labels == ("African_hunting_dog", "Chihuahua")
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 8 and len(dataset.splits["test"]) == 4
    assert {sample.name for sample in dataset.splits["test"]} == {
        f"Images/{breed}/{breed[:9]}_{i}.jpg" for breed in BREEDS for i in (4, 5)
    }


def test_what_is_no_list(dogs: Path) -> None:
    (dogs / "lists" / "test_list.mat").write_bytes(b"not MATLAB")
    with pytest.raises(DataError, match=r"test_list.mat: the variable file_list cannot be read"):
        open_dataset(dogs)
    for name in ("../elsewhere.jpg", "n02085620-Chihuahua.jpg", "Chihuahua/1.jpg", "n02085620-Chihuahua/../1.jpg"):
        save_list(dogs / "lists" / "test_list.mat", [name])
        with pytest.raises(DataError, match=f"'{re.escape(name)}' must be WNID-BREED/IMAGE.jpg"):
            open_dataset(dogs)
    (dogs / "lists" / "test_list.mat").unlink()
    with pytest.raises(DataError, match=r"test_list\.mat is missing"):
        open_dataset(dogs)


def test_names_of_files_tell_the_class(tmp_path: Path) -> None:
    for number, name in enumerate(["Maine_Coon_1", "Maine_Coon_2", "pug 1", "pug 2", "pug 3"]):
        photo(tmp_path / f"{name}.jpg", number)
    dataset = open_dataset(tmp_path, 0.3)
    assert dataset.labels == ("Maine_Coon", "pug")
    assert "the part before the number" in dataset.notes[0]


def test_a_camera_s_names_tell_nothing(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"IMG_{number:04}.jpg", number)
    with pytest.raises(DataError, match="its 3 images are in no class folder"):
        open_dataset(tmp_path)

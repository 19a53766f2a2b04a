"""Hugging Face's imagefolder with metadata.csv or metadata.jsonl; folders of other tasks."""

import json
from pathlib import Path

import pytest
from layouts import write

from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError

FLAT = {f"{i}.jpg": i for i in range(8)}


def csv(names: list[str]) -> str:
    return "file_name,label\n" + "".join(f"{name},{label}\n" for name, label in told(names))


def jsonl(names: list[str]) -> str:
    return "".join(json.dumps({"file_name": name, "label": label}) + "\n" for name, label in told(names))


def told(names: list[str]) -> list[tuple[str, str]]:
    return [(name, "dog" if at % 2 else "cat") for at, name in enumerate(names)]


@pytest.mark.parametrize(("file", "text"), [("metadata.csv", csv), ("metadata.jsonl", jsonl)])
def test_in_one_folder(tmp_path: Path, file: str, text) -> None:
    dataset = open_dataset(write(tmp_path, {**FLAT, file: text(list(FLAT))}))
    assert dataset.labels == ("cat", "dog")
    assert sum(map(len, dataset.splits.values())) == 8


@pytest.mark.parametrize(("file", "text"), [("metadata.csv", csv), ("metadata.jsonl", jsonl)])
def test_in_the_folder_of_each_split(tmp_path: Path, file: str, text) -> None:
    parts = {
        "Train": ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],
        "validation": ["4.jpg", "5.jpg"],
        "test": ["6.jpg", "7.jpg"],
    }
    files = {f"{part}/{name}": FLAT[name] for part, here in parts.items() for name in here}
    tables = {f"{part}/{file}": text(here) for part, here in parts.items()}
    dataset = open_dataset(write(tmp_path, files | tables))
    assert {split: [s.name for s in samples] for split, samples in dataset.splits.items()} == {
        "train": [f"Train/{i}.jpg" for i in range(4)],
        "val": ["validation/4.jpg", "validation/5.jpg"],
        "test": ["test/6.jpg", "test/7.jpg"],
    }
    assert dataset.splits["test"][0].read() == (tmp_path / "test/6.jpg").read_bytes()


def test_splits_told_by_the_paths(tmp_path: Path) -> None:
    files = {f"{'train' if i < 4 else 'val'}/{i}.jpg": i for i in range(8)}
    dataset = open_dataset(write(tmp_path, {**files, "metadata.csv": csv(list(files))}))
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 4}


def test_a_class_named_train_is_no_split(tmp_path: Path) -> None:
    files = {f"{'train' if i % 2 else 'bus'}/{i}.jpg": i for i in range(8)}
    dataset = open_dataset(write(tmp_path, {**files, "metadata.csv": csv(list(files))}))
    assert sum(map(len, dataset.splits.values())) == 8


def test_what_is_not_listed_is_counted(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**FLAT, "metadata.csv": csv(list(FLAT)[:6]), "x.dng": "x"}))
    assert dataset.notes[:2] == (
        "1 photos in unsupported formats: 1 .dng (first: x.dng): convert them to JPEG or PNG",
        "ignored 2 images that metadata.csv does not list (first: 6.jpg)",
    )


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        (
            {**FLAT, "metadata.csv": csv(list(FLAT)), "metadata.jsonl": "x"},
            "has both metadata.csv and metadata.jsonl",
        ),
        (
            {**FLAT, "metadata.csv": "file_name,text\n1.jpg,a cat\n"},
            "metadata.csv: .* lacks label, has: file_name, text",
        ),
        ({**FLAT, "metadata.csv": csv(["a.jpg", "b.jpg"])}, "line 2: .*a.jpg: no such file, nor any other of the 2"),
        ({**FLAT, "train.csv": csv(list(FLAT))}, "in no class folder.*; did you mean .*train.csv"),
        (
            {"JPEGImages/1.jpg": 1, "Annotations/1.xml": "x"},
            "no image in Annotations; Annotations/: boxes are .*",
        ),
        ({"train/1.jpg": 1, "train/_annotations.coco.json": "{}"}, r"train/\*.coco.json: boxes are .* --task detect"),
        ({"train2017/1.jpg": 1, "annotations/x.json": "{}"}, "annotations/: boxes are learned with --task detect"),
        ({"1.jpg": 1, "list_attr_celeba.txt": "x"}, "attributes are learned with --task attributes"),
    ],
)
def test_errors(tmp_path: Path, files: dict[str, str | int], rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(write(tmp_path, files))
    assert "\n" not in str(caught.value)


def test_class_folders_beside_a_table_that_names_no_label(tmp_path: Path) -> None:
    files = {f"{'cat' if i % 2 else 'dog'}/{i}.jpg": i for i in range(8)}
    dataset = open_dataset(write(tmp_path, {**files, "metadata.csv": "file_name,text\ncat/1.jpg,a cat\n"}))
    assert dataset.labels == ("cat", "dog")

"""Folders: a folder per class, with and without splits, and what else lies about in them."""

import os
import shutil
from pathlib import Path

import pytest
from layouts import jpeg, state, write
from PIL import Image

from mobilenets.data.sources import Dataset, open_dataset, typical_short_side
from mobilenets.errors import DataError, ImageError, UsageError

SPLIT = {"train/cat/1.jpg": 1, "train/dog/2.jpg": 2, "val/cat/3.jpg": 3, "val/dog/4.jpg": 4}


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [sample.name for sample in samples] for split, samples in dataset.splits.items()}


def classes(count: int = 8) -> dict[str, int]:
    return {f"{name}/{i}.jpg": 100 * at + i for at, name in enumerate(("cat", "dog")) for i in range(count)}


def test_three_splits(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**SPLIT, "test/dog/deep/er/5.PNG": 5}))
    assert dataset.root == tmp_path
    assert dataset.labels == ("cat", "dog")
    assert names(dataset) == {
        "train": ["train/cat/1.jpg", "train/dog/2.jpg"],
        "val": ["val/cat/3.jpg", "val/dog/4.jpg"],
        "test": ["test/dog/deep/er/5.PNG"],
    }
    assert [sample.target for sample in dataset.splits["val"]] == [0, 1]
    assert dataset.splits["train"][1].read() == jpeg(2)
    assert dataset.notes == ("1 class has no image in test: cat",)


@pytest.mark.parametrize("word", ["val", "valid", "validation", "Validation"])
def test_words_for_val(tmp_path: Path, word: str) -> None:
    dataset = open_dataset(write(tmp_path, {name.replace("val", word): content for name, content in SPLIT.items()}))
    assert sorted(dataset.splits) == ["train", "val"]
    assert len(dataset.splits["val"]) == 2


def test_a_folder_per_class_is_split_by_content(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, classes(40)))
    val = {sample.name for sample in dataset.splits["val"]}
    assert 1 <= len(val) <= 20
    assert dataset.notes == (f"no val split: {len(val)} of 80 of the images held out by content hash",)


def test_renaming_and_moving_change_nothing(tmp_path: Path) -> None:
    first = open_dataset(write(tmp_path / "a", classes()))
    renamed = {name.replace(".jpg", "-x.jpeg"): number for name, number in reversed(classes().items())}
    second = open_dataset(write(tmp_path / "b", renamed))
    assert first.fingerprint == second.fingerprint
    for split in first.splits:
        assert {s.read() for s in first.splits[split]} == {s.read() for s in second.splits[split]}


def test_fingerprint_tells_what_differs(tmp_path: Path) -> None:
    before = open_dataset(write(tmp_path, classes())).fingerprint
    assert open_dataset(tmp_path, val_fraction=0.5).fingerprint != before
    write(tmp_path, {"cat/0.jpg": 999})
    assert open_dataset(tmp_path).fingerprint != before


def test_train_without_val(tmp_path: Path) -> None:
    files = {f"train/{name}": number for name, number in classes().items()}
    dataset = open_dataset(write(tmp_path, {**files, "test/cat/t.jpg": 1000}))
    assert {name.split("/")[0] for name in names(dataset)["val"]} == {"train"}
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 16
    assert names(dataset)["test"] == ["test/cat/t.jpg"]
    assert "held out by content hash" in dataset.notes[0]


def test_train_as_a_class(tmp_path: Path) -> None:
    dataset = open_dataset(
        write(tmp_path, {f"{kind}/{i}.jpg": i + at for at, kind in ((0, "bus"), (50, "train")) for i in range(4)})
    )
    assert dataset.labels == ("bus", "train")


def test_labels_file_fixes_names_and_order(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**SPLIT, "labels.txt": "\ufeffdog\r\ncat\r\n\r\n"}))
    assert dataset.labels == ("dog", "cat")
    assert [sample.target for sample in dataset.splits["train"]] == [1, 0]


def test_numbered_classes_are_sorted_by_value(tmp_path: Path) -> None:
    files = {f"train/{n}/a.jpg": n for n in (10, 9, 2)} | {"val/10/b.jpg": 50}
    assert open_dataset(write(tmp_path, files)).labels == ("2", "9", "10")


def test_accents_are_one_letter_however_they_are_stored(tmp_path: Path) -> None:
    files = {
        "cafe\u0301/1.jpg": 1,
        "cafe\u0301/2.jpg": 2,
        "bar/3.jpg": 3,
        "bar/4.jpg": 4,
        "labels.txt": "caf\u00e9\nbar",
    }
    assert open_dataset(write(tmp_path, files)).labels == ("caf\u00e9", "bar")


def test_litter_is_ignored_and_counted(tmp_path: Path) -> None:
    litter = {
        ".DS_Store": "x",
        "train/.hidden/1.jpg": 50,
        "train/cat/._1.jpg": "x",
        "train/cat/notes.txt": "x",
        "train/cat/1.xmp": "x",
        "train/loose.jpg": 51,
        "__MACOSX/cat/1.jpg": "x",
        "train/cat/@eaDir/1.jpg/thumb.jpg": "x",
        "extra/a.jpg": 52,
        "README.md": "x",
    }
    dataset = open_dataset(write(tmp_path, {**SPLIT, **litter}))
    assert sum(map(len, dataset.splits.values())) == 4
    assert dataset.notes == (
        "ignored 2 files that are no images by their names",
        "ignored 1 images that lie in no class folder",
        "ignored beside the splits: extra/",
    )


def test_a_test_folder_without_classes_is_ignored(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**SPLIT, "test/1.jpg": 50, "test/2.jpg": 51}))
    assert sorted(dataset.splits) == ["train", "val"]
    assert dataset.notes == ("ignored test/: its 2 images lie in no class folder",)


def test_links_that_lead_back_up(tmp_path: Path) -> None:
    write(tmp_path, SPLIT)
    (tmp_path / "train/cat/up").symlink_to(tmp_path / "train")
    (tmp_path / "train/cat/self").symlink_to("self")
    (tmp_path / "train/dog/loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(DataError, match="with two labels"):  # through the link, dogs lie below cat too
        open_dataset(tmp_path)
    (tmp_path / "train/cat/up").unlink()
    (tmp_path / "train/cat/here").symlink_to(".")
    assert len(open_dataset(tmp_path).splits["train"]) == 3


def test_what_cannot_be_read_stays_a_sample(tmp_path: Path) -> None:
    write(tmp_path, {**SPLIT, "train/cat/empty.jpg": ""})
    (tmp_path / "train/cat/broken.jpg").symlink_to("nowhere")
    (tmp_path / "train/cat/folder.jpg").mkdir()
    os.mkfifo(tmp_path / "train/cat/pipe.jpg")
    os.mkfifo(tmp_path / "train/cat/pipe")
    dataset = open_dataset(tmp_path)
    samples = {sample.name: sample for sample in dataset.splits["train"]}
    assert len(samples) == 6
    for kind in ("broken", "folder", "pipe"):
        with pytest.raises(ImageError):
            samples[f"train/cat/{kind}.jpg"].read()
    assert samples["train/cat/empty.jpg"].read() == b""


def test_names_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, SPLIT)
    odd = os.fsencode(tmp_path / "train/cat") + b"/\xff\n.jpg"
    shutil.copy(tmp_path / "train/cat/1.jpg", os.fsdecode(odd))
    name = names(open_dataset(tmp_path))["train"][1]
    assert name == "train/cat/\ufffd\ufffd.jpg"


def test_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, classes())
    before = state(tmp_path)
    for sample in open_dataset(tmp_path).splits["train"]:
        sample.read()
    assert state(tmp_path) == before


def test_typical_short_side(tmp_path: Path) -> None:
    assert typical_short_side(open_dataset(write(tmp_path, classes()))) == 12


def test_the_typical_short_side_is_the_median(tmp_path: Path) -> None:
    """Of both sides of each image the shorter one; what cannot be decoded counts for nothing."""
    sizes = [(90, 10), (20, 95), (30, 99), (93, 40), (50, 91)]
    for number, size in enumerate(sizes):
        label = tmp_path / ("train/cat" if number % 2 else "train/dog")
        label.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 0, 0)).save(label / f"{number}.png")
    write(tmp_path, {"train/cat/x.png": "no image", "val/cat/1.jpg": 1, "val/dog/2.jpg": 2})
    assert typical_short_side(open_dataset(tmp_path)) == 30


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({}, "the folder is empty"),
        ({".hidden": "x"}, "the folder is empty"),
        ({"cat/1.txt": "x", "dog/2.txt": "x"}, r"holds no image file \(\.avif, "),
        ({"1.jpg": 1, "2.jpg": 2}, "its 2 images lie in no class folder; expected CLASS/image.jpg"),
        ({"train/1.jpg": 1, "val/2.jpg": 2}, "train: its 1 images lie in no class folder"),
        ({"cat/1.jpg": 1, "cat/2.jpg": 2}, "'cat' is the only class: there is nothing to tell apart"),
        ({"cat/old/1.jpg": 1, "cat/2.jpg": 2}, "'cat' is the only class: there is nothing to tell apart"),
        ({"cat/old/1.jpg": 1, "cat/new/2.jpg": 2}, "'cat' would be the only class; did you mean"),
        ({"cat/1.jpg": 1, "dog/2.jpg": 2}, "no class has two different images"),
        ({**SPLIT, "val/cow/5.jpg": 5}, "1 class has no image in train: cow"),
        ({**SPLIT, "train/cow/5.txt": "x"}, "1 class has no image in train: cow"),
        ({**SPLIT, "labels.txt": "cat\ndog\ncow\n"}, "1 class has no image in train: cow"),
        ({**SPLIT, "labels.txt": "\n"}, "labels.txt: holds no name"),
        ({**SPLIT, "labels.txt": "cat\n\ndog\n"}, r"labels.txt: line 2 is empty"),
        ({**SPLIT, "labels.txt": "cat\ndog\ncat\n"}, "labels.txt: line 3 repeats 'cat'"),
        ({**SPLIT, "labels.txt": b"\xff\xfe"}, "labels.txt: cannot be read as UTF-8 text"),
        ({**SPLIT, "labels.txt": "cat\ncow\n"}, "train/dog/2.jpg: label 'dog' is none of the 2 classes: cat, cow"),
        ({"val/cat/1.jpg": 1, "test/dog/2.jpg": 2}, r"there is no train/ beside test/, val/"),
        ({**SPLIT, "valid/cat/7.jpg": 7}, r"val/ and valid/ are both val: keep one"),
        ({**SPLIT, "train/dog/7.jpg": 3}, "train and val.*: train/dog/7.jpg = val/cat/3.jpg|two labels"),
    ],
)
def test_errors(tmp_path: Path, files: dict[str, bytes | str | int], rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(write(tmp_path, files))
    assert "\n" not in str(caught.value)


def test_a_single_folder_with_splits_in_it(tmp_path: Path) -> None:
    write(tmp_path / "photos", SPLIT)
    with pytest.raises(DataError, match=r"\'photos\' would be the only class; did you mean .*photos\?"):
        open_dataset(tmp_path)


def test_paths_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a data set is a folder, or a \.csv, \.parquet or \.tar file"):
        open_dataset(tmp_path / "a.zip")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_dataset(tmp_path / "pipe")


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_val_fraction_is_checked(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(UsageError, match="must be above 0 and below 1"):
        open_dataset(write(tmp_path, SPLIT), val_fraction=fraction)


def test_flowers(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "flowers")
    assert dataset.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2934, "val": 736}
    assert "1 image is there with two labels: train/roses/15922772266_1167a06620.jpg (roses) =" in dataset.notes[0]

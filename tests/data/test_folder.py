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
    held = f"no val split: {len(val)} of 80 of the images held out by content hash (--split all evaluates on all)"
    assert dataset.notes == (held,)


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


@pytest.mark.parametrize("words", [("training_set", "test_set"), ("seg_train", "seg_test"), ("Train", "TEST")])
def test_splits_unpacked_into_a_folder_of_the_same_name(tmp_path: Path, words: tuple[str, str]) -> None:
    train, test = words
    files = {f"{train}/{train}/{name}": number for name, number in classes().items()}
    dataset = open_dataset(write(tmp_path, {**files, f"{test}/{test}/cat/1.jpg": 900, f"{test}/{test}/dog/1.jpg": 901}))
    assert dataset.labels == ("cat", "dog")
    assert names(dataset)["test"] == [f"{test}/{test}/cat/1.jpg", f"{test}/{test}/dog/1.jpg"]


def test_cats_and_dogs_by_their_names(tmp_path: Path) -> None:
    files = {f"train/{name}.{number}.jpg": number + at for at, name in ((0, "cat"), (50, "dog")) for number in range(6)}
    assert open_dataset(write(tmp_path, files)).labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        ({"cat/1.jpg": 1, "dog/2.jpg": 2, "test/3.jpg": 3}, "the folder test/ is named like a split, next to"),
        ({"cat/1.jpg": 1, "training_set/2.jpg": 2}, "training_set/ is named like a split, next to cat/"),
        ({"train/1.jpg": 1, "test/2.jpg": 2, "more/3.jpg": 3}, "test/ is named like a split, next to more/"),
        ({"train/cat/1.jpg": 1, "train/val/2.jpg": 2}, "val/ is named like a split, next to cat/"),
        ({"a/cat/1.jpg": 1, "a/dog/2.jpg": 2, "b/cat/3.jpg": 3, "b/dog/4.jpg": 4}, "a/, b/ would be .* cat/, dog/"),
        ({"cat/train/1.jpg": 1, "dog/train/2.jpg": 2}, "cat/, dog/ would be the classes, but all contain .* train/"),
        ({"train/x/cat/1.jpg": 1, "train/x/dog/2.jpg": 2, "train/y/cat/1.jpg": 3, "train/y/dog/2.jpg": 4}, "x/, y/"),
    ],
)
def test_folders_that_are_hardly_classes(tmp_path: Path, files: dict[str, int], seen: str) -> None:
    with pytest.raises(DataError, match=seen) as caught:
        open_dataset(write(tmp_path, files))
    assert "labels.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_labels_file_says_that_folders_are_classes(tmp_path: Path) -> None:
    files = {
        f"{name}/{part}/{at}.jpg": hash((name, part, at)) % 9999
        for name in ("a", "test")
        for part in "xy"
        for at in range(4)
    }
    assert open_dataset(write(tmp_path, {**files, "labels.txt": "test\na\n"})).labels == ("test", "a")


def test_one_folder_of_images_in_each_class(tmp_path: Path) -> None:
    """As Tiny ImageNet is published."""
    files = {name.replace("/", "/images/"): number for name, number in classes().items()}
    assert open_dataset(write(tmp_path, files)).labels == ("cat", "dog")


ODD_NAMES = ("\u0645\u06cc\u200c\u0631\u0648\u0645", "black\u00a0cat", "a\u200cb", "a\u200db", "a\u2028b", "c\ufeff")


def test_class_names_stay_letter_for_letter(tmp_path: Path) -> None:
    files = {f"{name}/{i}.jpg": 10 * at + i for at, name in enumerate(ODD_NAMES) for i in range(3)}
    assert open_dataset(write(tmp_path, files)).labels == tuple(sorted(ODD_NAMES))
    listed = "".join(f"{name}\r\n" for name in ODD_NAMES)
    assert open_dataset(write(tmp_path, {"labels.txt": listed})).labels == ODD_NAMES


@pytest.mark.parametrize(
    ("folder", "rule"),
    [
        (b"a\x1bb", r"a\\x1bb' has a control character or invalid UTF-8"),
        (b"a\xff", r"a\\udcff' has a control character or invalid UTF-8"),
        (b"dog ", "the folders 'dog' and 'dog ' have the same class name: rename one"),
        ("caf\u00e9".encode(), r"the folders 'cafe\\u0301' and 'caf\\xe9' have the same class name"),
    ],
)
def test_class_names_that_cannot_be(tmp_path: Path, folder: bytes, rule: str) -> None:
    write(tmp_path, {"cafe\u0301/1.jpg": 1, "dog/2.jpg": 2})
    path = os.path.join(os.fsencode(tmp_path), folder)
    os.mkdir(path)
    shutil.copy(tmp_path / "dog/2.jpg", os.path.join(os.fsdecode(path), "3.jpg"))
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(tmp_path)
    assert str(caught.value).isprintable()


def test_unread_photos_are_named_by_train(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**classes(), "cat/x.CR2": "x", "dog/y.dng": "y", "dog/notes.txt": "z"}))
    assert dataset.notes[:2] == (
        "2 photos in unsupported formats: 1 .cr2, 1 .dng (first: cat/x.CR2): convert them to JPEG or PNG",
        "ignored 1 files without an image's file name extension",
    )
    with pytest.raises(DataError, match=r"has no image file .*1 photos .* 1 \.dng"):
        open_dataset(write(tmp_path / "other", {"a/1.dng": "x", "b/2.txt": "y"}))


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
        "ignored 2 files without an image's file name extension",
        "ignored 1 images in no class folder",
        "ignored folders next to the splits: extra/",
    )


def test_a_test_folder_without_classes_is_ignored(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**SPLIT, "test/1.jpg": 50, "test/2.jpg": 51}))
    assert sorted(dataset.splits) == ["train", "val"]
    assert dataset.notes == ("ignored test/: its 2 images are in no class folder",)


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
    assert name == r"train/cat/\udcff\n.jpg"


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
    broken = {f"train/cat/{name}.png": f"no image {name}" for name in "xyz"}
    write(tmp_path, {**broken, "val/cat/1.jpg": 1, "val/dog/2.jpg": 2})
    assert typical_short_side(open_dataset(tmp_path)) == 30


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({}, "the folder is empty"),
        ({".hidden": "x"}, "the folder is empty"),
        ({"cat/1.txt": "x", "dog/2.txt": "x"}, r"has no image file \(\.avif, "),
        ({"1.jpg": 1, "2.jpg": 2}, "its 2 images are in no class folder; expected CLASS/image.jpg"),
        ({"train/1.jpg": 1, "val/2.jpg": 2}, "train: its 1 images are in no class folder"),
        ({"cat/1.jpg": 1, "cat/2.jpg": 2}, "'cat' is the only class, at least two are needed"),
        ({"cat/old/1.jpg": 1, "cat/2.jpg": 2}, "'cat' is the only class, at least two are needed"),
        ({"cat/old/1.jpg": 1, "cat/new/2.jpg": 2}, "'cat' is the only class folder; did you mean"),
        ({"cat/1.jpg": 1, "dog/2.jpg": 2}, "no class has two different images"),
        ({**SPLIT, "val/cow/5.jpg": 5}, "1 class has no image in train: cow"),
        ({**SPLIT, "train/cow/5.txt": "x"}, "1 class has no image in train: cow"),
        ({**SPLIT, "labels.txt": "cat\ndog\ncow\n"}, "1 class has no image in train: cow"),
        ({**SPLIT, "labels.txt": "\n"}, "labels.txt: has no name"),
        ({**SPLIT, "labels.txt": "cat\n\ndog\n"}, r"labels.txt: line 2 is empty"),
        ({**SPLIT, "labels.txt": "cat\ndog\ncat\n"}, "labels.txt: line 3 repeats 'cat'"),
        ({**SPLIT, "labels.txt": b"\xff\xfe"}, "labels.txt: cannot be read as UTF-8 text"),
        ({**SPLIT, "labels.txt": "cat\ncow\n"}, "train/dog/2.jpg: label 'dog' is not one of the 2 classes: cat, cow"),
        ({"val/cat/1.jpg": 1, "test/dog/2.jpg": 2}, r"train/ is missing next to test/, val/"),
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
    with pytest.raises(DataError, match=r"\'photos\' is the only class folder; did you mean .*photos\?"):
        open_dataset(tmp_path)


def test_paths_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a data set is a folder, or a \.csv, \.tsv, \.jsonl, \.parquet or \.tar file"):
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

"""Data sets named by WordNet ids, and data sets that are not split."""

from pathlib import Path

import pytest
from layouts import parquet, write

from mobilenets.data.imagenet import by_wnid, names, wnid_of
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError

TENCH, GOLDFISH, TOILET_TISSUE = "n01440764", "n01443537", "n15075141"
FOLDERS = {f"{wnid}/{i}.jpg": 10 * at + i for at, wnid in enumerate((TOILET_TISSUE, TENCH)) for i in range(4)}
FLAT = {f"{wnid}_{i}.JPEG": 10 * at + i for at, wnid in enumerate((TOILET_TISSUE, TENCH)) for i in range(4)}


def test_the_table() -> None:
    assert len(by_wnid()) == len(set(names())) == 1000
    assert list(by_wnid()) == sorted(by_wnid())
    assert (by_wnid()[TENCH], by_wnid()[GOLDFISH], by_wnid()[TOILET_TISSUE]) == ("tench", "goldfish", "toilet tissue")
    assert (names()[0], names()[1], names()[999]) == ("tench", "goldfish", "toilet tissue")


@pytest.mark.parametrize(
    ("file", "wnid"),
    [
        ("n01440764_tench.jpg", "n01440764"),
        ("n01440764_", "n01440764"),
        ("n01440764.jpg", None),
        ("n00000000_entity.jpg", None),
        ("_n01440764", None),
        ("", None),
    ],
)
def test_wnid_of(file: str, wnid: str | None) -> None:
    assert wnid_of(file) == wnid


@pytest.mark.parametrize("files", [FOLDERS, FLAT], ids=["folders", "flat"])
def test_ids_become_names_in_their_order(tmp_path: Path, files: dict[str, int]) -> None:
    dataset = open_dataset(write(tmp_path, files))
    assert dataset.labels == ("tench", "toilet tissue")
    of_class = {sample.name[:9]: sample.target for split in dataset.splits.values() for sample in split}
    assert of_class == {TENCH: 0, TOILET_TISSUE: 1}
    assert sum(map(len, dataset.splits.values())) == 8


@pytest.mark.parametrize("files", [FOLDERS, FLAT], ids=["folders", "flat"])
def test_below_splits(tmp_path: Path, files: dict[str, int]) -> None:
    splits = {f"{split}/{name}": at + n for at, split in ((0, "train"), (100, "val")) for name, n in files.items()}
    dataset = open_dataset(write(tmp_path, splits))
    assert dataset.labels == ("tench", "toilet tissue")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 8, "val": 8}


def test_labels_txt_goes_before(tmp_path: Path) -> None:
    write(tmp_path, {**FOLDERS, "labels.txt": f"{TOILET_TISSUE}\n{TENCH}\n"})
    assert open_dataset(tmp_path).labels == (TOILET_TISSUE, TENCH)
    write(tmp_path, {"labels.txt": "toilet tissue\ntench\n"})
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("toilet tissue", "tench")
    assert {sample.name[:9]: sample.target for sample in dataset.splits["train"]} == {TENCH: 1, TOILET_TISSUE: 0}
    write(tmp_path, {"labels.txt": "paper\nfish\n"})
    with pytest.raises(DataError, match="label 'n01440764' is not one of the 2 classes: paper, fish"):
        open_dataset(tmp_path)


def test_one_folder_of_another_name_and_all_keep_theirs(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {**FOLDERS, "daisy/1.jpg": 50, "daisy/2.jpg": 51}))
    assert dataset.labels == ("daisy", TENCH, TOILET_TISSUE)


def test_one_file_of_another_name_and_none_is_labelled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its 9 images are in no class folder"):
        open_dataset(write(tmp_path, {**FLAT, "n00000000_entity.jpg": 50}))


def test_other_layouts_too(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet", list(range(8)), [0, 1] * 4, [TENCH, GOLDFISH])
    assert open_dataset(tmp_path).labels == ("tench", "goldfish")


def test_one_image_a_class_is_taken_whole(tmp_path: Path) -> None:
    write(tmp_path, {f"{TENCH}_a.jpg": 1, f"{GOLDFISH}_b.jpg": 2})
    with pytest.raises(DataError, match=r"no validation split can be held out; .* --split all$"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, val_fraction=None)
    assert [(sample.name, sample.target) for sample in dataset.splits.pop("all")] == [
        (f"{TENCH}_a.jpg", 0),
        (f"{GOLDFISH}_b.jpg", 1),
    ]
    assert dataset.splits == {} and dataset.notes == ()


def test_all_is_every_split_and_asks_nothing_of_them(tmp_path: Path) -> None:
    """An image in train and val makes no score a lie that is over both."""
    files = {"test/dog/4.jpg": 4, "train/cat/1.jpg": 1, "val/cat/2.jpg": 1, "val/dog/3.jpg": 3}
    dataset = open_dataset(write(tmp_path, files), val_fraction=None)
    assert [sample.name for sample in dataset.splits["all"]] == sorted(files)
    assert dataset.notes == ("1 image is there more than once (first: train/cat/1.jpg = val/cat/2.jpg)",)


def test_all_still_refuses_contradicting_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 image is there with two labels"):
        open_dataset(write(tmp_path, {"cat/1.jpg": 1, "dog/2.jpg": 1, "dog/3.jpg": 3}), val_fraction=None)


def test_the_shared_photographs(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "imagenet-1000", val_fraction=None)
    assert dataset.labels == names()
    assert [sample.target for sample in dataset.splits["all"]] == list(range(1000))

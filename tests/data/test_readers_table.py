"""The table feature x reader: each reader of data has each feature, or a hole that is named here with its reason.

A feature is a function of a reader; it passes, or the pair stands in `HOLES` and it fails. A hole that closes fails its
test as much as one that opens.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from layouts import jpeg, parquet, tar, write

from mobilenets.data.sources import Dataset, open_dataset
from mobilenets.errors import DataError
from mobilenets.tasks.detect import Detect


@dataclass(frozen=True)
class Item:
    """One labelled image to be written; `split` is the word that the data set says."""

    number: int
    label: str
    split: str | None = None
    suffix: str = ".jpg"
    missing: bool = False
    copy_of: int | None = None

    @property
    def file(self) -> str:
        return f"i{self.number}{self.suffix}"

    @property
    def content(self) -> bytes:
        return b"no image" if self.suffix == ".cr2" else jpeg(self.number if self.copy_of is None else self.copy_of)


Items = list[Item]
ITEMS = [Item(number, "dog" if number % 2 else "cat") for number in range(12)]


def files(items: Items, folder: Callable[[Item], str]) -> dict[str, bytes]:
    return {f"{folder(item)}/{item.file}": item.content for item in items if not item.missing}


def in_split(item: Item) -> str:
    return item.split or "."


# readers: each writes the items below a folder, and returns what is to be opened


def folders(root: Path, items: Items) -> Path:
    return write(root, files(items, lambda item: f"{in_split(item)}/{item.label}"))


def table(root: Path, items: Items, name: str, delimiter: str) -> Path:
    lines = [["path", "label", *(["split"] if items[0].split else [])]]
    lines += [[f"images/{item.file}", item.label, *([item.split] if item.split else [])] for item in items]
    write(root, files(items, lambda item: "images") | {name: "".join(delimiter.join(line) + "\n" for line in lines)})
    return root / name


def csv(root: Path, items: Items) -> Path:
    return table(root, items, "data.csv", ",")


def tsv(root: Path, items: Items) -> Path:
    return table(root, items, "data.tsv", "\t")


def jsonl(root: Path, items: Items) -> Path:
    rows = [
        {"file_name": f"images/{i.file}", "label": i.label} | ({"split": i.split} if i.split else {}) for i in items
    ]
    write(root, files(items, lambda item: "images") | {"data.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    return root / "data.jsonl"


def metadata(root: Path, items: Items, name: str, line: Callable[[Item], str], head: str = "") -> Path:
    texts: dict[str, str] = {}
    for item in items:
        path = f"{in_split(item)}/{name}"
        texts[path] = texts.get(path, head) + line(item)
    return write(root, files(items, in_split) | texts)


def metadata_csv(root: Path, items: Items) -> Path:
    return metadata(root, items, "metadata.csv", lambda i: f"{i.file},{i.label}\n", "file_name,label\n")


def metadata_jsonl(root: Path, items: Items) -> Path:
    return metadata(root, items, "metadata.jsonl", lambda i: json.dumps({"file_name": i.file, "label": i.label}) + "\n")


def parquet_files(root: Path, items: Items) -> Path:
    for split in sorted({item.split for item in items}, key=str):
        own = [item for item in items if item.split == split]
        cells = [{"bytes": None if item.missing else item.content, "path": item.file} for item in own]
        path = parquet(root / f"{split or 'data'}.parquet", cells, [item.label for item in own])
    return root if items[0].split else path


def shards(root: Path, items: Items) -> Path:
    for split in sorted({item.split for item in items}, key=str):
        content: dict[str, bytes | str] = {}
        for item in items:
            if item.split == split:
                content |= {} if item.missing else {item.file: item.content}
                content[f"i{item.number}.cls"] = item.label
        path = tar(root / f"{split or 'data'}.tar", content)
    return root if items[0].split else path


def voc(root: Path, items: Items) -> Path:
    def xml(item: Item) -> str:
        edges = "".join(f"<{name}>{at}</{name}>" for name, at in (("xmin", 1), ("ymin", 1), ("xmax", 9), ("ymax", 9)))
        thing = f"<object><name>{item.label}</name><bndbox>{edges}</bndbox></object>"
        size = "<size><width>16</width><height>12</height></size>"
        return f"<annotation><filename>{item.file}</filename>{size}{thing}</annotation>"

    lists: dict[str, str] = {}
    for item in items:
        if item.split:
            path = f"ImageSets/Main/{item.split}.txt"
            lists[path] = lists.get(path, "") + f"i{item.number}\n"
    texts = {f"Annotations/i{item.number}.xml": xml(item) for item in items}
    return write(root, files(items, lambda item: "JPEGImages") | texts | lists)


def coco(root: Path, items: Items) -> Path:
    names = sorted({item.label for item in items})
    for split in sorted({item.split for item in items}, key=str):
        own = [item for item in items if item.split == split]
        content = {
            "images": [{"id": item.number, "file_name": item.file, "width": 16, "height": 12} for item in own],
            "categories": [{"id": at, "name": name} for at, name in enumerate(names)],
            "annotations": [
                {"id": at, "image_id": item.number, "category_id": names.index(item.label), "bbox": [1, 1, 8, 8]}
                for at, item in enumerate(own)
            ],
        }
        write(root, {f"annotations/instances_{split or 'all'}.json": json.dumps(content)})
    return write(root, files(items, lambda item: item.split or "images"))


READERS = {
    "folder": folders,
    "csv": csv,
    "tsv": tsv,
    "jsonl": jsonl,
    "metadata.csv": metadata_csv,
    "metadata.jsonl": metadata_jsonl,
    "parquet": parquet_files,
    "tar": shards,
    "voc": voc,
    "coco": coco,
}


@dataclass(frozen=True)
class Reader:
    name: str
    root: Path

    def open(self, items: Items, **files: str) -> Dataset:
        path = READERS[self.name](self.root, items)
        write(self.root, files)
        return Detect().open(path) if self.name in ("voc", "coco") else open_dataset(path)


def labels_of(dataset: Dataset, split: str) -> list[str]:
    """The label of each image, of detection that of its one box."""
    targets = [sample.target for sample in dataset.splits[split]]
    return [dataset.labels[target if isinstance(target, int) else int(target.labels[0])] for target in targets]


# features


def labels(reader: Reader) -> None:
    dataset = reader.open(ITEMS)
    assert dataset.labels == ("cat", "dog")
    found = {
        sample.read(): label
        for split, samples in dataset.splits.items()
        for sample, label in zip(samples, labels_of(dataset, split), strict=True)
    }
    assert found == {item.content: item.label for item in ITEMS}


def labels_txt(reader: Reader) -> None:
    """A labels.txt beside the data fixes the order of the classes."""
    dataset = reader.open(ITEMS, **{"labels.txt": "dog\ncat\n"})
    assert dataset.labels == ("dog", "cat")
    assert sorted(labels_of(dataset, "train") + labels_of(dataset, "val")) == ["cat"] * 6 + ["dog"] * 6


def numbers_in_order(reader: Reader) -> None:
    """Classes whose names are numbers stand by their value."""
    items = [replace(item, label=str((10, 9, 2)[item.number % 3])) for item in ITEMS]
    assert reader.open(items).labels == ("2", "9", "10")


def exact_names(reader: Reader) -> None:
    """Class names stay letter for letter."""
    names = ["black\u00a0cat", "a\u200cb", "a\u200db"]
    items = [replace(item, label=names[item.number % 3]) for item in ITEMS]
    assert sorted(reader.open(items).labels) == sorted(names)


def split_as(*words: str) -> Callable[[Reader], None]:
    def check(reader: Reader) -> None:
        items = [replace(item, split=words[item.number // 4]) for item in ITEMS]
        dataset = reader.open(items)
        assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 4, "test": 4}
        assert {s.read() for s in dataset.splits["test"]} == {item.content for item in items[8:]}

    return check


def held_out(reader: Reader) -> None:
    """Without a val split some of train becomes val, and a note says so."""
    dataset = reader.open(ITEMS)
    assert dataset.splits.keys() == {"train", "val"}
    assert any("held out by content hash" in note for note in dataset.notes)


def endings(reader: Reader) -> None:
    """Capital and other endings are read."""
    suffixes = (".JPG", ".jpeg", ".PNG", ".JPEG")
    items = [replace(item, suffix=suffixes[item.number % 4]) for item in ITEMS]
    dataset = reader.open(items)
    assert {s.read() for samples in dataset.splits.values() for s in samples} == {item.content for item in items}


def unread_endings(reader: Reader) -> None:
    """Photos of a format that is not read are named with their ending."""
    dataset = reader.open([*ITEMS, Item(99, "cat", suffix=".cr2")])
    assert any("unsupported formats: 1 .cr2" in note for note in dataset.notes)


def duplicates(reader: Reader) -> None:
    """One image under two labels is refused by name."""
    with pytest.raises(DataError, match="1 image is there with two"):
        reader.open([*ITEMS, Item(98, "cat", copy_of=3)])


def missing_files(reader: Reader) -> None:
    """A listed image that is not there is named, whatever else would be said."""
    with pytest.raises(DataError, match=r"i0\.jpg.*(no such file|does not exist in|is in none of)"):
        reader.open([replace(item, missing=True) for item in ITEMS])


FEATURES: dict[str, Callable[[Reader], None]] = {
    "labels": labels,
    "labels.txt": labels_txt,
    "numbers in order": numbers_in_order,
    "exact names": exact_names,
    "splits": split_as("train", "val", "test"),
    "split words": split_as("Training", "validation", "TEST"),
    "held out": held_out,
    "endings": endings,
    "unread endings": unread_endings,
    "duplicates": duplicates,
    "missing files": missing_files,
}

NOTHING_LISTED = "it lists nothing that could be missing"
HOLES = {
    ("labels.txt", "coco"): "COCO numbers its categories itself",
    ("numbers in order", "coco"): "categories stand by their ids",
    ("unread endings", "parquet"): "its rows hold bytes, without an ending; what cannot be decoded is named by its row",
    ("missing files", "folder"): NOTHING_LISTED,
    ("missing files", "tar"): NOTHING_LISTED,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(tmp_path: Path, feature: str, reader: str) -> None:
    reason = HOLES.get((feature, reader))
    try:
        FEATURES[feature](Reader(reader, tmp_path))
    except (AssertionError, DataError, pytest.fail.Exception):
        if reason is None:
            raise
        return
    assert reason is None, f"this hole is closed, take it out of HOLES: {reason}"


def test_every_hole_is_of_a_feature_and_a_reader() -> None:
    assert {feature for feature, _ in HOLES} <= FEATURES.keys()
    assert {reader for _, reader in HOLES} <= READERS.keys()

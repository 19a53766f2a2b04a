"""WebDataset shards."""

import tarfile
from pathlib import Path

import pytest
from layouts import jpeg, state, tar

from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, ImageError


def shard(start: int, count: int = 4) -> dict[str, bytes | str | int]:
    """`count` pairs key.jpg, key.cls with the classes 0 and 1."""
    files: dict[str, bytes | str | int] = {}
    for i in range(start, start + count):
        files |= {f"{i:04d}.jpg": i, f"{i:04d}.cls": f"{i % 2}\n"}
    return files


def test_folder_of_shards(tmp_path: Path) -> None:
    tar(tmp_path / "train-0001.tar", shard(4))
    tar(tmp_path / "train-0000.tar", shard(0))
    tar(tmp_path / "val-0000.tar", shard(8))
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    before = state(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("dog", "cat")
    assert [s.name for s in dataset.splits["train"]][3:5] == ["train-0000.tar:0003.jpg", "train-0001.tar:0004.jpg"]
    assert [s.target for s in dataset.splits["train"]] == [0, 1] * 4
    assert [s.read() for s in dataset.splits["val"]] == [jpeg(i) for i in range(8, 12)]
    assert state(tmp_path) == before


def test_labels_of_every_kind(tmp_path: Path) -> None:
    """.cls goes before .json and .txt (a caption); the label may come first; keys may lie in folders and hold dots."""
    files = {
        "a/1.cls": "cat",
        "a/1.txt": "a cat on a mat",
        "a/1.jpg": 1,
        "b/1.jpg": 2,
        "b/1.json": '{"label": "dog"}',
        "b/1.txt": "a dog",
        "2.PNG": 3,
        "2.txt": "dog\n",
        "2.seg.png": 4,
        "3.jpg": 5,
        "3.json": '{"label": "cat", "width": 9}',
        "alone.jpg": 6,
        "alone.json": '{"width": 9}',
        "lonely.jpg": 7,
        "README.md": "x",
    }
    dataset = open_dataset(tar(tmp_path / "x.tar", files))
    found = {s.name: dataset.labels[s.target] for part in dataset.splits.values() for s in part}
    assert found == {"x.tar:a/1.jpg": "cat", "x.tar:b/1.jpg": "dog", "x.tar:2.PNG": "dog", "x.tar:3.jpg": "cat"}
    note = "ignored 2 images with no .cls, .txt or .json with a label (first: x.tar:alone.jpg)"
    assert dataset.notes[0] == note


def test_numbers_without_names(tmp_path: Path) -> None:
    assert open_dataset(tar(tmp_path / "x.tar", shard(0))).labels == ("0", "1")


def test_a_shard_that_shrinks_later(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", shard(0))
    sample = open_dataset(path).splits["train"][-1]
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ImageError, match=r"x\.tar is truncated"):
        sample.read()
    path.unlink()
    with pytest.raises(ImageError, match=r"x\.tar cannot be read: No such file"):
        sample.read()


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({}, "has no labelled image"),
        ({"1.jpg": 1, "2.jpg": 2}, r"x.tar:1.jpg: no .cls, .txt or .json with a label for it, nor for any other"),
        ({"1.jpg": 1, "1.json": "{"}, r"x.tar:1.json: is not JSON"),
        ({"1.jpg": 1, "1.cls": b"\xff"}, r"x.tar:1.cls: is not UTF-8 text"),
        ({"1.jpg": 1, "1.json": '{"label": [1]}'}, r"1.json: label \(=\[1\]\) must be a string or an integer"),
        ({"1.jpg": 1, "1.cls": "\n", **shard(2)}, r"x.tar:1.jpg: the label is empty"),
        ({"1.jpg": 1, "1.cls": "0"}, "'0' is the only class"),
    ],
)
def test_errors(tmp_path: Path, files: dict[str, bytes | str | int], rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(tar(tmp_path / "x.tar", files))
    assert "\n" not in str(caught.value)


def test_cut_and_compressed_shards(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x.tar", shard(0)).read_bytes()
    for size in range(512, whole.rstrip(b"\0").__len__(), 700):
        (tmp_path / "x.tar").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"x.tar: (has no end-of-archive mark|.*unexpected end of data)"):
            open_dataset(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "y.tar", "w:gz") as archive:
        archive.add(tmp_path / "x.tar", "1.jpg")
    with pytest.raises(DataError, match=r"y.tar: cannot be read as an uncompressed .tar"):
        open_dataset(tmp_path / "y.tar")


def test_photos_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {**shard(0, 8), "x/9.CR2": "photo", "x/9.cls": "1"})
    assert open_dataset(path).notes[0] == (
        "1 photos in unsupported formats: 1 .cr2 (first: a.tar:x/9.CR2): convert them to JPEG or PNG"
    )
    with pytest.raises(DataError, match=r"has no labelled image; 1 photos .*1 \.dng"):
        open_dataset(tar(tmp_path / "b.tar", {"1.dng": "photo", "1.cls": "0"}))

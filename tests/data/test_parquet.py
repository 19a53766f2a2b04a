"""Parquet in the Hugging Face image layout."""

import builtins
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from layouts import jpeg, parquet, state, write

from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, ImageError, MissingExtraError

Make = Callable[[Path], object]


def test_hugging_face_repository(tmp_path: Path) -> None:
    """data/train-00000-of-00002.parquet and so on, class names in the schema, a card and hidden folders beside."""
    write(tmp_path, {"README.md": "x", ".cache/x.parquet": "x"})
    parquet(tmp_path / "data/train-00001-of-00002.parquet", [4, 5, 6, 7], [0, 1, 0, 1], ["dog", "cat"])
    parquet(tmp_path / "data/train-00000-of-00002.parquet", [0, 1, 2, 3], [0, 1, 0, 1], ["dog", "cat"])
    parquet(tmp_path / "data/validation-00000-of-00001.parquet", [8, 9], [0, 1], ["dog", "cat"])
    parquet(tmp_path / "data/test-00000-of-00001.parquet", [10, 11, 12], [0, 1, -1], ["dog", "cat"])
    before = state(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("dog", "cat")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 8, "val": 2, "test": 2}
    sample = dataset.splits["train"][5]
    assert (sample.name, sample.target) == ("data/train-00001-of-00002.parquet[1]", 1)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda sample: sample.read(), dataset.splits["train"] * 20))
    assert read == [jpeg(i) for i in range(8)] * 20
    assert dataset.notes == ("ignored 1 rows of test without a label (-1)",)
    assert state(tmp_path) == before
    del dataset, sample
    gc.collect()  # the temporary file closes without a ResourceWarning


def test_one_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "train.parquet", [*range(6)], ["b", "a"] * 3)
    dataset = open_dataset(path)
    assert dataset.labels == ("a", "b")
    assert sorted(dataset.splits) == ["train", "val"]
    assert all(s.name.startswith("train.parquet[") for s in dataset.splits["val"])


def test_labels_file_names_numbers(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet", [*range(6)], [0, 1] * 3)
    write(tmp_path, {"labels.txt": "x\ny\n"})
    assert open_dataset(tmp_path).labels == ("x", "y")
    assert open_dataset(tmp_path / "train.parquet").labels == ("x", "y")


def test_numbers_without_names(tmp_path: Path) -> None:
    dataset = open_dataset(parquet(tmp_path / "a.parquet", [*range(6)], [3, 10] * 3))
    assert dataset.labels == ("3", "10")


def test_folders_tell_the_split_too(tmp_path: Path) -> None:
    parquet(tmp_path / "train/0000.parquet", [0, 1], ["a", "b"])
    parquet(tmp_path / "val/0000.parquet", [2, 3], ["a", "b"])
    assert [s.name for s in open_dataset(tmp_path).splits["val"]] == ["val/0000.parquet[0]", "val/0000.parquet[1]"]


def test_other_names_and_cells(tmp_path: Path) -> None:
    """`img` and `labels`; plain bytes; a path instead of bytes; neither."""
    plain = parquet(
        tmp_path / "plain.parquet", [jpeg(i) for i in range(4)], ["a", "b"] * 2, image="img", label="labels"
    )
    assert sum(map(len, open_dataset(plain).splits.values())) == 4
    write(tmp_path, {"there.jpg": 9})
    cells = [0, 1, 2, {"bytes": None, "path": "there.jpg"}, {"bytes": None, "path": "gone.jpg"}, None]
    dataset = open_dataset(parquet(tmp_path / "paths.parquet", cells, ["a", "b"] * 3))
    samples = {s.name: s for part in dataset.splits.values() for s in part}
    assert samples["paths.parquet[3]"].read() == jpeg(9)
    for row, reason in ((4, "no such file"), (5, "neither bytes nor a path")):
        with pytest.raises(ImageError, match=reason):
            samples[f"paths.parquet[{row}]"].read()


def test_an_archive_beside_class_folders_is_no_shard(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}/{i}.jpg": 10 * at + i for at, name in enumerate("ab") for i in range(3)})
    parquet(tmp_path / "embeddings.parquet", [0], ["a"])
    assert open_dataset(tmp_path).labels == ("a", "b")


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda p: p.write_bytes(b"no parquet at all"), "cannot be read as Parquet"),
        (lambda p: p.write_bytes(b""), "cannot be read as Parquet"),
        (lambda p: parquet(p, [0], ["a"], image="picture"), "lacks image, has: picture, label"),
        (lambda p: parquet(p, [0], ["a"], label="class"), "lacks label, has: image, class"),
        (lambda p: parquet(p, [1.5], ["a"]), r"column image is double, must be struct<bytes: binary, path: string>"),
        (lambda p: parquet(p, [0], [1.5]), "column label is double, must be integers or strings"),
        (lambda p: parquet(p, [0, 1], ["a", None]), r"a.parquet\[1\]: the label is null"),
        (lambda p: parquet(p, [0, 1, 2], [0, 1, 2], ["x", "y"]), r"\[2\]: label 2 is out of range: .*0 to 1"),
        (lambda p: parquet(p, [0, 1, 2], [0, 1, -1], ["x", "y"]), r"\[2\]: label -1 is out of range"),
        (lambda p: parquet(p, [0, 1, 2], [0, 1, 1], ["x", "x"]), "class names must differ: x, x"),
        (lambda p: parquet(p, [], []), "column image is null"),
    ],
)
def test_errors(tmp_path: Path, make: Make, rule: str) -> None:
    make(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet", [0, 1], [0, 1], ["x", "y"])
    write(tmp_path, {"labels.txt": "y\nx\n"})
    with pytest.raises(DataError, match=r"labels.txt disagrees with the names or their order in the data: x, y"):
        open_dataset(tmp_path)
    (tmp_path / "labels.txt").unlink()
    parquet(tmp_path / "val.parquet", [2, 3], [0, 1], ["y", "x"])
    with pytest.raises(DataError, match=r"val.parquet: its class names are not those of train.parquet"):
        open_dataset(tmp_path)
    parquet(tmp_path / "val.parquet", [2, 3], [0, 1], ["x", "y"])
    parquet(tmp_path / "more.parquet", [4, 5], [0, 1], ["x", "y"])
    with pytest.raises(DataError, match=r"train.parquet\[0\] is in train, but more.parquet"):
        open_dataset(tmp_path)


def test_pyarrow_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", [0, 1], ["a", "b"])
    real = builtins.__import__

    def without_pyarrow(name: str, *args: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow: pip install 'mobilenets\[train\]'"):
        open_dataset(path)


def test_cifar10(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "cifar10")
    assert dataset.labels[:2] == ("airplane", "automobile")
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 50_000
    assert len(dataset.splits["test"]) == 10_000
    assert 4_500 < len(dataset.splits["val"]) < 5_500


def test_a_split_column(tmp_path: Path) -> None:
    """As the data set of the demo has it; any of the usual words."""
    path = parquet(tmp_path / "all.parquet", [*range(6)], ["a", "b"] * 3, split=["train"] * 4 + ["test", "validation"])
    assert {name: len(samples) for name, samples in open_dataset(path).splits.items()} == {
        "train": 4,
        "val": 1,
        "test": 1,
    }
    path = parquet(tmp_path / "bad.parquet", [0, 1], ["a", "b"], split=["train", "part"])
    with pytest.raises(DataError, match=r"bad\.parquet\[1\]: split \(='part'\) must be train, val or test"):
        open_dataset(path)

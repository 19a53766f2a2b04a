"""CSV files."""

from pathlib import Path

import pytest
from layouts import jpeg, state, write

from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, ImageError

IMAGES = {f"images/{i}.jpg": i for i in range(8)}


def csv(root: Path, text: str | bytes, **more: str) -> Path:
    return write(root, {**IMAGES, "data.csv": text, **more}) / "data.csv"


ROWS = "".join(f"images/{i}.jpg,{'cat' if i % 2 else 'dog'}\n" for i in range(8))


def test_path_and_label(tmp_path: Path) -> None:
    before = state(csv(tmp_path, "path,label\n" + ROWS).parent)
    dataset = open_dataset(tmp_path / "data.csv")
    assert dataset.labels == ("cat", "dog")
    samples = sorted((s for part in dataset.splits.values() for s in part), key=lambda s: s.name)
    assert [s.name for s in samples] == list(IMAGES)
    assert [s.target for s in samples] == [1, 0] * 4
    assert samples[3].read() == jpeg(3)
    assert len(dataset.splits["val"]) >= 2
    assert state(tmp_path) == before


def test_what_spreadsheets_write(tmp_path: Path) -> None:
    """A byte order mark, other columns and capitals, quotes, carriage returns, blank lines, absolute paths."""
    odd = write(tmp_path, {"images/a, b.jpg": 50}) / "images/a, b.jpg"
    lines = ['Label,"note", Path ,split', "cat,,images/1.jpg,train", '"dog, ""big""",x,"images/2.jpg",Training', ""]
    lines += [f'cat,,"{odd}",val', '"dog, ""big""",,images/4.jpg,validation', ""]
    dataset = open_dataset(csv(tmp_path, "\ufeff" + "\r\n".join(lines)))
    assert dataset.labels == ("cat", 'dog, "big"')
    assert [s.name for s in dataset.splits["val"]] == [str(odd), "images/4.jpg"]
    assert dataset.splits["val"][0].read() == jpeg(50)
    assert dataset.notes == ()


def test_labels_file_and_numbers(tmp_path: Path) -> None:
    rows = ROWS.replace("cat", "1").replace("dog", "0")
    dataset = open_dataset(csv(tmp_path, "path,label\n" + rows, **{"labels.txt": "dog\ncat\n"}))
    assert dataset.labels == ("dog", "cat")
    assert {(s.name, s.target) for s in dataset.splits["train"]} <= {(n, i % 2) for n, i in IMAGES.items()}


def test_numbers_alone_are_names(tmp_path: Path) -> None:
    rows = ROWS.replace("cat", "10").replace("dog", "7")
    assert open_dataset(csv(tmp_path, "path,label\n" + rows)).labels == ("7", "10")


def test_missing_images_stay_samples(tmp_path: Path) -> None:
    dataset = open_dataset(csv(tmp_path, "path,label\n" + ROWS + "images/gone.jpg,cat\n"))
    gone = next(s for s in dataset.splits["train"] if s.name == "images/gone.jpg")
    with pytest.raises(ImageError, match="no such file"):
        gone.read()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must name the columns path,label; lacks path, label, has: nothing"),
        ("file,label\n" + ROWS, "lacks path, has: file, label"),
        ("path;label\n" + ROWS, "lacks path, label, has: path;label"),
        ("path,label\n", "holds no row below the header"),
        ("path,label\n" + ROWS + "images/1.jpg\n", "line 10 has 1 of 2 columns"),
        ("path,label\n" + ROWS + "images/1.jpg,\n", "line 10 has an empty label"),
        ("path,label\n,cat\n" + ROWS, "line 2 has an empty path"),
        ("path,label,split\nimages/1.jpg,cat,part\n", r"line 2: split \(='part'\) must be train, val or test"),
        ("path,label,split\nimages/1.jpg,cat,\n", r"line 2: split \(=''\) must be train, val or test"),
        ("path,label,split\nimages/1.jpg,cat,val\nimages/2.jpg,dog,test\n", "holds no train split, only test, val"),
        ('path,label\n"images/1.jpg,cat\n', "line 2 is no CSV: unexpected end of data"),
        (b"path,label\n\xff,cat\n", "is not UTF-8 text"),
        ("path,label\n" + ROWS + "images/1.jpg,dog\n", r"1 image is there with two labels: images/1.jpg \(cat\)"),
        ("path,label\n" + ROWS.replace("dog", "cat"), "'cat' is the only class"),
    ],
)
def test_errors(tmp_path: Path, text: str | bytes, rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        open_dataset(csv(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_label_out_of_range(tmp_path: Path) -> None:
    path = csv(tmp_path, "path,label\nimages/1.jpg,0\nimages/2.jpg,2\n", **{"labels.txt": "a\nb\n"})
    with pytest.raises(DataError, match=r"images/2.jpg: label 2 is out of range: there are 2 classes, 0 to 1"):
        open_dataset(path)

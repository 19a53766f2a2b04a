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
        ("picture,label\n" + ROWS, "lacks path, has: picture, label"),
        ("path;label\n" + ROWS, "line 2 has 1 of 2 columns"),
        ("path,label\nimg/1.jpg,cat\nimg/2.jpg,cat\n", "line 2: .*img/1.jpg: no such file, nor any other of the 2"),
        (
            "path,label\nimages/1.jpg,a\nimages/2.jpg,b\nx.jpg,a\n",
            r"1 of 3 .*: x.jpg \(no such file\); no",
        ),
        ("path,xmin,ymin\nimages/1.jpg,1,2\n", "lacks label, .*xmin, ymin: boxes are learned with --task detect"),
        ("path,lat,lon\nimages/1.jpg,1,2\n", "locations are learned with --task geolocate"),
        ("path,person\nimages/1.jpg,1\n", "person: identities are learned with --task embed"),
        ("path,hat,smile\nimages/1.jpg,1,0\n", "columns of 0 and 1 are learned with --task attributes"),
        (
            "filename,class,xmin,ymin\nimages/1.jpg,cat,1,2\nimages/1.jpg,dog,3,4\n",
            "1 images in 2 lines with xmin, ymin: boxes are learned with --task detect",
        ),
        ("path,label\n", "has no row below the header"),
        ("path,label\n" + ROWS + "images/1.jpg\n", "line 10 has 1 of 2 columns"),
        ("path,label\n" + ROWS + "images/1.jpg,\n", "line 10 has an empty label"),
        ("path,label\n,cat\n" + ROWS, "line 2 has an empty path"),
        ("path,label,split\nimages/1.jpg,cat,part\n", r"line 2: split \(='part'\) must be train, val or test"),
        ("path,label,split\nimages/1.jpg,cat,\n", r"line 2: split \(=''\) must be train, val or test"),
        ("path,label,split\nimages/1.jpg,cat,val\nimages/2.jpg,dog,test\n", "has no train split, only test, val"),
        ('path,label\n"images/1.jpg,cat\n', "line 2 is not CSV: unexpected end of data"),
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


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", ["path,label", "file_name,label", "Filename,Class", "image,category", "image_path,label"]
)
def test_what_other_tools_write(tmp_path: Path, delimiter: str, header: str) -> None:
    path = csv(tmp_path, (header + "\n" + ROWS).replace(",", delimiter))
    assert open_dataset(path).labels == ("cat", "dog")
    assert open_dataset(path.rename(tmp_path / "data.tsv")).labels == ("cat", "dog")


def test_a_comma_in_a_label_parts_nothing(tmp_path: Path) -> None:
    rows = ROWS.replace(",", "\t").replace("cat", "cat, big").replace("dog", "dog; small")
    assert open_dataset(csv(tmp_path, "path\tlabel\n" + rows)).labels == ("cat, big", "dog; small")


def test_paths_that_windows_wrote(tmp_path: Path) -> None:
    dataset = open_dataset(csv(tmp_path, "path,label\n" + ROWS.replace("/", "\\")))
    assert {s.read() for part in dataset.splits.values() for s in part} == {jpeg(i) for i in range(8)}


def test_boxes_are_not_silently_left_out(tmp_path: Path) -> None:
    rows = "".join(f"images/{i}.jpg,{'cat' if i % 2 else 'dog'},1,2,3,4\n" for i in range(8))
    notes = open_dataset(csv(tmp_path, "path,label,xmin,ymin,xmax,ymax\n" + rows)).notes
    assert "ignored the columns xmin, ymin, xmax, ymax: boxes are learned with --task detect, from" in notes[0]


LINES = "".join(f'{{"file_name": "{i}.jpg", "label": "{"cat" if i % 2 else "dog"}"}}\n' for i in range(8))
FLAT = {f"{i}.jpg": i for i in range(8)}


def test_json_lines(tmp_path: Path) -> None:
    write(tmp_path, {**FLAT, "data.jsonl": "\n" + LINES.replace("}", ', "split": "train", "size": [1, 2]}')})
    dataset = open_dataset(tmp_path / "data.jsonl")
    assert dataset.labels == ("cat", "dog")
    assert sorted(s.name for part in dataset.splits.values() for s in part) == sorted(FLAT)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "has no row"),
        ("[]\n", "line 1 must be an object"),
        ("{\n", "line 1 is not JSON"),
        ("[" * 100_000 + "\n", "line 1 is not JSON"),
        ('{"file_name": "1.jpg"}\n', "line 1 must name path,label; lacks label, has: file_name"),
        ('{"file_name": "1.jpg", "label": null}\n', "line 1 has an empty label"),
        ('{"file_name": "1.jpg", "label": true}\n', "line 1 has an empty label"),
        ('{"file_name": "1.jpg", "objects": {"bbox": []}}\n', "objects: boxes are learned with --task detect"),
        (b"\xff\n", "is not UTF-8 text"),
    ],
)
def test_json_lines_that_break_a_rule(tmp_path: Path, text: str | bytes, rule: str) -> None:
    write(tmp_path, {**FLAT, "data.jsonl": text})
    with pytest.raises(DataError, match=rule):
        open_dataset(tmp_path / "data.jsonl")

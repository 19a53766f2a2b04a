"""COCO as Roboflow and Label Studio export it, and with categories that are not quite classes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from scenes import LABELS, make_coco

from mobilenets.errors import DataError
from mobilenets.tasks.detect import Detect


def edited(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def roboflow(root: Path, name: str = "_annotations.coco.json") -> Path:
    make_coco(root)
    for old, new in (("train", "train"), ("val", "valid")):
        if old != new:
            (root / old).rename(root / new)
        (root / "annotations" / f"instances_{old}.json").rename(root / new / name)
    (root / "annotations").rmdir()
    return root


@pytest.mark.parametrize("name", ["_annotations.coco.json", "annotations.json", "labels.json"])
def test_a_file_in_the_folder_of_each_split(tmp_path: Path, name: str) -> None:
    dataset = Detect().open(roboflow(tmp_path / "r", name))
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 4}
    assert dataset.fingerprint == Detect().open(make_coco(tmp_path / "c")).fingerprint
    assert dataset.splits["val"][0].name == "valid/1.png" and dataset.labels == LABELS


@pytest.mark.parametrize("written", ["images/{}", "images\\{}", "/data/local-files/up/{}", "C:\\photos\\{}", "{}"])
def test_label_studio(tmp_path: Path, written: str) -> None:
    """result.json beside images/; paths are those of the machine that exported."""
    root = tmp_path / "ls"
    make_coco(tmp_path / "c", 20)
    shutil.copytree(tmp_path / "c" / "train", root / "images")
    content = json.loads((tmp_path / "c" / "annotations" / "instances_train.json").read_text())
    for row in content["images"]:
        row["file_name"] = written.format(row["file_name"])
    (root / "result.json").write_text(json.dumps(content))
    assert sum(map(len, Detect().open(root).splits.values())) == 20
    assert sum(map(len, Detect().open(root / "result.json").splits.values())) == 20


def test_a_windows_path_tells_apart_images_of_one_name(tmp_path: Path) -> None:
    make_coco(tmp_path / "c", 2)
    root = tmp_path / "ls"
    for at, folder in enumerate(("a", "b"), 1):
        (root / "images" / folder).mkdir(parents=True)
        shutil.copy(tmp_path / "c" / "train" / f"{at}.png", root / "images" / folder / "1.png")
    content = json.loads((tmp_path / "c" / "annotations" / "instances_train.json").read_text())
    for row, folder in zip(content["images"], ("a", "b"), strict=True):
        row["file_name"] = f"images\\{folder}\\1.png"
    (root / "result.json").write_text(json.dumps(content))
    names = [sample.name for sample in Detect().open(root, None).splits["all"]]
    assert names == ["images/a/1.png", "images/b/1.png"]


def test_coco_s_own_names_and_folders(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "c")
    for split in ("train", "val"):
        (root / split).rename(root / f"{split}2017")
        (root / "annotations" / f"instances_{split}.json").rename(root / "annotations" / f"instances_{split}2017.json")
        (root / "annotations" / f"captions_{split}2017.json").write_text("{}")
    assert {split: len(s) for split, s in Detect().open(root).splits.items()} == {"train": 4, "val": 4}
    one = Detect().open(root / "annotations" / "instances_val2017.json", None)
    assert [sample.name for sample in one.splits["all"]] == [f"val2017/{i}.png" for i in range(1, 5)]
    root.joinpath("annotations").rename(root / "Annotations")
    assert {split: len(s) for split, s in Detect().open(root).splits.items()} == {"train": 4, "val": 4}
    root.rename(tmp_path / "in") and (tmp_path / "out").mkdir()
    (tmp_path / "in").rename(tmp_path / "out" / "in")
    assert {split: len(s) for split, s in Detect().open(tmp_path / "out").splits.items()} == {"train": 4, "val": 4}


def test_json_of_others_is_no_annotation(tmp_path: Path) -> None:
    root = roboflow(tmp_path / "r", "boxes.json")
    (root / "package.json").write_text('{"name": "x"}')
    (root / "train" / "broken.json").write_text("{")
    assert len(Detect().open(root).splits["train"]) == 4


GROUP = {"id": 0, "name": "things", "supercategory": "none"}


def grouped(root: Path, categories: list[dict[str, Any]]) -> Path:
    for split in ("train", "val"):
        edited(root / "annotations" / f"instances_{split}.json", categories=categories)
    return root


def test_a_category_that_only_groups_the_others_is_left_out(tmp_path: Path) -> None:
    classes = [
        {"id": 10, "name": "bar", "supercategory": "things"},
        {"id": 11, "name": "square", "supercategory": "things"},
    ]
    root = grouped(make_coco(tmp_path / "a"), [GROUP, *classes])
    dataset = Detect().open(root)
    assert dataset.labels == LABELS
    assert dataset.notes == ("category 'things' (id 0) has no box and only groups the others: left out",)
    assert dataset.fingerprint == Detect().open(make_coco(tmp_path / "plain")).fingerprint
    same = [{**GROUP, "name": "bar"}, *({**row, "supercategory": "bar"} for row in classes)]
    assert Detect().open(grouped(make_coco(tmp_path / "b"), same)).labels == LABELS


@pytest.mark.parametrize("first", [{**GROUP, "name": "other"}, {"id": 10, "name": "things"}])
def test_a_category_that_is_more_than_a_group_stays(tmp_path: Path, first: dict[str, Any]) -> None:
    rest = [{"id": i, "name": f"c{i}", "supercategory": "things"} for i in (10, 11) if i != first["id"]]
    dataset = Detect().open(grouped(make_coco(tmp_path / "c"), [first, *rest]))
    assert first["name"] in dataset.labels


def test_ids_with_holes_keep_their_order(tmp_path: Path) -> None:
    rows = [{"id": 90, "name": "z"}, {"id": 11, "name": "square"}, {"id": 10, "name": "bar"}, {"id": 3, "name": "y"}]
    dataset = Detect().open(grouped(make_coco(tmp_path / "c"), rows))
    assert dataset.labels == ("y", "bar", "square", "z")
    assert any("2 of 4 classes have no box in train: y, z" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": [1]}, r"image_id \[1\] is not one of the 4 images"),
        ({"category_id": {}}, r"category_id \{\} is not one of the 2 categories"),
        ({"bbox": [10**400, 0, 1, 1]}, r"must be finite numbers"),
        ({"bbox": [True, 0, 1, 1]}, r"must be finite numbers"),
    ],
)
def test_values_of_another_kind(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"instances_train.json: annotation 0: .*{message}"):
        Detect().open(make_coco(tmp_path / "c", **changes))


@pytest.mark.parametrize("name", ["\0", "x" * 5000, "..", "", "nothing.png"])
def test_file_names_that_are_none(tmp_path: Path, name: str) -> None:
    root = make_coco(tmp_path / "c")
    file = root / "annotations" / "instances_val.json"
    edited(file, images=[{**row, "file_name": name} for row in json.loads(file.read_text())["images"]])
    with pytest.raises(DataError, match=r"instances_val.json: image 1: .* is in none of"):
        Detect().open(root)


def test_class_names_hold_no_control_character(tmp_path: Path) -> None:
    rows = [{"id": 11, "name": "a\nb"}, {"id": 10, "name": "bar"}]
    with pytest.raises(DataError, match=r"the class name 'a\\nb' has a control character"):
        Detect().open(grouped(make_coco(tmp_path / "c"), rows))

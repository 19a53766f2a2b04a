"""Annotations: read as they are published, and refused in one line that names file, line and value."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import LABELS, SIZE, make_coco, make_voc

from mobilenets.data.augment import Augmentation
from mobilenets.errors import DataError
from mobilenets.image import Preprocess, prepare
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.boxes import Boxes, view


def first_box(path: Path) -> Boxes:
    boxes: Boxes = Detect().open(path).splits["train"][0].target
    return boxes


def test_voc_and_coco_of_the_same_scenes_are_the_same(tmp_path: Path) -> None:
    voc = Detect().open(make_voc(tmp_path / "voc", 4, 4))
    coco = Detect().open(make_coco(tmp_path / "coco", 4))
    assert voc.labels == coco.labels == LABELS  # COCO's by their ids
    assert voc.fingerprint == coco.fingerprint
    for split in ("train", "val"):
        for a, b in zip(voc.splits[split], coco.splits[split], strict=True):
            assert a.target.size == b.target.size == SIZE
            assert a.target.text() == b.target.text()


def test_edges_are_fractions_of_the_image(tmp_path: Path) -> None:
    box = first_box(make_coco(tmp_path / "c", bbox=[24, 18, 48, 36]))
    np.testing.assert_allclose(box.edges[0], [0.25, 0.25, 0.75, 0.75])


def test_without_lists_val_is_held_out(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 30, 1)
    for file in (root / "ImageSets" / "Main").iterdir():
        file.unlink()
    dataset = Detect().open(root)
    assert set(dataset.splits) == {"train", "val"} and sum(map(len, dataset.splits.values())) == 31
    assert set(Detect().open(root, None).splits) == {"all"}


def test_one_json_file_is_a_data_set(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "c", 20)
    file = root / "train" / "boxes.json"
    (root / "annotations" / "instances_train.json").rename(file)
    assert set(Detect().open(file).splits) == {"train", "val"}


def test_crowds_are_ignored_not_learned(tmp_path: Path) -> None:
    assert first_box(make_coco(tmp_path / "c", iscrowd=1)).ignored.tolist() == [True, False]


def test_what_is_difficult_is_ignored_not_learned(tmp_path: Path) -> None:
    """The first object of each image; where nothing is said of it, it is not difficult."""

    def edit(text: str) -> str:
        return text.replace("<difficult>0", "<difficult>1", 1).replace("<difficult>0</difficult>\n", "")

    samples = Detect().open(make_voc(tmp_path / "voc", 3, 1, edit)).splits["train"]
    assert [sample.target.ignored.tolist() for sample in samples] == [[True, False]] * 3


def test_an_object_s_first_box_counts_and_its_parts_are_no_objects(tmp_path: Path) -> None:
    """A person of VOC 2007 and later has parts (head, hand, foot), each with a name and a box."""
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    part = f"<part>\n<name>head</name>{box}</part>"
    plain = Detect().open(make_voc(tmp_path / "plain", 3, 1))
    for number, edit in enumerate(
        (
            lambda text: text.replace("</object>", f"{part}\n</object>"),
            lambda text: text.replace("<object>", f"<object>\n{part}"),
            lambda text: text.replace("</object>", f"{box}</object>").replace("</name>", "</name><name>tree</name>"),
        )
    ):
        found = Detect().open(make_voc(tmp_path / str(number), 3, 1, edit))
        assert found.labels == plain.labels
        for one, other in zip(found.splits["train"], plain.splits["train"], strict=True):
            assert np.array_equal(one.target.edges, other.target.edges)
            assert np.array_equal(one.target.labels, other.target.labels)


def test_a_pixel_outside_is_cut(tmp_path: Path) -> None:
    box = first_box(make_coco(tmp_path / "c", bbox=[-0.5, 10, 30, 62.9]))
    np.testing.assert_allclose(box.edges[0], [0, 10 / 72, 29.5 / 96, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</ymax>", "9</ymax>", r"is outside of its image of 96x72 pixels"),
        ("<xmin>", "<xmin>9", r"box \(9.*\) has no area: right must be above left"),
        ("<xmin>", "<xmin>nan", r"must be finite numbers"),
        ("<xmin>", "<xmin>1\n\x85", r"box \(1.*\) must be finite numbers"),
        ("<xmin>", "<xmin>left", r"box \(left.*\) must be finite numbers"),
        ("<name>bar", "<name>tree", r"class 'tree' is not one of the 2 classes: bar, square"),
        ("<bndbox>", "<box>", r"is not XML: mismatched tag"),
        ("<name>", "<title>", r"is not XML"),
        ("<width>96", "<width>48", r"size 48x72 must be that of JPEGImages/000.png, 96x72 pixels upright"),
        (".png", ".jpg", r""),  # the name is wrong, the stem is not: found
    ],
)
def test_malformed_voc(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = make_voc(tmp_path / "voc", 4, 2, lambda text: text.replace(old, new))
    (root / "labels.txt").write_text("bar\nsquare\n")
    if not message:
        Detect().open(root)
        return
    with pytest.raises(DataError, match=message) as caught:
        Detect().open(root)
    text = str(caught.value)
    assert "\n" not in text and ".xml" in text
    assert "XML" in text or "size 48" in text or ": line " in text


def test_the_line_is_the_object_s(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 4, 2)
    file = root / "Annotations" / "001.xml"
    lines = file.read_text().splitlines()
    at = [i for i, line in enumerate(lines, 1) if line == "<object>"][1]
    file.write_text("\n".join([*lines[:at], *(line.replace("<xmax>", "<xmax>9") for line in lines[at:])]))
    with pytest.raises(DataError, match=rf"001.xml: line {at}: box .* is outside of its image"):
        Detect().open(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [0, 0, 97.5, 10]}, r"annotation 0: box \(0, 0, 97.5, 10\) is outside of its image of 96x72 pixels"),
        ({"bbox": [-2, 0, 10, 10]}, r"annotation 0: box \(-2, 0, 8, 10\) is outside of its image"),
        ({"bbox": [5, 5, 0, 10]}, r"annotation 0: box \(5, 5, 5, 15\) has no area"),
        ({"bbox": [5, 5, 9, -1]}, r"has no area"),
        ({"bbox": [5, 5, float("nan"), 1]}, r"annotation 0: box \(5, 5, nan, 1\) must be finite numbers"),
        ({"bbox": [5, 5, "9", None]}, r"must be finite numbers"),
        ({"bbox": [5, 5, 9]}, r"bbox \(=\[5, 5, 9\]\) must be \[left, top, width, height\]"),
        ({"bbox": None}, r"bbox \(=None\) must be"),
        ({"category_id": 12}, r"annotation 0: category_id 12 is not one of the 2 categories"),
        ({"image_id": 99}, r"annotation 0: image_id 99 is not one of the 4 images"),
    ],
)
def test_malformed_coco(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    root = make_coco(tmp_path / "c", **changes)
    with pytest.raises(DataError, match=rf"instances_train.json: .*{message}") as caught:
        Detect().open(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[]", "has no list of objects 'images'"), ('{"images": [1]}', "has no list of objects")],
)
def test_what_is_no_coco_file(tmp_path: Path, text: str, message: str) -> None:
    root = make_coco(tmp_path / "c")
    (root / "annotations" / "instances_val.json").write_text(text)
    with pytest.raises(DataError, match=message):
        Detect().open(root)


@pytest.mark.parametrize(
    ("row", "key", "message"),
    [
        ("annotations", "id", "annotation number 2: image_id None is not one of the"),
        ("images", "id", r"image 2: id \(=None\) must be a whole number"),
        ("categories", "id", r"category 2: id \(=None\) must be a whole number"),
        ("categories", "name", r"category 2: name \(=None\) must be text"),
    ],
)
def test_what_has_no_id_is_named_by_its_number(tmp_path: Path, row: str, key: str, message: str) -> None:
    """Counted from 1."""
    root = make_coco(tmp_path / "c")
    file = root / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    del content[row][1][key]
    content["annotations"][1].pop("image_id")
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"instances_train.json: {message}"):
        Detect().open(root)


def test_missing_images(tmp_path: Path) -> None:
    voc, coco = make_voc(tmp_path / "voc", 4, 2), make_coco(tmp_path / "coco")
    (voc / "JPEGImages" / "002.png").unlink()
    with pytest.raises(DataError, match=r"002.xml: its image '002.png' does not exist in"):
        Detect().open(voc)
    (coco / "val" / "3.png").unlink()
    with pytest.raises(DataError, match=r"instances_val.json: image 3: '3.png' is in none of"):
        Detect().open(coco)
    (voc / "Annotations" / "001.xml").unlink()
    with pytest.raises(DataError, match=r"train.txt: line 2: '001' has no annotation"):
        Detect().open(voc)


def test_other_categories_and_no_boxes(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "c")
    file = root / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "categories": [*content["categories"], {"id": 1, "name": "tree"}]}))
    with pytest.raises(DataError, match="its categories must be those of"):
        Detect().open(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: has no boxes in Pascal VOC \(.xml\), COCO \(.json\) or YOLO"):
        Detect().open(tmp_path / "empty")


def test_few_bad_boxes_are_left_out_and_named(tmp_path: Path) -> None:
    """1 of 120."""
    root = make_voc(tmp_path / "voc", 50, 10)
    file = root / "Annotations" / "007.xml"
    file.write_text(file.read_text().replace("<xmin>", "<xmin>9", 1))
    dataset = Detect().open(root)
    assert any("1 of 120 boxes left out" in note and "007.xml: line 4" in note for note in dataset.notes)
    assert len(dataset.splits["train"][7].target.labels) == 1


def test_a_view_moves_the_boxes_with_the_pixels() -> None:
    """A white square stays where its box is, whatever the crop and the mirror."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[15:30, 40:60] = 255
    target = Boxes(np.array([[0.5, 0.25, 0.75, 0.5]], np.float32), np.array([1]), np.array([False]), (80, 60))
    rng, seen = np.random.default_rng(0), 0
    for _ in range(50):
        out, boxes = view(pixels, target, Preprocess(64, 64, fit="stretch", crop=1.0), Augmentation(1.0, True), rng)
        assert out.shape == (64, 64, 3)
        rows, columns = np.nonzero(out[:, :, 0] > 127)
        if not len(boxes.labels):
            continue
        seen += 1
        left, top, right, bottom = boxes.edges[0] * 64
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(found, (left, top, right, bottom), atol=1.5)
    assert 10 < seen < 50


def test_stretched_images_are_seen_whole(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :4] = pixels[:, -4:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    out = prepare(tmp_path / "a.png", Preprocess(32, 32, fit="stretch", crop=1.0))
    assert out.shape == (32, 32, 3) and out[:, 0].min() > 200 and out[:, -1].min() > 200 and out[:, 3:-3].max() < 60


def test_bccd_and_coco_mini_as_published(shared_data: Path) -> None:
    bccd = Detect().open(shared_data / "bccd")
    assert bccd.labels == ("Platelets", "RBC", "WBC")
    assert {split: len(samples) for split, samples in bccd.splits.items()} == {"train": 205, "val": 87, "test": 72}
    assert any("2 of 4888 boxes left out" in note for note in bccd.notes)
    coco = Detect().open(shared_data / "coco-mini")
    assert len(coco.labels) == 80 and coco.labels[0] == "person"
    assert {split: len(samples) for split, samples in coco.splits.items()} == {"train": 80, "val": 79}


def test_data_of_another_task_are_told(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(2):
            path = tmp_path / "photos" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (i, len(name), 0)).save(path)
    (tmp_path / "photos.csv").write_text("path,label\nphotos/cat/0.png,cat\nphotos/dog/0.png,dog\n")
    hint = r"its images have classes \(cat, dog\): did you mean --task classify\?"
    with pytest.raises(DataError, match=rf"photos: has no boxes in .*; {hint}"):
        Detect().open(tmp_path / "photos")
    with pytest.raises(
        DataError, match=rf"photos.csv: a detection data set must be a folder, COCO's .json or YOLO's .yaml; {hint}"
    ):
        Detect().open(tmp_path / "photos.csv")
    with pytest.raises(DataError, match=r"cat: has no boxes in [^;]*$"):
        Detect().open(tmp_path / "photos" / "cat")
    with pytest.raises(DataError, match="absent: no such file or folder"):
        Detect().open(tmp_path / "absent")

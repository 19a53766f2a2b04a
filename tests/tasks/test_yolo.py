"""YOLO's text files: names and splits from data.yaml, classes.txt, obj.names, lists or folders; polygons, damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import LABELS, SIZE, make_voc, make_yolo

from mobilenets.data.sources import Dataset
from mobilenets.errors import DataError
from mobilenets.tasks.detect import Detect

LIST = "names: [bar, square]\nnc: 2\n"


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: len(samples) for split, samples in dataset.splits.items()}


def with_yaml(root: Path, text: str = LIST, name: str = "data.yaml") -> Path:
    (root / name).write_text(text)
    return root


def test_the_same_scenes_as_pascal_voc_are_the_same(tmp_path: Path) -> None:
    yolo = Detect().open(with_yaml(make_yolo(tmp_path / "yolo")))
    voc = Detect().open(make_voc(tmp_path / "voc", 4, 2))
    assert yolo.labels == voc.labels == LABELS and counts(yolo) == {"train": 4, "val": 2} and not yolo.notes
    for split in ("train", "val"):
        for a, b in zip(yolo.splits[split], voc.splits[split], strict=True):
            assert a.read() == b.read() and a.target.size == SIZE
            np.testing.assert_allclose(a.target.edges, b.target.edges, atol=1e-6)
            assert a.target.labels.tolist() == b.target.labels.tolist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names:\n  0: bar\n  1: square\n"),
        ("coco8.YML", "names: {1: square, 0: bar}\npath: nowhere\n"),
        ("data.yaml", "# train\nnames: ['bar', 'square']\ntrain: images/train\nval: images/val\n"),
        ("data.yaml", "names: [bar, square]\ntrain: ../images/train\nval: ../images/val\n"),
        ("data.yaml", "names: [bar, square]\npath: ../datasets/{root}\ntrain: images/train\nval: images/val\n"),
        ("data.yaml", "names: [bar, square]\nTrain: images/train\nvalidation: images/val\n"),
        ("data.yaml", "names: [bar, square]\npath: .\ntrain: [images/train]\nval: images\\val\ntest:\n"),
        ("classes.txt", "bar\nsquare\n"),
        ("obj.names", "bar\nsquare\n"),
        ("labels/classes.txt", "bar\nsquare\n"),
    ],
)
def test_where_names_and_splits_stand(tmp_path: Path, name: str, text: str) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"), text.replace("{root}", "yolo"), name)
    dataset = Detect().open(root)
    assert dataset.labels == LABELS and counts(dataset) == {"train": 4, "val": 2} and not dataset.notes


def test_the_yaml_file_is_a_data_set(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    assert counts(Detect().open(root / "data.yaml")) == {"train": 4, "val": 2}


def test_the_yaml_file_tells_the_split_and_not_the_folders(tmp_path: Path) -> None:
    text = LIST + "train: images/val\nval: images/train\n"
    assert counts(Detect().open(with_yaml(make_yolo(tmp_path / "a"), text))) == {"train": 2, "val": 4}
    dataset = Detect().open(with_yaml(make_yolo(tmp_path / "b", 20), LIST + "train: images/train\n"))
    assert sum(counts(dataset).values()) == 20
    assert "2 images are in no split of data.yaml: not used (first: images/val/020.png)" in dataset.notes


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = LIST + "train: /kaggle/input/x/train\nval: images/val\n"
    dataset = Detect().open(with_yaml(make_yolo(tmp_path / "yolo"), text))
    assert counts(dataset) == {"train": 4, "val": 2}
    assert dataset.notes == ("data.yaml: train: /kaggle/input/x/train does not exist: splits are taken from folders",)


def test_roboflow_has_a_folder_for_each_split(tmp_path: Path) -> None:
    make_yolo(tmp_path / "yolo")
    root = tmp_path / "r"
    for old, new in (("train", "train"), ("val", "valid")):
        for kind in ("images", "labels"):
            shutil.copytree(tmp_path / "yolo" / kind / old, root / new / kind)
    with_yaml(root, LIST + "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n")
    dataset = Detect().open(root)
    assert counts(dataset) == {"train": 4, "val": 2}


def test_darknet_has_lists_and_text_beside_images(tmp_path: Path) -> None:
    make_yolo(tmp_path / "yolo")
    root = tmp_path / "d"
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            shutil.copytree(tmp_path / "yolo" / kind / split, root / "obj_train_data", dirs_exist_ok=True)
    (root / "obj.names").write_text("bar\nsquare\n")
    (root / "train.txt").write_text("".join(f"data/obj_train_data/00{i}.png\n" for i in range(4)))
    (root / "valid.txt").write_text("".join(f"data/obj_train_data/00{i}.png\n" for i in range(4, 6)))
    assert counts(Detect().open(root)) == {"train": 4, "val": 2}
    with_yaml(root, LIST + "train: valid.txt\nval: train.txt\n")
    assert counts(Detect().open(root)) == {"train": 2, "val": 4}


def test_polygons_become_boxes(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "labels" / "train" / "000.txt").write_text("1 .1 .2 .5 .1 .4 .6\n0 .5 .5 .2 .4\n")
    (root / "labels" / "train" / "001.txt").write_text("0 0 0 1 0 1 1 0 1\n")  # turned boxes have four corners
    dataset = Detect().open(root)
    np.testing.assert_allclose(
        dataset.splits["train"][0].target.edges, [[0.1, 0.1, 0.5, 0.6], [0.4, 0.3, 0.6, 0.7]], 1e-6
    )
    assert dataset.splits["train"][1].target.edges.tolist() == [[0, 0, 1, 1]]
    (note,) = (note for note in dataset.notes if "polygons" in note)
    assert note.startswith("2 polygons are replaced by their bounding boxes (first: ") and note.endswith(
        "000.txt: line 1)"
    )


def test_points_of_a_pose_are_left_out(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"), LIST + "kpt_shape: [2, 3]\n")
    (root / "labels" / "train" / "000.txt").write_text("1 .5 .5 .2 .4 .1 .1 2 .2 .2 1\n")
    np.testing.assert_allclose(Detect().open(root).splits["train"][0].target.edges, [[0.4, 0.3, 0.6, 0.7]], 1e-6)


def test_images_without_text_have_no_boxes_and_are_counted(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "labels" / "train" / "001.txt").unlink()
    (root / "labels" / "train" / "002.txt").write_text("\n")
    dataset = Detect().open(root)
    assert [len(sample.target.labels) for sample in dataset.splits["train"]] == [2, 0, 0, 2]
    assert "1 of 6 images have no label file: they have no boxes (first: images/train/001.png)" in dataset.notes


def test_an_image_that_cannot_be_read_is_left_to_decoding(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "images" / "train" / "001.png").write_bytes(b"no image")
    assert len(Detect().open(root).splits["train"][1].target.labels) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 .5 .5 .2 .2", r"class '2' must be a whole number from 0 to 1"),
        ("-1 .5 .5 .2 .2", r"class '-1' must be"),
        ("0.5 .5 .5 .2 .2", r"class '0.5' must be"),
        ("bar .5 .5 .2 .2", r"must be finite numbers"),
        ("0 .5 .5 .2", r"4 numbers, expected class, centre x, centre y, width, height"),
        ("0", r"1 numbers, expected"),
        ("0 .5 .5 .2 .2 .9", r"6 numbers, expected"),
        ("0 .1 .2 .5 .1 .4 .6 .3", r"8 numbers, expected"),  # a polygon that lacks its last y
        ("0 48 36 20 20", r"'0 48 36 20 20' must be fractions of the image from 0 to 1, not pixels"),
        ("0 .5 nan .2 .2", r"must be finite numbers"),
        ("0 .5 .5 0 .2", r"has no area"),
        ("0 .95 .5 .2 .2", r"is outside of its image of 96x72 pixels"),
        ("0 1.5 .5 .2 .2", r"is outside of its image of 96x72 pixels"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, message: str) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "labels" / "train" / "001.txt").write_text(f"\n{line}\n")
    with pytest.raises(DataError, match=rf"001.txt: line 2: .*{message}") as caught:
        Detect().open(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a, b", "is not YAML"),
        ("- names\n- a\n", "must be a mapping"),
        ("names: bar\n", "names must be a list of names, or a mapping from 0, 1, 2"),
        ("names: []\n", "names must be a list"),
        ("names: [[a], b]\n", "names must be a list"),
        ("names: {1: bar, 2: square}\n", "names must be a list"),
        ("names: [bar, bar]\n", "names must differ: bar, bar"),
        ("names: [bar, square]\nnc: 3\n", r"nc \(='3'\) must be the number of its names, 2"),
        ("names: [bar, square]\nnc: [2]\n", r"nc \(=\['2'\]\) must be"),
        ("names: &a [*a]\n", "is not YAML"),
        ("? [1]\n: names\n", "is not YAML|must be"),
        ("names: !!python/object:os.system [x]\n", "is not YAML|class|names"),
        ("names: " + "[" * 5000, "is not YAML"),
    ],
)
def test_malformed_yaml(tmp_path: Path, text: str, message: str) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"), text)
    with pytest.raises(DataError, match=rf"data.yaml: .*{message}") as caught:
        Detect().open(root)
    assert "\n" not in str(caught.value)


def test_a_class_may_be_called_no(tmp_path: Path) -> None:
    """YAML 1.1 reads it as false, and 1.10 as 1.1."""
    assert Detect().open(with_yaml(make_yolo(tmp_path / "yolo"), "names: [no, 1.10]\n")).labels == ("no", "1.10")


def test_names_that_disagree_or_are_not_there(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "classes.txt").write_text("square\nbar\n")
    with pytest.raises(DataError, match=r"its classes must be those of .*: (square, bar|bar, square)"):
        Detect().open(root)
    (root / "data.yaml").unlink()
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"the class names of its YOLO boxes are missing: add data.yaml or classes.txt"):
        Detect().open(root)


def test_text_whose_image_is_not_there(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    (root / "images" / "train" / "001.png").unlink()
    with pytest.raises(DataError, match=r"labels/train/001.txt: its image '001' does not exist in"):
        Detect().open(root)


def test_two_sheets_are_two_data_sets(tmp_path: Path) -> None:
    root = with_yaml(with_yaml(make_yolo(tmp_path / "yolo")), name="other.yaml")
    with pytest.raises(DataError, match=r"data.yaml, other.yaml are two data sets: choose one"):
        Detect().open(root)
    assert counts(Detect().open(root / "other.yaml")) == {"train": 4, "val": 2}


def test_turned_photos_are_measured_upright(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(root / "images" / "train" / "000.png", exif=exif)
    assert Detect().open(root).splits["train"][0].target.size == (20, 40)


def test_other_layouts_beside_it_are_named(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    make_voc(tmp_path / "voc", 4, 2)
    shutil.copytree(tmp_path / "voc" / "Annotations", root / "Annotations")
    assert Detect().open(root).notes == ("YOLO is read, 6 .xml files are ignored",)


def test_a_yaml_file_elsewhere(tmp_path: Path) -> None:
    """As ultralytics has it: datasets lie beside the folder of their .yaml files."""
    make_yolo(tmp_path / "datasets" / "mine")
    (tmp_path / "cfg").mkdir()
    with_yaml(tmp_path / "cfg", LIST + "path: ../datasets/mine\ntrain: images/train\nval: images/val\n", "mine.yaml")
    dataset = Detect().open(tmp_path / "cfg" / "mine.yaml")
    assert counts(dataset) == {"train": 4, "val": 2} and not dataset.notes
    with pytest.raises(DataError, match=r"mine.yaml: has no image"):
        Detect().open(with_yaml(tmp_path / "cfg", LIST, "mine.yaml") / "mine.yaml")


def test_names_that_differ_in_case_alone_are_two_files(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"))
    for i, name in ((0, "cat"), (1, "Cat")):
        (root / "images" / "train" / f"00{i}.png").rename(root / "images" / "train" / f"{name}.png")
        (root / "labels" / "train" / f"00{i}.txt").rename(root / "labels" / "train" / f"{name}.txt")
    train = {sample.name: sample.target for sample in Detect().open(root).splits["train"]}
    plain = Detect().open(with_yaml(make_yolo(tmp_path / "plain"))).splits["train"]
    assert train["images/train/cat.png"].text() == plain[0].target.text()
    assert train["images/train/Cat.png"].text() == plain[1].target.text()


def test_folders_and_endings_in_capitals(tmp_path: Path) -> None:
    root = with_yaml(make_yolo(tmp_path / "yolo"), name="DATA.YAML")
    for old, new in (("images", "Images"), ("labels", "LABELS")):
        (root / old).rename(root / new)
    for path in sorted((root / "Images").rglob("*.png")):
        path.rename(path.with_suffix(".PNG"))
    dataset = Detect().open(root)
    assert counts(dataset) == {"train": 4, "val": 2} and len(dataset.splits["train"][0].target.labels) == 2

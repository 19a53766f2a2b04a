"""Pascal VOC as other programs write it: lists, folders, file names, encodings; what disagrees is said."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import COLOURS, make_voc

from mobilenets.data.sources import Dataset
from mobilenets.errors import DataError
from mobilenets.image import decode
from mobilenets.tasks.detect import Detect


def counts(root: Path) -> dict[str, int]:
    return {split: len(samples) for split, samples in Detect().open(root).splits.items()}


def lists_of(root: Path) -> Path:
    return root / "ImageSets" / "Main"


def right_boxes(dataset: Dataset) -> bool:
    """Whether each box holds the colour of the thing that it names, to its edges."""
    right = []
    for sample in (sample for samples in dataset.splits.values() for sample in samples):
        pixels = np.asarray(decode(sample.read())).astype(int)
        height, width = pixels.shape[:2]
        for edges, label in zip(sample.target.edges, sample.target.labels, strict=True):
            left, top, right_, bottom = (edges * [width, height, width, height]).round().astype(int)
            inside = pixels[top + 2 : bottom - 2, left + 2 : right_ - 2].reshape(-1, 3)
            right.append(np.abs(inside.mean(0) - COLOURS[dataset.labels[label]]).max() < 12)
    return bool(right) and all(right)


# lists


@pytest.mark.parametrize(
    ("train", "val"), [("Train", "Validation"), ("TRAINING", "dev"), ("train2017", "val2017"), ("train_set", "valid")]
)
def test_lists_in_any_case_and_by_any_word(tmp_path: Path, train: str, val: str) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    lists_of(root).joinpath("train.txt").rename(lists_of(root) / f"{train}.txt")
    lists_of(root).joinpath("val.txt").rename(lists_of(root) / f"{val}.txt")
    dataset = Detect().open(root)
    assert counts(root) == {"train": 6, "val": 2} and not dataset.notes


@pytest.mark.parametrize("place", ["imagesets/main", "ImageSets", "."])
def test_lists_lie_where_they_usually_lie(tmp_path: Path, place: str) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    shutil.move(lists_of(root), tmp_path / "lists")
    shutil.rmtree(root / "ImageSets")
    (root / place).mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "lists").iterdir():
        path.rename(root / place / path.name)
    assert counts(root) == {"train": 6, "val": 2}


def test_trainval_stands_for_what_is_not_there(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    names = [f"{i:03}\n" for i in range(8)]
    main = lists_of(root)
    (main / "TrainVal.txt").write_text("".join(names))
    assert counts(root) == {"train": 6, "val": 2}
    (main / "val.txt").unlink()
    assert counts(root) == {"train": 6, "val": 2}
    (main / "train.txt").unlink()
    (main / "Test.txt").write_text("".join(names[6:]))
    with pytest.raises(DataError, match=r"TrainVal.txt: line 7: '006' is in test too"):
        Detect().open(root)
    (main / "TrainVal.txt").write_text("".join(names[:6]))
    assert {split: len(s) for split, s in Detect().open(root, 0.3).splits.items()}["test"] == 2
    (main / "Test.txt").rename(main / "val.txt")
    assert counts(root) == {"train": 6, "val": 2}


def test_unknown_lists_are_named_and_lists_of_a_class_are_not(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    main = lists_of(root)
    (main / "bar_train.txt").write_text("000  1\n001 -1\n002  0\n")
    assert Detect().open(root).notes == ()
    (main / "hard_train.txt").write_text("000\n001\n")
    (main / "default.txt").write_text("000\n")
    (note,) = Detect().open(root).notes
    assert (
        note == "ImageSets/Main/default.txt, ImageSets/Main/hard_train.txt: not used, the name is not that of a split"
    )
    for path in main.glob("*"):
        if path.name != "default.txt":
            path.unlink()
    assert Detect().open(root, 0.3).notes[0] == "ImageSets/Main/default.txt: not used, the name is not that of a split"


def test_two_lists_of_one_split_and_what_is_in_no_list(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    main = lists_of(root)
    (main / "train.txt").write_text("000\n001.png\nJPEGImages/002.png\n003 1\n")
    dataset = Detect().open(root)
    assert [sample.name for sample in dataset.splits["train"]] == [f"JPEGImages/00{i}.png" for i in range(4)]
    assert dataset.notes == ("2 files are in none of train.txt, val.txt: not used (first: 004.xml)",)
    (main / "Validation.txt").write_text("005\n")
    with pytest.raises(DataError, match=r"val.txt: Validation.txt is a list of val too: keep one"):
        Detect().open(root)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 6, 2)
    (lists_of(root) / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train.txt: cannot be read as UTF-8 text"):
        Detect().open(root)


def test_two_data_sets_are_not_one(tmp_path: Path) -> None:
    for name in ("VOC2007", "VOC2012"):
        make_voc(tmp_path / name, 4, 2)
    with pytest.raises(
        DataError, match=r"VOC2007/ImageSets/Main, VOC2012/ImageSets/Main are two data sets: choose one"
    ):
        Detect().open(tmp_path)
    assert counts(tmp_path / "VOC2012") == {"train": 4, "val": 2}


# folders


def kaggle(root: Path, images: str = "images", annotations: str = "annotations") -> Path:
    shutil.rmtree(root / "ImageSets")
    (root / "JPEGImages").rename(root / "tmp")
    (root / "Annotations").rename(root / "tmp2")
    for old, new in (("tmp", images), ("tmp2", annotations)):
        (root / new).mkdir(parents=True, exist_ok=True)
        for path in (root / old).iterdir():
            path.rename(root / new / path.name)
    return root


@pytest.mark.parametrize(
    ("images", "annotations"),
    [("images", "annotations"), ("Images", "ANNOTATIONS"), (".", "."), ("photos", "xmls"), ("train", "train")],
)
def test_annotations_and_images_in_other_folders(tmp_path: Path, images: str, annotations: str) -> None:
    root = kaggle(make_voc(tmp_path / "voc", 30, 1), images, annotations)
    dataset = Detect().open(root)
    assert sum(map(len, dataset.splits.values())) == 31 and right_boxes(dataset)


@pytest.mark.parametrize("place", ["{}", "{}/{kind}", "{kind}/{}"])
def test_a_folder_for_each_split(tmp_path: Path, place: str) -> None:
    """Each split counts from 000: nothing but its folder tells which image is meant."""
    for seed, (split, count) in enumerate((("Train", 6), ("valid", 2), ("test", 3))):
        old = make_voc(tmp_path / split, count, 0, seed=seed)
        for kind in ("Annotations", "JPEGImages"):
            new = tmp_path / "data" / place.format(split, kind=kind.lower())
            new.mkdir(parents=True, exist_ok=True)
            for path in (old / kind).iterdir():
                path.rename(new / path.name)
    dataset = Detect().open(tmp_path / "data")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 6, "val": 2, "test": 3}
    assert right_boxes(dataset)


def test_masks_of_the_same_name_are_no_photos(tmp_path: Path) -> None:
    """VOC 2012 has SegmentationClass/*.png, Oxford's pets annotations/trimaps/*.png."""
    root = make_voc(tmp_path / "voc", 4, 2)
    shutil.copytree(root / "JPEGImages", root / "SegmentationClass")
    shutil.copytree(root / "JPEGImages", root / "Annotations" / "trimaps")
    assert {sample.name.split("/")[0] for sample in Detect().open(root).splits["train"]} == {"JPEGImages"}


def test_an_image_of_two_endings_is_chosen_by_its_filename(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 4, 2)
    Image.open(root / "JPEGImages" / "001.png").save(root / "JPEGImages" / "001.jpg")
    assert Detect().open(root).splits["train"][1].name == "JPEGImages/001.png"
    file = root / "Annotations" / "001.xml"
    file.write_text(file.read_text().replace("001.png", "old.png"))
    with pytest.raises(DataError, match=r"001.xml: its image may be any of JPEGImages/001.jpg, JPEGImages/001.png"):
        Detect().open(root)


# what disagrees


def test_the_annotation_s_own_name_is_taken(tmp_path: Path) -> None:
    """Files were renamed, what is written in them is of other photos of the set."""
    root = make_voc(tmp_path / "voc", 6, 2)
    for i in range(8):
        file = root / "Annotations" / f"00{i}.xml"
        file.write_text(file.read_text().replace(f"00{i}.png", f"00{(i + 1) % 8}.png"))
    dataset = Detect().open(root)
    assert right_boxes(dataset) and [sample.name for sample in dataset.splits["val"]] == [
        "JPEGImages/006.png",
        "JPEGImages/007.png",
    ]
    (note,) = dataset.notes
    assert note == (
        "8 annotations have another <filename> than their own name, which is used "
        "(first: Annotations/000.xml: '001.png')"
    )


def test_filename_is_taken_where_there_is_no_image_of_the_own_name(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 4, 2, lambda text: text.replace(".png", ".JPG"))
    for path in sorted((root / "JPEGImages").iterdir()):
        path.rename(path.with_suffix(".PNG"))
    (root / "JPEGImages" / "000.PNG").rename(root / "JPEGImages" / "IMG_A.PNG")
    (root / "Annotations" / "000.xml").rename(root / "Annotations" / "img_a.xml")
    file = root / "Annotations" / "001.xml"
    file.rename(file.with_name("x.xml"))
    main = lists_of(root) / "train.txt"
    main.write_text(main.read_text().replace("000", "img_a").replace("001", "x"))
    dataset = Detect().open(root)
    names = [sample.name for sample in dataset.splits["train"]]
    assert names[:2] == ["JPEGImages/IMG_A.PNG", "JPEGImages/001.PNG"] and right_boxes(dataset)
    assert len(dataset.notes) == 1 and "1 annotations have another <filename>" in dataset.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("<width>96</width><height>72", "<width>72</width><height>96", "8 annotations exchange width and height"),
        ("<width>96", "<width>0", "8 annotations state a size of 0, the size of the image is used"),
        ("<width>96", "<width>-96", "8 annotations state a size of 0"),
        ("<height>72", "<height>²", "8 annotations state a size of 0"),
        ("<width>96", "<width>96.0", ""),
    ],
)
def test_sizes_that_are_wrong_and_do_no_harm(tmp_path: Path, old: str, new: str, note: str) -> None:
    dataset = Detect().open(make_voc(tmp_path / "voc", 6, 2, lambda text: text.replace(old, new)))
    assert [note in told for told in dataset.notes] == ([True] if note else []) and right_boxes(dataset)


def test_few_images_of_another_size_are_left_out_and_named(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 110, 10)
    file = root / "Annotations" / "007.xml"
    file.write_text(file.read_text().replace("<width>96", "<width>480"))
    dataset = Detect().open(root)
    assert len(dataset.splits["train"]) == 109
    assert any("1 of 120 images left out" in note and "007.xml: size 480x72" in note for note in dataset.notes)
    file = root / "Annotations" / "008.xml"
    file.write_text(file.read_text().replace("<width>96", "<width>480"))
    with pytest.raises(DataError, match=r"007.xml: size 480x72 must be that of .* \(and 1 others of 120 images\)"):
        Detect().open(root)


# encodings


@pytest.mark.parametrize(
    "encoding", ["gb2312", "latin-1", "utf-16", "utf-8-sig", "cp1252", "shift_jis", "big5", "koi8-r", "euc-kr"]
)
def test_any_encoding(tmp_path: Path, encoding: str) -> None:
    name = {"latin-1": "déjà", "cp1252": "déjà", "koi8-r": "кот"}.get(encoding, "日本")
    name = "中国" if encoding == "gb2312" else "고양이" if encoding == "euc-kr" else name
    root = make_voc(tmp_path / "voc", 4, 2)
    for file in (root / "Annotations").iterdir():
        declared = encoding.removesuffix("-sig")
        text = f'<?xml version="1.0" encoding="{declared}"?>\n' + file.read_text().replace("square", name)
        file.write_bytes(text.encode(encoding))
    assert Detect().open(root).labels == ("bar", name)


def test_letters_that_gb2312_has_not_but_its_files_have(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 4, 2)
    for file in (root / "Annotations").iterdir():
        text = '<?xml version="1.0" encoding="GB2312"?>' + file.read_text().replace("square", "鎔")
        file.write_bytes(text.encode("gbk"))
    assert Detect().open(root).labels == ("bar", "鎔")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: b'<?xml version="1.0" encoding="klingon"?>' + t, "its encoding 'klingon' is not supported"),
        (lambda t: b'<?xml version="1.0" encoding="hex"?>' + t, "its encoding 'hex' is not supported"),
        (lambda t: b'<?xml version="1.0" encoding="undefined"?>' + t, "is not text in its declared encoding undefined"),
        (
            lambda t: t.replace(b"bar", b"b\xe4r").replace(b"square", b"b\xe4r"),
            "is not text in its declared encoding utf-8",
        ),
        (lambda t: b"\xff\xfe" + t + b"\0", "is not (text|XML)"),
        (lambda t: b'<?xml version="1.0" encoding="utf-7"?>' + t.replace(b"</an", b"+2AA-</an"), "is not XML"),
        (lambda t: b"", "is not XML: no element found"),
        (lambda t: b'<!DOCTYPE a [<!ENTITY b "bar">]>' + t, "entity declarations are not supported"),
        (
            lambda t: b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + t,
            "entity declarations are not supported",
        ),
        (lambda t: b'<!DOCTYPE a [<!ENTITY % b "bar"> %b;]>' + t, "entity declarations are not supported"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, edit: Callable[[bytes], bytes], message: str) -> None:
    root = make_voc(tmp_path / "voc", 4, 2)
    file = root / "Annotations" / "002.xml"
    file.write_bytes(edit(file.read_bytes()))
    with pytest.raises(DataError, match=rf"002.xml: .*{message}") as caught:
        Detect().open(root)
    assert "\n" not in str(caught.value)


def test_other_xml_is_named(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc", 4, 2)
    (root / "project.xml").write_text("<annotations><image/></annotations>")
    assert Detect().open(root).notes == ("1 .xml files are not annotations of Pascal VOC: project.xml",)

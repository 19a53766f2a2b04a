"""Which pixels an annotation counts in, and when two annotations of one image are the same but for scatter."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scenes import make_coco, make_voc
from torchvision.ops import box_iou

from mobilenets.data.sources import Dataset
from mobilenets.errors import DataError
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.boxes import Boxes, agree, overlaps
from mobilenets.tasks.detection.frame import LYING, turned

ORIENTATION = 0x0112


@st.composite
def placed(draw: Any) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """A size and a box inside of it."""
    width, height = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


@settings(deadline=None)
@given(placed(), st.sampled_from(LYING))
def test_boxes_turn_as_pillow_turns_pixels(
    case: tuple[tuple[int, int], tuple[int, int, int, int]], orientation: int
) -> None:
    (width, height), (left, top, right, bottom) = case
    pixels = np.zeros((height, width), np.uint8)
    pixels[top:bottom, left:right] = 255
    stored = Image.fromarray(pixels)
    stored.getexif()[ORIENTATION] = orientation
    upright = ImageOps.exif_transpose(stored)
    assert upright.getbbox() == turned((left, top, right, bottom), upright.size, orientation)


def lying(path: Path, orientation: int) -> None:
    """The picture, upright as before, stored as `orientation` says."""
    back = {1: None, 3: 3, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    image = Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if back:
        image.getexif()[ORIENTATION] = back
        image = ImageOps.exif_transpose(image)
    image.save(path, exif=exif)


def same_targets(one: Dataset, other: Dataset) -> bool:
    return all(
        np.allclose(a.target.edges, b.target.edges, atol=1e-6)
        for split in one.splits
        for a, b in zip(one.splits[split], other.splits[split], strict=True)
    )


@pytest.mark.parametrize("orientation", LYING)
def test_photos_turned_by_exif_and_annotated_as_they_are_stored(tmp_path: Path, orientation: int) -> None:
    """<size> is that of the stored image, and so are the boxes."""
    plain = Detect().open(make_voc(tmp_path / "plain", 3, 1))
    root = make_voc(tmp_path / "voc", 3, 1)
    for i in range(4):
        lying(root / "JPEGImages" / f"00{i}.png", orientation)
        (root / "Annotations" / f"00{i}.xml").write_text(_as_stored(root, i, orientation))
    dataset = Detect().open(root)
    assert same_targets(plain, dataset)
    assert dataset.notes[0] == (
        "4 images are annotated before EXIF rotation, their boxes are rotated with them (first: JPEGImages/000.png)"
    )


def _as_stored(root: Path, i: int, orientation: int) -> str:
    text = (root / "Annotations" / f"00{i}.xml").read_text()
    back = {5: 5, 6: 8, 7: 7, 8: 6}[orientation]

    def box(found: re.Match[str]) -> str:
        left, top, right, bottom = turned(tuple(map(int, found.groups())), (72, 96), back)  # type: ignore[arg-type]
        return f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"

    edge = r"<xmin>(\d+)</xmin><ymin>(\d+)</ymin><xmax>(\d+)</xmax><ymax>(\d+)</ymax>"
    swapped = text.replace("<width>96</width><height>72", "<width>72</width><height>96")
    return re.sub(edge, box, swapped)


@pytest.mark.parametrize("orientation", [1, 3, *LYING])
def test_photos_turned_by_exif_and_annotated_upright(tmp_path: Path, orientation: int) -> None:
    plain = Detect().open(make_coco(tmp_path / "plain"))
    root = make_coco(tmp_path / "c")
    for path in root.glob("*/*.png"):
        lying(path, orientation)
    dataset = Detect().open(root)
    assert same_targets(plain, dataset) and not dataset.notes


def test_sizes_that_fit_neither_way_are_refused(tmp_path: Path) -> None:
    """Exchanged, the image is not turned, and a box lies outside of it."""
    root = make_coco(tmp_path / "c", bbox=[10, 10, 20, 80])
    file = root / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    for row in content["images"]:
        row["width"], row["height"] = row["height"], row["width"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"instances_train.json: image 1: size 72x96 must be that of train/1.png"):
        Detect().open(root)


# two annotations of one image

corners = st.tuples(*[st.floats(0, 0.875, width=32)] * 2, *[st.floats(0.015625, 0.5, width=32)] * 2)


def boxes_of(rows: list[tuple[float, float, float, float]], labels: list[int] | None = None) -> Boxes:
    edges = np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)
    named = np.array(labels if labels is not None else [0] * len(rows), np.int64)
    return Boxes(edges, named, np.zeros(len(rows), bool), (80, 60))


@settings(deadline=None)
@given(st.lists(corners, max_size=6), st.lists(corners, max_size=6))
def test_overlaps_as_torchvision_has_them(one: list[Any], other: list[Any]) -> None:
    a, b = boxes_of(one).edges, boxes_of(other).edges
    expected = box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double()).numpy()
    np.testing.assert_allclose(overlaps(a, b), expected, atol=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(corners, st.integers(0, 2)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_scatter_agrees_in_any_order(rows: list[Any], random: Any) -> None:
    """Edges moved by a tenth of the side overlap by more than half."""

    def moved(corner: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x, y, w, h = corner
        return x + 0.1 * w * random.uniform(-1, 1), y + 0.1 * h * random.uniform(-1, 1), w, h

    other = random.sample(rows, len(rows))
    one = boxes_of([c for c, _ in rows], [label for _, label in rows])
    again = boxes_of([moved(c) for c, _ in other], [label for _, label in other])
    assert agree(one, again) and agree(again, one)
    assert not agree(one, boxes_of([c for c, _ in rows], [label + 1 for _, label in rows]))
    assert not agree(one, boxes_of([c for c, _ in rows[1:]], [label for _, label in rows[1:]]))


def test_a_pairing_that_a_greedy_one_misses() -> None:
    """The first box overlaps both others best where the second needs one of them."""
    one = boxes_of([(0.0, 0, 0.4, 0.4), (0.1, 0, 0.4, 0.4)])
    other = boxes_of([(0.06, 0, 0.4, 0.4), (0.2, 0, 0.4, 0.4)])
    crossed = [boxes_of([(0.0, 0, 0.4, 0.4), (0.5, 0, 0.4, 0.4)], labels) for labels in ([0, 1], [1, 0])]
    assert not agree(*crossed)
    assert agree(one, other) and not agree(one, boxes_of([(0.0, 0, 0.4, 0.4), (0.5, 0, 0.4, 0.4)]))


def twice(root: Path, count: int, edit: Any) -> Path:
    """The first `count` images of train are there again, annotated by `edit` of the first annotation's text."""
    for i in range(count):
        name = f"9{i:02}"
        (root / "JPEGImages" / f"{name}.png").write_bytes((root / "JPEGImages" / f"{i:03}.png").read_bytes())
        text = (root / "Annotations" / f"{i:03}.xml").read_text().replace(f"{i:03}.png", f"{name}.png")
        (root / "Annotations" / f"{name}.xml").write_text(edit(text))
        with (root / "ImageSets" / "Main" / "train.txt").open("a") as file:
            file.write(f"{name}\n")
    return root


def shifted(text: str) -> str:
    return re.sub(r"<(xmin|xmax)>(\d+)", lambda found: f"<{found[1]}>{max(0, int(found[2]) - 1)}", text)


def test_a_photo_annotated_twice_is_kept(tmp_path: Path) -> None:
    dataset = Detect().open(twice(make_voc(tmp_path / "voc", 6, 2), 4, shifted))
    assert len(dataset.splits["train"]) == 10
    assert dataset.notes == (
        "4 images are there twice with similar labels (first: JPEGImages/000.png = JPEGImages/900.png)",
    )


def test_a_contradiction_obeys_max_bad_and_all_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = twice(make_voc(tmp_path / "voc", 6, 2), 4, lambda text: text.replace("<name>", "<name>big "))
    with pytest.raises(
        DataError, match=r"4 images are there with two labels: .* and 1 more \(all in (.*\.txt)\);"
    ) as told:
        Detect().open(root)
    assert "allow them with --max-bad 0.8" in str(told.value)
    dataset = Detect().open(root, max_bad=0.8)
    (note,) = (note for note in dataset.notes if "two labels" in note)
    lines = Path(note.partition("(all in ")[2].rstrip(")")).read_text().splitlines()
    assert len(lines) == 4 and lines[3].startswith("JPEGImages/003.png (2 boxes, ")
    with pytest.raises(DataError, match="two labels"):
        Detect().open(root, max_bad=0.79)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(DataError, match="and 1 more; correct or remove"):
        Detect().open(root)

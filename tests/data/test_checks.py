"""What makes a score a lie is refused, what does not is said."""

import io
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layouts import jpeg, write
from PIL import Image

from mobilenets.data.checks import check_labels
from mobilenets.data.rows import Row
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError

SPLIT = {
    f"{split}/{name}/{i}.jpg": 1000 * a + 100 * b + i
    for a, split in enumerate(("train", "val"))
    for b, name in enumerate(("cat", "dog"))
    for i in range(3)
}


def test_two_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    more = {f"train/dog/x{i}.jpg": i % 3 for i in range(2)} | {"val/cat/y.jpg": 1100, "train/cat/z.jpg": 102}
    with pytest.raises(DataError) as caught:
        open_dataset(write(tmp_path / "data", {**SPLIT, **more}))
    (file,) = tmp_path.glob("mobilenets-two-labels-*.txt")
    assert str(caught.value) == (
        f"{tmp_path}/data: 4 images are there with two labels: "
        "train/cat/0.jpg (cat) = train/dog/x0.jpg (dog), train/cat/1.jpg (cat) = train/dog/x1.jpg (dog), "
        f"train/cat/z.jpg (cat) = train/dog/2.jpg (dog) and 1 more (all in {file}); "
        "correct or remove one, or allow them with --max-bad 0.667"
    )
    assert file.read_text().splitlines()[2:] == [
        "train/cat/z.jpg (cat) = train/dog/2.jpg (dog)",
        "val/cat/y.jpg (cat) = val/dog/0.jpg (dog)",
    ]
    assert "4 images are there with two labels" in open_dataset(tmp_path / "data", max_bad=0.667).notes[0]


def test_a_few_two_labels_among_many_are_a_note(tmp_path: Path) -> None:
    files = {f"train/{'cat' if i % 2 else 'dog'}/{i}.jpg": i for i in range(300)}
    dataset = open_dataset(
        write(tmp_path, {**files, **{n: c for n, c in SPLIT.items() if "val" in n}, "train/cat/x.jpg": 0})
    )
    assert dataset.notes == ("1 image is there with two labels: train/cat/x.jpg (cat) = train/dog/0.jpg (dog)",)
    write(tmp_path, {"val/dog/x.jpg": 1000})  # 1 of 7 in val: its score is off by that
    with pytest.raises(DataError, match=r"val/cat/0.jpg \(cat\) = val/dog/x.jpg \(dog\)"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(("images", "refused"), [(198, True), (199, True), (200, False)])
def test_two_labels_are_refused_above_one_in_a_hundred(images: int, refused: bool) -> None:
    """Both images of a pair count; `images` are all that train has."""
    rows = [Row(f"{i}.jpg", "train", "", partial(jpeg, 0)) for i in range(images)]
    labels = ["cat", *["dog"] * (images - 1)]
    if refused:
        with pytest.raises(DataError, match=r"0.jpg \(cat\) = 7.jpg \(dog\)"):
            check_labels(Path("data"), rows, labels, ["train"] * images, [[0, 7]])
    else:
        (note,) = check_labels(Path("data"), rows, labels, ["train"] * images, [[0, 7]])
        assert note == "1 image is there with two labels: 0.jpg (cat) = 7.jpg (dog)"


@pytest.mark.parametrize("held", ["val", "test"])
def test_overlap(tmp_path: Path, held: str) -> None:
    files = {**SPLIT, "test/cat/t.jpg": 5000, f"{held}/cat/copy.jpg": 1, "train/cat/copy.jpg": 1}
    with pytest.raises(DataError) as caught:
        open_dataset(write(tmp_path, files))
    assert str(caught.value) == (
        f"{tmp_path}: 1 image is in both train and {held}, which makes the score of {held} invalid: "
        f"train/cat/1.jpg = {held}/cat/copy.jpg"
    )


def test_overlap_of_val_and_test_and_copies_are_notes(tmp_path: Path) -> None:
    more = {"test/cat/a.jpg": 1001, "train/cat/b.jpg": 1, "train/cat/c.jpg": 1, "val/dog/d.jpg": 1102}
    assert open_dataset(write(tmp_path, {**SPLIT, **more})).notes == (
        "1 class has no image in test: dog",
        "1 image is in both val and test (first: val/cat/1.jpg = test/cat/a.jpg)",
        "3 images are there more than once (first: train/cat/1.jpg = train/cat/b.jpg)",
    )


def test_equal_files_that_are_no_images_are_not_the_matter(tmp_path: Path) -> None:
    """One error page saved under many names is a damaged file, not a contradiction; so are empty files."""
    page = "<html>429 too many requests</html>"
    names = ("train/cat/p.jpg", "train/dog/p.jpg", "val/cat/p.jpg")
    empty = {name.replace("/p", "/e"): "" for name in names}
    dataset = open_dataset(write(tmp_path, {**SPLIT, **dict.fromkeys(names, page), **empty}))
    assert dataset.notes == ()


def test_equal_pixels_in_other_bytes_are_other_images(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg(0))).save(buffer, "PNG")
    assert open_dataset(write(tmp_path, {**SPLIT, "val/cat/p.png": buffer.getvalue()})).notes == ()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_dim_16_bit_images_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        pixels = rng.integers(0, 4096, (12, 16)).astype(np.uint16)
        save(tmp_path / ("cat" if number % 2 else "dog") / f"{number}.png", pixels)
    assert open_dataset(tmp_path).notes[1:] == (
        "8 of 8 images are black or of a single value: cat/1.png, cat/3.png, cat/5.png and 5 more; of 16-bit pixels "
        "the upper 8 bits are kept: values of fewer bits (for example 12) must be scaled to 16",
    )


def test_images_of_one_value_are_named(tmp_path: Path) -> None:
    write(tmp_path, SPLIT)
    save(tmp_path / "train/cat/grey.png", np.full((9, 9, 3), (200, 10, 10), np.uint8))
    save(tmp_path / "train/cat/dot.png", np.pad(np.full((1, 1), 16, np.uint8), 4))  # one pixel is not black
    assert open_dataset(tmp_path).notes == ("1 of 14 images are black or of a single value: train/cat/grey.png",)


def test_many_images_are_looked_at_in_part(tmp_path: Path) -> None:
    for number in range(120):
        save(tmp_path / ("cat" if number % 2 else "dog") / f"{number}.png", np.full((8, 8), number % 256, np.uint8))
    (note,) = (note for note in open_dataset(tmp_path).notes if "black" in note)
    assert note.startswith("40 of 40 images examined are black or of a single value: cat/")

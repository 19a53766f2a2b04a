"""One picture in two files: encoded anew, resized; and pictures that only resemble each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mobilenets.data.near_duplicates import near_duplicates, note_on
from mobilenets.data.sources import open_dataset

FLOWERS = Path(__file__).parents[2] / ".." / "shared" / "data" / "flowers"


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Smooth colours with some detail, as photos have them; of each seed another."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    return Image.blend(coarse, fine, 0.15)


def save(image: Image.Image, path: Path, **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve different photos in two classes, six in train and six in val."""
    for seed in range(12):
        split, label = ("train", "val")[seed % 2], ("cat", "dog")[seed // 2 % 2]
        save(scene(seed), tmp_path / split / label / f"{seed}.jpg", quality=95)
    return tmp_path


def names(root: Path) -> list[tuple[str, str]]:
    return [(pair.samples[0].name, pair.samples[1].name) for pair in near_duplicates(open_dataset(root, max_bad=1))]


def test_different_photos_are_no_pairs(root: Path) -> None:
    assert names(root) == [] and note_on(()) == ""
    save(Image.blend(scene(0), scene(99), 0.3), root / "val" / "cat" / "resembling.png")
    assert names(root) == []


@pytest.mark.parametrize("change", ["encoded anew", "resized", "as PNG", "brighter"])
def test_a_photo_of_train_that_is_in_val_in_another_file(change: str, root: Path) -> None:
    twin = root / "val" / "cat" / ("twin.png" if change == "as PNG" else "twin.jpg")
    photo = Image.open(root / "train" / "cat" / "0.jpg")
    options = {"quality": 60} if change == "encoded anew" else {}
    if change == "resized":
        photo = photo.resize((97, 73), Image.Resampling.LANCZOS)
    if change == "brighter":
        photo = ImageEnhance.Brightness(photo).enhance(1.08)
    save(photo, twin, **options)
    assert names(root) == [("train/cat/0.jpg", f"val/cat/{twin.name}")]
    (pair,) = near_duplicates(open_dataset(root))
    assert pair.across and pair.splits == ("train", "val")
    assert pair.to_dict() == {"images": ["train/cat/0.jpg", f"val/cat/{twin.name}"], "splits": ["train", "val"]}
    assert note_on([pair]) == f"1 near-duplicate in two splits: train/cat/0.jpg ~ val/cat/{twin.name}"


def test_within_a_split_only_two_labels_count(root: Path) -> None:
    save(scene(0), root / "train" / "cat" / "same-label.jpg", quality=50)
    assert names(root) == []
    save(scene(4), root / "train" / "dog" / "other-label.jpg", quality=50)  # 4 is a cat
    (pair,) = near_duplicates(open_dataset(root, max_bad=1))
    assert [sample.name for sample in pair.samples] == ["train/cat/4.jpg", "train/dog/other-label.jpg"]
    assert note_on([pair]).startswith("1 near-duplicate with two labels: ")


def test_pairs_are_told_the_most_alike_first_and_the_rest_counted(root: Path) -> None:
    for seed, share in ((0, 0.06), (2, 0.0), (4, 0.045), (6, 0.03)):  # of another photo that shines through
        save(Image.blend(scene(seed), scene(99), share), root / "val" / "cat" / f"twin{seed}.png")
    found = near_duplicates(open_dataset(root, max_bad=1))
    assert [pair.samples[0].name.split("/")[-1] for pair in found] == ["2.jpg", "6.jpg", "4.jpg", "0.jpg"]
    assert note_on(found).startswith("4 near-duplicates in two splits: ") and note_on(found).endswith(" and 1 more")


def test_images_of_one_colour_and_damaged_ones_are_in_no_pair(root: Path) -> None:
    for split in ("train", "val"):
        save(
            Image.new("RGB", (40, 40), (9, 60, 90) if split == "val" else (8, 60, 90)),
            root / split / "cat" / "black.png",
        )
        (root / split / "dog" / "damaged.jpg").write_bytes(b"\xff\xd8\xff" + split.encode())
    assert names(root) == []


def test_where_all_images_are_alike_only_the_same_are_pairs(root: Path) -> None:
    """A spider on a flower, once sharper, is one picture among landscapes, but not among a thousand such spiders."""
    save(Image.blend(scene(0), scene(99), 0.12), root / "val" / "cat" / "nearly.png")
    assert names(root) == [("train/cat/0.jpg", "val/cat/nearly.png")]
    for seed in range(100, 140):
        alike = Image.blend(scene(0), scene(seed), 0.15)
        save(alike, root / ("train", "val")[seed % 2] / "cat" / f"{seed}.png")
    assert names(root) == []


def test_an_image_without_a_label_contradicts_none(root: Path) -> None:
    """With `--unlabelled` such images are in train, of class -1."""
    save(scene(4), root / "train" / "dog" / "other-label.jpg", quality=50)
    dataset = open_dataset(root, max_bad=1)
    train = [replace(s, target=-1) if "other" in s.name else s for s in dataset.splits["train"]]
    assert (
        len(near_duplicates(dataset)) == 1 and near_duplicates(replace(dataset, splits={"train": tuple(train)})) == ()
    )


def test_every_image_is_told_to_the_progress(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    near_duplicates(open_dataset(root), lambda done, total: seen.append((done, total)))
    assert seen == [(at + 1, 12) for at in range(12)]


def test_frames_that_are_all_alike_do_not_fill_the_memory(root: Path) -> None:
    for at in range(60):
        frame = scene(0)
        frame.putpixel((at, 0), (at, 0, 0))
        save(frame, root / ("train", "val")[at % 2] / "cat" / f"frame{at}.png")
    found = near_duplicates(open_dataset(root))
    assert 60 <= len(found) <= 8 * 61
    assert {pair.samples[1].name for pair in found} >= {f"val/cat/frame{at}.png" for at in range(1, 60, 2)}


@pytest.mark.slow
@pytest.mark.skipif(not FLOWERS.is_dir(), reason="needs ../shared/data/flowers")
def test_pairs_of_real_photos_are_those_that_an_eye_finds_equal() -> None:
    pairs = {
        frozenset(Path(s.name).stem[:10] for s in pair.samples)
        for pair in near_duplicates(open_dataset(FLOWERS, max_bad=1))
    }
    assert pairs == {
        frozenset({"1775233884", "2093263381"}),
        frozenset({"1046629036", "1099403245"}),
        frozenset({"2344751399", "2333321040"}),
        frozenset({"4654848357", "4278757393"}),
        frozenset({"2588234269", "2588453601"}),
        frozenset({"1748215857", "2319250709"}),
        frozenset({"1592277226"}),
    }

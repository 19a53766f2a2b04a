"""Five hundred odd and damaged images: no crash, no hang, each bad one named, each good one decoded."""

import csv
import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layouts import state, write
from odd_images import BAD, GOOD, make_odd_images

from mobilenets.cli import main
from mobilenets.data.cache import decode_split
from mobilenets.data.sources import Sample, open_dataset
from mobilenets.errors import ImageError
from mobilenets.image import Preprocess, prepare, read

COUNT = 500


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bool]]:
    folder = tmp_path_factory.mktemp("odd")
    return folder, make_odd_images(folder, COUNT)


def test_what_is_made(odd: tuple[Path, dict[str, bool]], tmp_path: Path) -> None:
    folder, decodable = odd
    assert len(decodable) == len(list(folder.iterdir())) == COUNT
    assert len(GOOD) >= 16
    assert len(BAD) >= 16
    assert make_odd_images(tmp_path, COUNT) == decodable
    regular = [name for name in decodable if (folder / name).is_file()]
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in regular)


@pytest.mark.parametrize("channels", [1, 3])
def test_prepare(odd: tuple[Path, dict[str, bool]], channels: int) -> None:
    folder, decodable = odd
    preprocess = Preprocess(48, 64, channels)
    for name, good in decodable.items():
        if good:
            assert prepare(folder / name, preprocess).shape == (48, 64, channels), name
        else:
            with pytest.raises(ImageError) as caught:
                prepare(folder / name, preprocess)
            assert str(caught.value), name
            assert "\n" not in str(caught.value), name


@pytest.mark.parametrize("short_side", [None, 40])
@pytest.mark.parametrize("memory", [None, 1_000_000])
def test_decode_split(odd: tuple[Path, dict[str, bool]], short_side: int | None, memory: int | None) -> None:
    folder, decodable = odd
    samples = [Sample(name, 0, partial(read, folder / name)) for name in decodable]
    before = state(folder)
    images = decode_split(samples, Preprocess(32, 32), short_side=short_side, memory=memory, max_bad=0.6)
    assert images.names == tuple(name for name, good in decodable.items() if good)
    assert [bad.name for bad in images.bad] == [name for name, good in decodable.items() if not good]
    for i in range(0, len(images), 7):
        pixels = images.pixels(i)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert short_side or pixels.shape == (32, 32, 3)
    assert state(folder) == before


def test_as_a_data_set(tmp_path: Path) -> None:
    """Among good photos, through the folder scan: every odd one of train is there, the bad ones are named."""
    write(
        tmp_path,
        {
            f"{split}/{name}/{i}.jpg": 1000 * a + 100 * b + i
            for a, split in enumerate(("train", "val"))
            for b, name in enumerate(("cat", "dog"))
            for i in range(5)
        },
    )
    made = {name: make_odd_images(tmp_path / "train" / name, 90, seed) for seed, name in enumerate(("cat", "dog"), 1)}
    dataset = open_dataset(tmp_path)
    assert len(dataset.splits["train"]) == 10 + 180
    bad = decode_split(dataset.splits["train"], Preprocess(32, 32), short_side=36, max_bad=0.5).bad
    expected = {f"train/{kind}/{name}" for kind, files in made.items() for name, good in files.items() if not good}
    assert {image.name for image in bad} == expected


def test_through_the_command_line(odd: tuple[Path, dict[str, bool]], tmp_path: Path, capsys) -> None:
    """Train on five hundred odd images, then predict them: every bad one is named by both, nothing else goes wrong."""
    folder, decodable = odd
    for number, name in enumerate(sorted(decodable)):
        place = tmp_path / "photos" / ("train" if number % 5 else "val") / ("odd" if number % 2 else "even")
        place.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(folder / name)
    flags = "--alpha 0.25 --img-size 32 --epochs 1 --device cpu --max-bad 0.6 --name run".split()
    assert main(["train", str(tmp_path / "photos"), *flags, "--project", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert [name for name, good in decodable.items() if not good and name not in said] == []
    assert main(["predict", str(tmp_path / "run"), str(folder), "--csv", "--top", "1", "--max-bad", "0.6"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    answers = {Path(row["image"]).name: not row["error"] for row in rows}
    listed = {name for name, good in decodable.items() if good or (folder / name).is_file()}
    assert {name for name in listed if answers.get(name) != decodable[name]} == set()

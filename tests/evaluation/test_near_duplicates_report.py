"""Near-duplicates: a note of `train` and `evaluate`, a section of their reports, and a list in their JSON."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.cli import main
from mobilenets.data.sources import open_dataset
from mobilenets.evaluation import find_near_duplicates, page, section_of
from mobilenets.progress import Watch


class Notes(Watch):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def doubled(photos: Path, tmp_path: Path) -> Path:
    """The photos, one of train in val too, and one with two labels."""
    root = Path(shutil.copytree(photos, tmp_path / "doubled"))
    Image.open(root / "train/red/1.jpg").save(root / "val/red/again.png")
    Image.open(root / "train/blue/2.jpg").save(root / "train/green/again.jpg", quality=95, subsampling=0)
    return root


@pytest.mark.slow
def test_train_and_evaluate_tell_of_both(doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["--alpha", "0.1", "--img-size", "32", "--epochs", "1", "--batch-size", "16", "--device", "cpu"]
    place = ["--project", str(tmp_path), "--name", "run", "--pretrained", "none"]
    pairs = [
        {"images": ["train/red/1.jpg", "val/red/again.png"], "splits": ["train", "val"]},
        {"images": ["train/blue/2.jpg", "train/green/again.jpg"], "splits": ["train", "train"]},
    ]
    assert main(["train", str(doubled), *recipe, *place, "--json"]) == 0
    line = (
        "1 near-duplicate in two splits: train/red/1.jpg ~ val/red/again.png; "
        "1 near-duplicate with two labels: train/blue/2.jpg ~ train/green/again.jpg"
    )
    printed = capsys.readouterr()
    assert printed.err.splitlines().count(line) == 1
    assert sorted(json.loads(printed.out)["near_duplicates"], key=pairs.index) == pairs
    other = tmp_path / "evaluation.html"
    assert main(["evaluate", str(tmp_path / "run"), str(doubled), "--report", str(other), "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines().count(line) == 1
    assert sorted(json.loads(printed.out)["near_duplicates"], key=pairs.index) == pairs
    for report in (tmp_path / "run" / "report.html", other):
        html = report.read_text()
        section = html[html.index("<h2>Near-duplicates</h2>") :].split("</section>")[0]
        alternatives = re.findall(r'alt="([^"]+)"', section)
        assert sorted(alternatives) == [
            "train/blue/2.jpg (train) ~ train/green/again.jpg (train): blue, green",
            "train/red/1.jpg (train) ~ val/red/again.png (val)",
        ]


def test_pairs_are_shown_side_by_side_and_the_rest_counted(doubled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_PAIRS", 1)
    dataset = open_dataset(doubled)
    (section,) = section_of(find_near_duplicates(dataset, Notes()), dataset)
    (picture,) = section.pictures
    assert "The 1 most similar of 2 pairs are shown." in section.caption
    assert picture.pixels.shape == (280, 560, 3)
    left, right = np.int64(picture.pixels[:, :280]), np.int64(picture.pixels[:, 280:])
    assert np.abs(left - right).mean() < 8 < np.abs(left - left[::-1]).mean()


def test_nothing_is_told_where_there_is_nothing(photos: Path) -> None:
    watch = Notes()
    dataset = open_dataset(photos)
    assert find_near_duplicates(dataset, watch) == () and watch.notes == [] and section_of((), dataset) == []

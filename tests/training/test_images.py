"""Decoding for a run: what is bad is told, a signal ends it, and too little is refused."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from small import PREPROCESS, make_squares, small_run

from mobilenets.data.cache import Images, decode_split
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, Interrupted, TrainingError
from mobilenets.progress import Watch
from mobilenets.tasks.classify import Classify
from mobilenets.training.images import check, decode
from mobilenets.training.interrupt import Interrupts


class Heard(Watch):
    """What was told; after `stop` images a signal comes."""

    def __init__(self, interrupts: Interrupts, stop: int | None = None) -> None:
        self.interrupts, self.stop = interrupts, stop
        self.told: list[tuple[str, int, int]] = []
        self.notes: list[str] = []

    def decoded(self, split: str, done: int, total: int) -> None:
        self.told.append((split, done, total))
        if done == self.stop:
            self.interrupts.number = signal.SIGTERM

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_watcher_hears_of_every_image_and_what_is_wrong_with_the_bad_ones(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", train=2, val=1)
    (data / "train" / "1" / "0.png").write_bytes(b"no image")
    interrupts, settings = Interrupts(), small_run(data, tmp_path / "run", max_bad=0.2).settings
    watch = Heard(interrupts)
    images = decode(open_dataset(data), "train", settings, watch, interrupts, 40)
    assert len(images) == 5
    assert watch.told == [("train", done, 6) for done in range(1, 7)]
    assert len(watch.notes) == 1 and watch.notes[0].startswith("skipped ") and "1/0.png" in watch.notes[0]
    strict = small_run(data, tmp_path / "strict", max_bad=0.1).settings
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(open_dataset(data), "train", strict, watch, interrupts, 40)


def test_training_crops_from_whole_images_and_evaluation_sees_the_network_s_view(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", train=1, val=1)
    interrupts, settings = Interrupts(), small_run(data, tmp_path / "run").settings
    dataset, watch = open_dataset(data), Heard(Interrupts())
    shapes = [decode(dataset, "val", settings, watch, interrupts, side).pixels(0).shape for side in (None, 24, 100)]
    assert shapes == [(32, 32, 3), (24, 24, 3), (32, 32, 3)]


def test_a_signal_ends_it_at_the_next_image(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", train=4, val=1)
    interrupts, settings = Interrupts(), small_run(data, tmp_path / "run").settings
    watch = Heard(interrupts, stop=3)
    with pytest.raises(Interrupted, match="nothing was trained yet") as stopped:
        decode(open_dataset(data), "train", settings, watch, interrupts, 40)
    assert stopped.value.exit_code == 128 + signal.SIGTERM and len(watch.told) == 3


def test_two_images_to_learn_from_and_one_to_judge_by_are_enough(tmp_path: Path) -> None:
    """Where they show every class."""
    dataset, task = open_dataset(make_squares(tmp_path / "data", train=1, val=1)), Classify()
    one, two, three = (decode_split(dataset.splits["train"][:n], PREPROCESS, short_side=None) for n in (1, 2, 3))
    check(task, dataset, three, one)
    check(task, replace(dataset, labels=("0", "1")), two, one)
    with pytest.raises(DataError, match="no training image of 2"):
        check(task, dataset, two, one)
    with pytest.raises(TrainingError, match="1 training and 1 validation images"):
        check(task, replace(dataset, labels=("0",)), one, one)
    nothing = Images(one.targets[:0], (), (), True, one.pixels)
    with pytest.raises(TrainingError, match="3 training and 0 validation images"):
        check(task, dataset, three, nothing)

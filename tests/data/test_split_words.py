"""Words that name a split, the same for folders, lists of files and columns."""

import pytest

from mobilenets.data.rows import split_name


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("TRAIN", "train"),
        ("training_set", "train"),
        ("seg_train", "train"),
        ("train2017", "train"),
        ("TrainSet", "train"),
        ("train-images", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("validation set", "val"),
        ("dev", "val"),
        ("test", "test"),
        ("test_set", "test"),
        ("seg_test", "test"),
    ],
)
def test_split_words(word: str, split: str) -> None:
    assert split_name(word) == split


@pytest.mark.parametrize(
    "word", ["", "set", "images", "test tube", "train station", "contest", "trainers", "train_test"]
)
def test_other_words(word: str) -> None:
    assert split_name(word) is None

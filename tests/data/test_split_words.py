"""Words that name a split, the same for folders, lists of files and columns."""

import pytest

from mobilenets.data.rows import shown, split_name


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


def test_what_can_be_shown_is_shown() -> None:
    """Joiners of Persian and emoji and wide blanks stay; what would move a terminal's cursor does not."""
    for text in ("\u0645\u06cc\u200c\u0631\u0648\u0645", "black\u00a0cat", "\U0001f469\u200d\U0001f52c"):
        assert shown(text) == text
    assert shown("a\x1b[1mb\u202ec\udcff") == "a\ufffd[1mb\ufffdc\ufffd"

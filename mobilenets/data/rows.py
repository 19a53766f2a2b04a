"""Define the rows that every reader of a layout returns, with label and split as the user wrote them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from ..errors import DataError

__all__ = ["NEUTRAL_WORDS", "Listing", "Row", "checked_split", "split_name", "split_of"]

_SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
# words that may accompany the name of a split, as in training_set, seg_train, train_images, val2017
NEUTRAL_WORDS = {
    "set",
    "seg",
    "split",
    "data",
    "dataset",
    "image",
    "images",
    "img",
    "imgs",
    "photo",
    "photos",
    "folder",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One listed image. `label` is a class name, or an index into the names that the source declares."""

    name: str
    split: str | None  # "train", "val", "test"; None if the source has no splits
    label: str | int
    read: Callable[[], bytes]  # raises ImageError


@dataclass(slots=True)
class Listing:
    """All rows of a source, in a reproducible order."""

    rows: list[Row]
    names: tuple[str, ...] | None = None  # the classes, if the source declares them
    ordered: bool = False  # whether a label may be an index into `names`, so that their order matters
    notes: list[str] = field(default_factory=list)


def split_name(word: str) -> str | None:
    """Return the split named by a folder, a list file or a column's value, or None if it names no split.

    Case, digits and words such as `set` are ignored: 'Validation', 'training_set', 'seg_train', 'TrainSet' and
    'val2017' name a split, 'test tube' does not.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word)
    parts = [part for part in re.split(r"[\W\d_]+", spaced.lower()) if part]
    named = [part for part in parts if part not in NEUTRAL_WORDS]
    return _SPLITS.get(named[0]) if len(named) == 1 else None


def checked_split(word: object, where: str) -> str:
    """Return the split named by a column's value; raise `DataError` with `where` if it names none."""
    split = split_name(word.strip()) if isinstance(word, str) else None
    if split is None:
        raise DataError(f"{where}: split (={word!r}) must be train, val or test")
    return split


def split_of(path: PurePath) -> str | None:
    """Return the split named by a file or its folders: train-00000-of-00002.parquet, test/0000.tar."""
    for part in (path.name, *reversed(path.parent.parts)):
        for word in re.split(r"[^A-Za-z]+", part):
            split = split_name(word)
            if split:
                return split
    return None

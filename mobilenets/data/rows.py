"""What every reader of a layout hands on: rows whose label and split are still as the user wrote them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from ..errors import DataError

__all__ = ["BESIDE", "Listing", "Row", "checked_split", "split_name", "split_of"]

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
# words that may stand beside the split's, as in training_set, seg_train, train_images, val2017
BESIDE = {"set", "seg", "split", "data", "dataset", "image", "images", "img", "imgs", "photo", "photos", "folder"}


@dataclass(frozen=True, slots=True)
class Row:
    """One image. `label` is a name, or an index into the names that the source declares."""

    name: str
    split: str | None  # "train", "val", "test"; None where the source has no splits
    label: str | int
    read: Callable[[], bytes]  # raises ImageError


@dataclass(slots=True)
class Listing:
    """All rows of a source, in a fixed order."""

    rows: list[Row]
    names: tuple[str, ...] | None = None  # the classes, where the source declares them
    ordered: bool = False  # True where a label may be an index into `names`, so that their order has a meaning
    notes: list[str] = field(default_factory=list)


def split_name(word: str) -> str | None:
    """Return the split that a folder, a list or a column's value is named after, None where it names none.

    Case, digits and words such as `set` do not matter: 'Validation', 'training_set', 'seg_train', 'TrainSet' and
    'val2017' name a split, 'test tube' names none.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word)
    parts = [part for part in re.split(r"[\W\d_]+", spaced.lower()) if part]
    named = [part for part in parts if part not in BESIDE]
    return _SPLITS.get(named[0]) if len(named) == 1 else None


def checked_split(word: object, where: str) -> str:
    """The split that a column's value names; `DataError` says `where` it stands otherwise."""
    split = split_name(word.strip()) if isinstance(word, str) else None
    if split is None:
        raise DataError(f"{where}: split (={word!r}) must be train, val or test")
    return split


def split_of(path: PurePath) -> str | None:
    """The split that a file's name or folder tells: train-00000-of-00002.parquet, test/0000.tar."""
    for part in (path.name, *reversed(path.parent.parts)):
        for word in re.split(r"[^A-Za-z]+", part):
            split = split_name(word)
            if split:
                return split
    return None

"""Read text files that list the images of a split: Pascal VOC's ImageSets, Darknet's train.txt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.rows import split_name
from ...errors import DataError
from ...text import listed
from .files import Files, read_lines, stem_of

__all__ = ["SplitList", "split_lists", "splits_of"]

_FLAG = re.compile(r"\s+(-1|0|1)$")  # in the list of a single class


@dataclass(frozen=True, slots=True)
class SplitList:
    """The images of one split; `split` is "trainval" for those of train and val together."""

    file: Path
    split: str
    lines: list[tuple[int, str]]


def split_lists(files: Files) -> tuple[list[SplitList], list[str]]:
    """Return the lists in ImageSets/Main, else in ImageSets, else in the root, and notes on lists without a split.

    Lists of a single class (cat_train.txt), which state its presence in all images, are ignored.
    """
    texts = files.ending(".txt")
    for folders in (("imagesets", "main"), ("imagesets",), ()):
        here = [path for path in texts if _lies_in(files, path, folders)]
        homes = sorted({path.parent for path in here})
        if len(homes) > 1:
            raise DataError(
                f"{files.root}: {listed([files.name(home) for home in homes])} are two data sets: choose one"
            )
        lists = [SplitList(path, split, read_lines(path)) for path in here if (split := _split(path.stem))]
        if lists or (here and folders):
            unknown = [files.name(path) for path in here if not _split(path.stem) and not _about_a_class(path)]
            _check_once(lists)
            note = f"{listed(unknown)}: not used, the name is not that of a split"
            return lists, [note] if folders and unknown else []
    return [], []


def _lies_in(files: Files, path: Path, folders: tuple[str, ...]) -> bool:
    parts = tuple(part.casefold() for part in files.below(path).parent.parts)
    return parts == () if not folders else parts[-len(folders) :] == folders


def _split(stem: str) -> str | None:
    """Return the split in a list's name, or "trainval"."""
    letters = re.sub(r"[\W\d_]", "", stem.casefold())
    return "trainval" if letters in ("trainval", "trainvalid", "trainvalidation") else split_name(stem)


def _about_a_class(path: Path) -> bool:
    return "_" in path.stem and all(_FLAG.search(line) for _, line in read_lines(path))


def _check_once(lists: Sequence[SplitList]) -> None:
    of_split: dict[str, Path] = {}
    for one in lists:
        other = of_split.setdefault(one.split, one.file)
        if other != one.file:
            raise DataError(f"{one.file}: {other.name} is a list of {one.split} too: keep one")


def splits_of(lists: Sequence[SplitList], candidates: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """Return the split of each listed path of `candidates` (annotations or images), in order, and notes.

    trainval stands for train without a list of train, and for val without a list of val, except for images in the other
    list. Raises `DataError` with the line of a missing file; a note counts unlisted files.
    """
    of_stem: dict[str, list[Path]] = {}
    for path in candidates:
        of_stem.setdefault(path.stem, []).append(path)
    present = {one.split for one in lists}
    found: dict[Path, str] = {}
    for one in sorted(lists, key=lambda one: ("train", "val", "test", "trainval").index(one.split)):
        split = one.split
        if split == "trainval":
            if {"train", "val"} <= present:
                continue
            split = "val" if "train" in present else "train"
        for number, line in one.lines:
            path = _meant(one.file, number, line, of_stem)
            other = found.setdefault(path, split)
            if other != split and (one.split != "trainval" or other == "test"):
                raise DataError(f"{one.file}: line {number}: {line!r} is in {other} too")
    rest = [path for path in candidates if path not in found]
    names = listed([one.file.name for one in lists], 6)
    return found, [f"{len(rest)} files are in none of {names}: not used (first: {rest[0].name})"] if rest else []


def _meant(source: Path, number: int, line: str, of_stem: dict[str, list[Path]]) -> Path:
    """Return the file that a line names by its stem or path, with an optional flag."""
    for name in (line, _FLAG.sub("", line)):
        alike = of_stem.get(name) or of_stem.get(stem_of(name)) or []
        if len(alike) > 1:
            ending = f"/{name.rpartition('.')[0] or name}"
            alike = [path for path in alike if path.with_suffix("").as_posix().endswith(ending)]
        if len(alike) == 1:
            return alike[0]
    raise DataError(f"{source}: line {number}: {line!r} has no annotation or more than one")

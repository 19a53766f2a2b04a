"""Text files that list which image is in which split: Pascal VOC's ImageSets, Darknet's train.txt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.rows import split_name
from ...errors import DataError
from ...text import listed
from .files import Files, read_lines, stem_of

__all__ = ["SplitList", "split_lists", "splits_of"]

_FLAG = re.compile(r"\s+(-1|0|1)$")  # of a list that is about one class


@dataclass(frozen=True, slots=True)
class SplitList:
    """The images of one split. `split` is "trainval" for those of train and val together."""

    file: Path
    split: str
    lines: list[tuple[int, str]]


def split_lists(files: Files) -> tuple[list[SplitList], list[str]]:
    """The lists in ImageSets/Main, else in ImageSets, else in the root; notes name those that are of no split.

    Lists about one class (cat_train.txt) are left out: each says of all images whether the class is there.
    """
    texts = files.ending(".txt")
    for folders in (("imagesets", "main"), ("imagesets",), ()):
        here = [path for path in texts if _lies_in(files, path, folders)]
        homes = sorted({path.parent for path in here})
        if len(homes) > 1:
            raise DataError(f"{files.root}: {listed([files.name(home) for home in homes])} are two data sets: give one")
        lists = [SplitList(path, split, read_lines(path)) for path in here if (split := _split(path.stem))]
        if lists or (here and folders):
            unknown = [files.name(path) for path in here if not _split(path.stem) and not _about_a_class(path)]
            _check_once(lists)
            told = f"{listed(unknown)}: named after no split, not used"
            return lists, [told] if folders and unknown else []
    return [], []


def _lies_in(files: Files, path: Path, folders: tuple[str, ...]) -> bool:
    parts = tuple(part.casefold() for part in files.below(path).parent.parts)
    return parts == () if not folders else parts[-len(folders) :] == folders


def _split(stem: str) -> str | None:
    """The split that a list's name tells, or "trainval"."""
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
    """The split of each of `candidates` (annotations, or images) that is listed, in the order of the lists.

    trainval without train is train, without val it is val, less what the other list has. `DataError` names the line
    of what is not there; a note counts what is in no list.
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
    """The file that a line names: by its stem, by a path, or with a flag behind it."""
    for name in (line, _FLAG.sub("", line)):
        alike = of_stem.get(name) or of_stem.get(stem_of(name)) or []
        if len(alike) > 1:
            ending = f"/{name.rpartition('.')[0] or name}"
            alike = [path for path in alike if path.with_suffix("").as_posix().endswith(ending)]
        if len(alike) == 1:
            return alike[0]
    raise DataError(f"{source}: line {number}: {line!r} has no annotation or more than one")

"""Check a data set for errors that make its score invalid: contradicting labels, and images shared by two splits."""

import hashlib
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import DataError, ImageError, WorkError
from ..files import write_atomic
from ..image import decode
from ..text import listed
from .contents import Digest
from .rows import Row

__all__ = ["check_classes", "check_labels", "check_overlap", "same_content"]

Groups = list[list[int]]
_NAMED = 3  # pairs in a message


def same_content(contents: Sequence[Digest | None]) -> Groups:
    """Return the groups of positions with equal content, two or more in each."""
    groups: dict[Digest, list[int]] = {}
    for at, content in enumerate(contents):
        if content is not None:
            groups.setdefault(content, []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def check_labels(
    root: Path,
    rows: Sequence[Row],
    labels: Sequence[str],
    splits: Sequence[str],
    groups: Groups,
    max_bad: float = 0.01,
    agree: Callable[[int, int], bool] | None = None,
) -> list[str]:
    """Return notes on images with two labels; raise `DataError` if they are more than `max_bad` of a split.

    `agree(i, j)` returns whether the labels of rows i and j differ by annotation noise alone, which is allowed.
    """
    pairs: list[tuple[int, int]] = []
    scattered: list[tuple[int, int]] = []
    for group in groups:
        others = [at for at in group if labels[at] != labels[group[0]]]
        against = [at for at in others if not (agree and agree(group[0], at))]
        if others:
            (pairs if against else scattered).append((group[0], (against or others)[0]))
    pairs, scattered = _images_only(rows, pairs), _images_only(rows, scattered)
    notes = []
    if scattered:
        a, b = scattered[0]
        notes.append(
            f"{_images(len(scattered))} there twice with similar labels (first: {rows[a].name} = {rows[b].name})"
        )
    if not pairs:
        return notes
    lines = [f"{rows[a].name} ({labels[a]}) = {rows[b].name} ({labels[b]})" for a, b in pairs]
    text = f"{_images(len(pairs))} there with two labels: {listed(lines, _NAMED)}{_all_in_file(lines)}"
    of_split, twice = Counter(splits), Counter(splits[at] for pair in pairs for at in pair)
    share = max(count / of_split[split] for split, count in twice.items())
    if share > max_bad:
        allow = f"correct or remove one, or allow them with --max-bad {math.ceil(share * 1000) / 1000:g}"
        raise DataError(f"{root}: {text}; {allow}")
    return [*notes, text]


def _all_in_file(lines: Sequence[str]) -> str:
    """Write all lines to a temporary file if there are more than a message shows; return a text that names the file."""
    if len(lines) <= _NAMED:
        return ""
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    path = Path(tempfile.gettempdir(), f"mobilenets-two-labels-{hashlib.sha256(content).hexdigest()[:12]}.txt")
    try:
        write_atomic(path, content)
    except WorkError:  # for example a full disk
        return ""
    return f" (all in {path})"


def check_overlap(
    root: Path, rows: Sequence[Row], labels: Sequence[str], splits: Sequence[str], groups: Groups
) -> list[str]:
    """Return notes on duplicates; raise `DataError` if val or test has an image of train."""
    for held in ("val", "test"):
        pairs = _images_only(rows, _across(groups, splits, "train", held))
        if pairs:
            raise DataError(
                f"{root}: {_images(len(pairs))} in both train and {held}, which makes the score of {held} invalid: "
                + listed([f"{rows[a].name} = {rows[b].name}" for a, b in pairs])
            )
    notes = []
    both = _across(groups, splits, "val", "test")
    if both:
        a, b = both[0]
        notes.append(f"{_images(len(both))} in both val and test (first: {rows[a].name} = {rows[b].name})")
    copies = [pair for group in groups for pair in _copies(group, labels, splits)]
    if copies:
        a, b = copies[0]
        notes.append(f"{_images(len(copies))} there more than once (first: {rows[a].name} = {rows[b].name})")
    return notes


def check_classes(root: Path, labels: Sequence[int], splits: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return notes on classes absent from val or test; raise `DataError` for a class absent from train."""
    present = Counter(zip(splits, labels, strict=True))
    lacking = [name for index, name in enumerate(names) if not present["train", index]]
    if lacking:
        raise DataError(f"{root}: {_classes(len(lacking))} no image in train: {listed(lacking)}")
    notes = []
    for split in sorted(set(splits) - {"train"}):
        lacking = [name for index, name in enumerate(names) if not present[split, index]]
        if lacking:
            notes.append(f"{_classes(len(lacking))} no image in {split}: {listed(lacking)}")
    return notes


def _across(groups: Groups, splits: Sequence[str], one: str, other: str) -> list[tuple[int, int]]:
    """Return a pair (first image of split `one`, first of split `other`) for each group with images in both."""
    found = []
    for group in groups:
        a = next((at for at in group if splits[at] == one), None)
        b = next((at for at in group if splits[at] == other), None)
        if a is not None and b is not None:
            found.append((a, b))
    return found


def _copies(group: list[int], labels: Sequence[str], splits: Sequence[str]) -> list[tuple[int, int]]:
    """Return each further image of a group, paired with the first of its class and split."""
    first: dict[tuple[str, str], int] = {}
    return [(kept, at) for at in group if (kept := first.setdefault((splits[at], labels[at]), at)) != at]


def _images_only(rows: Sequence[Row], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop pairs of equal files that do not decode, such as one HTML page saved under many names."""
    return [pair for pair in pairs if _decodes(rows[pair[0]])]


def _decodes(row: Row) -> bool:
    try:
        decode(row.read(), at_least=(8, 8))
    except ImageError:
        return False
    return True


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count} images are"


def _classes(count: int) -> str:
    return "1 class has" if count == 1 else f"{count} classes have"

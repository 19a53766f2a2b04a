"""Convert labels as the user wrote them to class indices."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError, printable
from ..text import listed
from .imagenet import by_wnid
from .rows import Listing

__all__ = ["class_names", "clean", "indices", "names_in", "read_list", "read_names"]

_BLANKS = " \t\r\n"


def read_names(folder: Path) -> tuple[str, ...] | None:
    """Return the lines of `folder/labels.txt`, or None if there is no such file; raise `DataError` as `read_list`."""
    path = folder / "labels.txt"
    return read_list(path) if path.is_file() else None


def read_list(path: Path) -> tuple[str, ...]:
    """Return the names in a text file, one per line; raise `DataError` for an empty or a repeated name."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc
    return names_in(content, str(path))


def names_in(content: bytes, path: str) -> tuple[str, ...]:
    """Return the names in the content of a text file, as `read_list`; `path` is for messages."""
    try:
        lines = content.decode("utf-8-sig").rstrip(_BLANKS).split("\n")
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc
    names = tuple(clean(line, f"{path}: line {number}") for number, line in enumerate(lines, 1))
    if names == ("",):
        raise DataError(f"{path}: has no name")
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(f"{path}: line {number} is empty")
        if name in names[: number - 1]:
            raise DataError(f"{path}: line {number} repeats {name!r}")
    return names


def class_names(listing: Listing, declared: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return all classes in order: that of labels.txt (`declared`), else of the source, else sorted.

    If all names are numbers, they are sorted by value, so that class '10' follows '9'. WordNet ids of ImageNet's
    classes are replaced by their names, in the order of the ids.
    """
    if declared is not None:
        return declared
    names = _names(listing)
    known = by_wnid()
    return tuple(known[name] for name in names) if all(name in known for name in names) else names


def _names(listing: Listing) -> tuple[str, ...]:
    if listing.names is not None:
        names = [clean(name, "the names that the data declare") for name in listing.names]
        if len(set(names)) < len(names):
            raise DataError(f"class names must differ: {listed(names, 8)}")
        return tuple(names)
    return ordered_names(clean(str(row.label), row.name) for row in listing.rows)


def ordered_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names sorted, by value if all are whole numbers."""
    names = set(names)
    return tuple(sorted(names, key=lambda name: (int(name), name)) if all(map(_is_index, names)) else sorted(names))


def indices(listing: Listing, names: tuple[str, ...], declared: bool) -> list[int]:
    """Return the class index of every row; raise `DataError` with the first row whose label is not a class.

    If the names are `declared` (by labels.txt or the source), a whole number that is not a name is an index. A WordNet
    id is equivalent to ImageNet's name for it.
    """
    by_name = {name: index for index, name in enumerate(names)}
    by_name = {wnid: by_name[name] for wnid, name in by_wnid().items() if name in by_name} | by_name
    found = []
    for row in listing.rows:
        text = clean(str(row.label), row.name)
        if not text:
            raise DataError(f"{row.name}: the label is empty")
        index = None if declared and isinstance(row.label, int) else by_name.get(text)
        if index is None and declared and _is_index(text) and int(text) < len(names):
            index = int(text)
        if index is None:
            raise DataError(_no_class(row.name, text, names))
        found.append(index)
    return found


def _no_class(row: str, label: str, names: tuple[str, ...]) -> str:
    if _is_index(label.removeprefix("-")):
        return f"{row}: label {label} is out of range: there are {len(names)} classes, 0 to {len(names) - 1}"
    return f"{row}: label {label!r} is not one of the {len(names)} classes: {listed(names)}"


def clean(name: str, where: str) -> str:
    """Return a class name without outer blanks and in Unicode's composed form (NFC), which macOS does not use.

    All other characters are kept. Raises `DataError` with `where` for a control character or invalid UTF-8.
    """
    text = unicodedata.normalize("NFC", name.strip(_BLANKS))
    if not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise DataError(f"{printable(where)}: the class name {text[:80]!a} has a control character or invalid UTF-8")
    return text


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()

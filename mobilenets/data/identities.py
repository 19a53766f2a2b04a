"""Read photos labelled with identities (people, products, places), in any layout of classes, or LFW's pairs."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import DataError, printable
from ..image import EXTENSIONS, read
from .labels import ordered_names
from .rows import Listing, Row
from .sources import list_images
from .split import split_by_group

__all__ = ["list_identities", "list_pairs"]


def list_identities(root: Path, fraction: float | None) -> tuple[Listing, tuple[str, ...]]:
    """Return the rows at `root`, whose labels are identities, and the identities' names. No identity is in two splits.

    If the data have no splits, `fraction` of the identities become val and as many test, chosen by the hash of their
    names. If they have, raises `DataError` for an identity in train and in another split, because the score would not
    hold for unknown identities. Raises `DataError` for an identity with a single photo.
    """
    listing = list_images(root)
    counts = Counter(str(row.label) for row in listing.rows)
    for row in listing.rows:
        if counts[str(row.label)] < 2:
            raise DataError(f"{root}: identity {row.label!r} has one photo, {row.name}: at least 2 are needed")
    if fraction is not None and all(row.split is None for row in listing.rows):
        parts = split_by_group([str(row.label) for row in listing.rows], fraction)
        if "val" not in parts:
            raise DataError(f"{root}: {len(counts)} identities are too few to hold some out, at least 6 are needed")
        listing.rows = [replace(row, split=part) for row, part in zip(listing.rows, parts, strict=True)]
        sizes = Counter({str(row.label): row.split for row in listing.rows}.values())
        held = f"{sizes['val']} for validation and {sizes['test']} for test"
        listing.notes.append(f"no splits: of {len(counts)} identities {held} held out by the hash of their names")
    _check_strangers(root, listing)
    return listing, ordered_names(counts)


def _check_strangers(root: Path, listing: Listing) -> None:
    trained = {str(row.label): row.name for row in listing.rows if row.split == "train"}
    for row in listing.rows:
        if row.split not in ("train", None) and str(row.label) in trained:
            raise DataError(
                f"{root}: identity {row.label!r} is in {row.split} ({row.name}) and in train "
                f"({trained[str(row.label)]}): an identity must be in one split only"
            )


def list_pairs(path: Path) -> tuple[Listing, tuple[str, ...]]:
    """Read LFW's pairs as published: return two consecutive rows for each pair, and the identities' names.

    A line is `NAME 1 2` (two photos of one identity) or `NAME 1 NAME 2` (of two); the first line counts folds and
    pairs. Photo 1 of NAME is NAME/NAME_0001 with an image extension, next to the file. Raises `DataError` with the
    line.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not any(cells) or (number == 1 and all(cell.strip().isdigit() for cell in cells)):
            continue
        if len(cells) not in (3, 4) or not (cells[1].isdigit() and cells[-1].strip().isdigit()):
            raise DataError(f"{path}: line {number} (={printable(line)!r}) must be NAME N N or NAME N NAME N")
        for name, photo in ((cells[0], cells[1]), (cells[-2] if len(cells) == 4 else cells[0], cells[-1])):
            rows.append(_photo(path, number, name.strip(), int(photo)))
    if not rows:
        raise DataError(f"{path}: has no pair")
    return Listing(rows), ordered_names(str(row.label) for row in rows)


def _photo(path: Path, number: int, name: str, photo: int) -> Row:
    for folder in (path.parent / name, path.parent / "lfw" / name):
        for extension in sorted(EXTENSIONS, key=lambda one: one != ".jpg"):
            file = folder / f"{name}_{photo:04d}{extension}"
            if file.is_file():
                return Row(printable(f"{name}/{file.name}"), None, name, partial(read, file))
    missing = f"{name}/{name}_{photo:04d}.jpg"
    raise DataError(f"{path}: line {number}: photo {printable(missing)} does not exist next to the file")

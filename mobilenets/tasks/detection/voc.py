"""Read Pascal VOC: one .xml file per image, in Annotations/, next to the image, or in variants of other tools.

Edges are used unchanged. VOC counts pixels from 1, current tools (labelImg) from 0, a difference of half a pixel.
"""

import math
from pathlib import Path

from ...data.labels import ordered_names, read_names
from ...errors import DataError
from ...image import Size
from ...text import listed
from .annotations import Annotations, Box, Photo, finite
from .files import Files, stem_of
from .lists import split_lists, splits_of
from .markup import Node, parsed

__all__ = ["read_voc"]

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(files: Files) -> Annotations | None:
    """Return all annotated images, or None if no .xml file is an annotation; raise `DataError` with file and line.

    The split comes from lists (see `split_lists`), else from the folders of the annotation or of the image.
    """
    trees = {file: parsed(file) for file in files.ending(".xml")}
    others = [files.name(file) for file, tree in trees.items() if tree.name.casefold() != "annotation"]
    trees = {file: tree for file, tree in trees.items() if tree.name.casefold() == "annotation"}
    if not trees:
        return None
    lists, notes = split_lists(files)
    if others:
        notes.append(f"{len(others)} .xml files are not annotations of Pascal VOC: {listed(others)}")
    splits: dict[Path, str] = {}
    if lists:
        splits, more = splits_of(lists, list(trees))
        notes += more
        trees = {file: trees[file] for file in splits}
    names = _names(files.root, trees)
    stale: list[str] = []
    photos = [_photo(files, file, tree, names, splits.get(file), stale) for file, tree in trees.items()]
    if stale:
        notes.append(
            f"{len(stale)} annotations have another <filename> than their own name, which is used (first: {stale[0]})"
        )
    return Annotations(names, photos, notes)


def _names(root: Path, trees: dict[Path, Node]) -> tuple[str, ...]:
    """Return the classes in the order of labels.txt, next to Annotations/ or in the root, else sorted."""
    objects = [(file, node) for file, tree in trees.items() for node in tree.all("object")]
    homes = [root, *dict.fromkeys(file.parent.parent for file in trees if file.parent != root)]
    declared = next((names for home in homes if (names := read_names(home))), None)
    return declared or ordered_names(_class(file, node) for file, node in objects)


def _photo(files: Files, file: Path, tree: Node, names: tuple[str, ...], split: str | None, stale: list[str]) -> Photo:
    """Return the image of an annotation: the one with the name of the file, else the one named by <filename>.

    Annotations whose <filename> differs from their own name are appended to `stale`; it is outdated if files are
    renamed.
    """
    named = tree.value("filename") or ""
    image = files.image(file, file.stem, named)
    if image is None and named:
        image = files.image(file, stem_of(named), named)
    elif named and stem_of(named).casefold() != file.stem.casefold():
        stale.append(f"{files.name(file)}: {named!r}")
    if image is None:
        raise DataError(f"{file}: its image {named or file.stem!r} does not exist in {files.root}")
    boxes = [_box(file, node, names) for node in tree.all("object")]
    return Photo(image, files.name(image), split or files.split(file, image), str(file), boxes, _declared_size(tree))


def _declared_size(tree: Node) -> Size | None:
    """Return the content of <size>, or None without it; some programs write zeros."""
    for node in tree.all("size"):
        return _whole(node.value("width")), _whole(node.value("height"))
    return None


def _whole(text: str | None) -> int:
    """Return a number of pixels, or 0 if it is not a number."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0
    return int(value) if math.isfinite(value) else 0


def _class(file: Path, node: Node) -> str:
    name = node.value("name")
    if not name:
        raise DataError(f"{file}: line {node.line}: the object has no name")
    return name


def _box(file: Path, node: Node, names: tuple[str, ...]) -> Box:
    where, name = f"{file}: line {node.line}", _class(file, node)
    if name not in names:
        raise DataError(f"{where}: class {name!r} is not one of the {len(names)} classes: {listed(names)}")
    edges = node.all("bndbox")
    if not edges:
        raise DataError(f"{where}: the object has no bndbox")
    left, top, right, bottom = finite([edges[0].value(edge) for edge in _EDGES], where)
    return Box(where, names.index(name), (left, top, right, bottom), node.value("difficult") == "1")

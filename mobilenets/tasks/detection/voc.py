"""Pascal VOC: an .xml file an image, in Annotations beside JPEGImages, beside the image, or as others lay it out.

Edges are taken as they stand. VOC itself counts pixels from 1, what writes such files today (labelImg) from 0: half a
pixel either way.
"""

import math
from pathlib import Path

from ...data.labels import ordered_names, read_names
from ...errors import DataError
from ...text import listed
from .annotations import Annotations, Box, Photo, finite
from .files import Files, stem_of
from .frame import Size
from .lists import split_lists, splits_of
from .markup import Node, parsed

__all__ = ["read_voc"]

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(files: Files) -> Annotations | None:
    """All annotated images, None where no .xml file is an annotation; `DataError` names file and line of what breaks a
    rule.

    The split is told by lists (see `split_lists`), else by folders, of the annotation or of the image.
    """
    trees = {file: parsed(file) for file in files.ending(".xml")}
    others = [files.name(file) for file, tree in trees.items() if tree.name.casefold() != "annotation"]
    trees = {file: tree for file, tree in trees.items() if tree.name.casefold() == "annotation"}
    if not trees:
        return None
    lists, notes = split_lists(files)
    if others:
        notes.append(f"{len(others)} .xml files are no annotations of Pascal VOC: {listed(others)}")
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
            f"{len(stale)} annotations have another <filename> than their own name, which is taken (first: {stale[0]})"
        )
    return Annotations(names, photos, notes)


def _names(root: Path, trees: dict[Path, Node]) -> tuple[str, ...]:
    """The classes: as labels.txt has them, beside the folder Annotations or at the root, else sorted."""
    objects = [(file, node) for file, tree in trees.items() for node in tree.all("object")]
    homes = [root, *dict.fromkeys(file.parent.parent for file in trees if file.parent != root)]
    declared = next((names for home in homes if (names := read_names(home))), None)
    return declared or ordered_names(_class(file, node) for file, node in objects)


def _photo(files: Files, file: Path, tree: Node, names: tuple[str, ...], split: str | None, stale: list[str]) -> Photo:
    """The image of an annotation: that of the file's own name, else the one that <filename> names.

    What has another <filename> than its own name goes to `stale`: files are renamed, what is written in them stays.
    """
    named = tree.value("filename") or ""
    image = files.image(file, file.stem, named)
    if image is None and named:
        image = files.image(file, stem_of(named), named)
    elif named and stem_of(named).casefold() != file.stem.casefold():
        stale.append(f"{files.name(file)}: {named!r}")
    if image is None:
        raise DataError(f"{file}: its image {named or file.stem!r} is not in {files.root}")
    boxes = [_box(file, node, names) for node in tree.all("object")]
    return Photo(image, files.name(image), split or files.split(file, image), str(file), boxes, _declared_size(tree))


def _declared_size(tree: Node) -> Size | None:
    """What <size> says, None where it says nothing; some programs write zeros."""
    for node in tree.all("size"):
        return _whole(node.value("width")), _whole(node.value("height"))
    return None


def _whole(text: str | None) -> int:
    """A number of pixels; 0 for what is none."""
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
        raise DataError(f"{where}: class {name!r} is none of the {len(names)} classes: {listed(names)}")
    edges = node.all("bndbox")
    if not edges:
        raise DataError(f"{where}: the object has no bndbox")
    left, top, right, bottom = finite([edges[0].value(edge) for edge in _EDGES], where)
    return Box(where, names.index(name), (left, top, right, bottom), node.value("difficult") == "1")

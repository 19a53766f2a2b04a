"""Pascal VOC: Annotations/*.xml, JPEGImages, and in ImageSets/Main which image is in which split.

Edges are taken as they stand. VOC itself counts pixels from 1, what writes such files today (labelImg) from 0: half a
pixel either way.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.parsers import expat

from ...data.labels import ordered_names, read_names
from ...data.parallel import ordered
from ...data.rows import Listing, Row, listed, shown
from ...errors import DataError
from ...image import EXTENSIONS, read
from .boxes import Annotations, Box, Size, finite, found_size, same_size

__all__ = ["read_voc", "voc_root"]

_SETS = {"train": "train", "val": "val", "test": "test"}
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(slots=True)
class Node:
    """An element and the line where it begins."""

    name: str
    line: int
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def all(self, name: str) -> list["Node"]:
        return [child for child in self.children if child.name == name]

    def value(self, name: str) -> str | None:
        """The text of the first child of that name."""
        return next((child.text.strip() for child in self.all(name)), None)


def voc_root(path: Path) -> Path | None:
    """The folder that holds Annotations: `path` or one right below it; None where there is none."""
    folders = [path, *sorted(child for child in path.iterdir() if child.is_dir())] if path.is_dir() else []
    return next((folder for folder in folders if (folder / "Annotations").is_dir()), None)


def read_voc(root: Path) -> Annotations:
    """All annotated images; `DataError` names file and line of what breaks a rule."""
    files = _files(root)
    trees = [_parsed(file) for file, _ in files]
    declared = read_names(root)
    objects = [(file, node) for (file, _), tree in zip(files, trees, strict=True) for node in tree.all("object")]
    names = declared or ordered_names(_class(file, node) for file, node in objects)
    images = [_image(root, file, tree) for (file, _), tree in zip(files, trees, strict=True)]
    annotations = Annotations(names, Listing([], names))
    for (file, split), tree, image, found in zip(files, trees, images, ordered(found_size, images), strict=True):
        name = shown(str(image.relative_to(root)))
        annotations.listing.rows.append(Row(name, split, "", partial(read, image)))
        annotations.sizes.append(same_size(_declared_size(tree), found, str(file), name))
        annotations.boxes.append([_box(file, node, names) for node in tree.all("object")])
    return annotations


def _files(root: Path) -> list[tuple[Path, str | None]]:
    """Every annotation with its split: as ImageSets/Main tells, else all there are, None."""
    folder = root / "Annotations"
    lists = {split: root / "ImageSets" / "Main" / f"{split}.txt" for split in _SETS}
    if not lists["train"].is_file():
        lists["train"] = lists["train"].with_name("trainval.txt")
    if not lists["train"].is_file():
        found = sorted(folder.glob("*.xml"))
        if not found:
            raise DataError(f"{folder}: holds no .xml file")
        return [(file, None) for file in found]
    return [
        (_existing(folder / f"{stem.strip()}.xml", path, line), split)
        for split, path in lists.items()
        if path.is_file()
        for line, stem in enumerate(path.read_text("utf-8-sig").splitlines(), 1)
        if stem.strip()
    ]


def _existing(file: Path, source: Path, line: int) -> Path:
    if not file.is_file():
        raise DataError(f"{source}: line {line}: {file.stem!r} has no annotation {file}")
    return file


def _parsed(file: Path) -> Node:
    """The tree of an XML file."""
    stack = [Node("", 0)]
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name, parser.CurrentLineNumber)
        stack[-1].children.append(node)
        stack.append(node)

    def text(value: str) -> None:
        stack[-1].text += value

    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda name: stack.pop()
    try:
        parser.Parse(file.read_bytes(), True)
    except (expat.ExpatError, OSError) as exc:
        raise DataError(f"{file}: is no XML: {exc}") from exc
    return stack[0].children[0]


def _image(root: Path, file: Path, tree: Node) -> Path:
    folder = root / "JPEGImages"
    named = tree.value("filename") or file.stem
    candidates = [named, *(f"{file.stem}{extension}" for extension in (".jpg", *sorted(EXTENSIONS)))]
    found = next((folder / name for name in candidates if (folder / name).is_file()), None)
    if found is None:
        raise DataError(f"{file}: its image {named!r} is not in {folder}")
    return found


def _declared_size(tree: Node) -> Size | None:
    """What <size> says; some programs write zeros."""
    for node in tree.all("size"):
        width, height = node.value("width") or "", node.value("height") or ""
        if width.isdigit() and height.isdigit() and int(width) and int(height):
            return int(width), int(height)
    return None


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

"""Parse XML into a tree, in any encoding that Python supports; entity declarations are rejected."""

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from ...errors import DataError

__all__ = ["Node", "parsed"]

_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}  # files often declare the older encoding for newer characters


@dataclass(slots=True)
class Node:
    """An XML element and the line where it begins."""

    name: str
    line: int
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def all(self, name: str) -> list["Node"]:
        """Return all children of that name."""
        return [child for child in self.children if child.name == name]

    def value(self, name: str) -> str | None:
        """Return the text of the first child of that name, or None."""
        return next((child.text.strip() for child in self.all(name)), None)


def parsed(file: Path) -> Node:
    """Return the root element of an XML file; raise `DataError` if it cannot be read."""
    stack = [Node("", 0)]
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name, parser.CurrentLineNumber)
        stack[-1].children.append(node)
        stack.append(node)

    def text(value: str) -> None:
        stack[-1].text += value

    def entity(name: str, *rest: object) -> None:
        raise DataError(f"{file}: line {parser.CurrentLineNumber}: entity declarations are not supported")

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EntityDeclHandler = start, text, entity
    parser.EndElementHandler = lambda name: stack.pop()
    try:
        parser.Parse(_decoded(file), True)
    except (expat.ExpatError, OSError, UnicodeError) as exc:
        raise DataError(f"{file}: is not XML: {exc}") from exc
    return stack[0].children[0]


def _decoded(file: Path) -> str:
    """Return the text of an XML file, decoded by its byte order mark, else by its declaration, else as UTF-8."""
    data = file.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        declared = _DECLARED.match(data[:500])
        encoding = declared[1].decode().lower() if declared else "utf-8"
        encoding = _WIDER.get(encoding, encoding)
    try:
        return data.decode(encoding)
    except LookupError as exc:
        raise DataError(f"{file}: its encoding {encoding!r} is not supported") from exc
    except UnicodeError as exc:
        raise DataError(f"{file}: is not text in its declared encoding {encoding}: {exc}") from exc

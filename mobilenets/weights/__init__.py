"""Bringing trained MobileNets in: Keras, timm, TensorFlow Lite, PyTorch and ONNX files become a `Model`.

A reader per format makes `layers.Content` of a file; `recognise` makes a `Model` of that. Nothing in a file is run.
`catalogue` lists what others publish, `hub` downloads it, `open_pretrained` reads a name or a path.
"""

from .catalogue import CATALOGUE, Published, find
from .hub import fetch
from .importing import FORMATS, import_files, read_content
from .pretrained import is_published, open_pretrained
from .recognise import Fact, Given, Imported, recognise
from .transfer import Transfer, transfer

__all__ = [
    "CATALOGUE",
    "FORMATS",
    "Fact",
    "Given",
    "Imported",
    "Published",
    "Transfer",
    "fetch",
    "find",
    "import_files",
    "is_published",
    "open_pretrained",
    "read_content",
    "recognise",
    "transfer",
]

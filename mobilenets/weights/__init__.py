"""Import of trained MobileNets: Keras, timm, TensorFlow Lite, PyTorch and ONNX files become a `Model`.

`read/` has a reader per format, which converts a file to `layers.Content`; `recognise` converts that to a `Model`; no
code in a file is run. `hub/` lists and downloads published networks; `open_pretrained` takes a name or a path.
`transfer` fits a model to another alpha, resolution or set of classes.
"""

from .hub.catalogue import CATALOGUE, Published, find
from .hub.fetch import at_hand, fetch
from .importing import FORMATS, import_files, read_content
from .pretrained import check_pretrained, is_ours, is_published, open_pretrained
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
    "at_hand",
    "check_pretrained",
    "fetch",
    "find",
    "import_files",
    "is_ours",
    "is_published",
    "open_pretrained",
    "read_content",
    "recognise",
    "transfer",
]

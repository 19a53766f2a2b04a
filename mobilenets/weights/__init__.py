"""Bringing trained MobileNets in: Keras, timm, TensorFlow Lite, PyTorch and ONNX files become a `Model`.

A reader per format makes `layers.Content` of a file; `recognise` makes a `Model` of that. Nothing in a file is run.
"""

from .importing import FORMATS, import_files
from .recognise import Fact, Given, Imported

__all__ = ["FORMATS", "Fact", "Given", "Imported", "import_files"]

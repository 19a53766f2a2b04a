"""Metadata of a `.tflite`: TensorFlow Lite's own, and this package's, which it reads back exactly.

TensorFlow's (metadata_schema.fbs) is a flatbuffer under the name TFLITE_METADATA: colours, size and normalisation of
the image, and a labels.txt, one label per line, in a zip archive after the model. Labels and network are stored under
the names mobilenets_* as JSON, because a line cannot hold every label and a number not every crop.
"""

import io
import re
import zipfile
from typing import Any

import numpy as np

from ..image import Preprocess
from ..model import PREFIX, AnyModel, use_to_metadata
from .flatbuffer import Table, to_bytes
from .tflite_file import File

__all__ = ["finish"]

LABELS = "labels.txt"
AXIS_LABELS = 2  # AssociatedFileType: a label per output index
COLOURS = {3: 1, 1: 2}  # channels -> ColorSpaceType
IMAGE, NORMALISATION = 2, 1  # in the unions ContentProperties and ProcessUnitOptions
OLDEST_READER = "1.0.0"  # the oldest that supports these fields

_SCHEMA = {
    "ModelMetadata": "name description version subgraph_metadata author license associated_files min_parser_version",
    "SubGraphMetadata": "name description input_tensor_metadata output_tensor_metadata",
    "TensorMetadata": "name description dimension_names content process_units stats associated_files",
    "Content": "content_properties_type:Uint8 content_properties",
    "ImageProperties": "color_space:Int8 default_size",
    "ImageSize": "width:Uint32 height:Uint32",
    "ProcessUnit": "options_type:Uint8 options",
    "NormalizationOptions": "mean std",
    "AssociatedFile": "name description type:Int8",
}


def finish(file: File, model: AnyModel, image: int, answer: int) -> bytes:
    """Return the bytes of `file`, which maps `image` to `answer`, with the metadata of `model`."""
    own = {**use_to_metadata(model, PREFIX), f"{PREFIX}task": model.task}
    metadata = {"TFLITE_METADATA": to_bytes(_SCHEMA, _metadata(model), b"M001")}
    metadata |= {key: text.encode() for key, text in own.items()}
    return file.content(image, answer, metadata) + _archive(LABELS, _lines(model.labels))


def _metadata(model: AnyModel) -> Table:
    labels = {"name": LABELS, "description": "One label a line, in the order of the outputs.", "type": AXIS_LABELS}
    answer = {
        "name": "probabilities",
        "description": "The probability of each label.",
        "associated_files": [Table("AssociatedFile", labels)],
    }
    graph = {
        "input_tensor_metadata": [_image(model.preprocess)],
        "output_tensor_metadata": [Table("TensorMetadata", answer)],
    }
    fields: dict[str, Any] = {
        "name": f"MobileNet v1 {model.network.name}",
        "description": "Written by mobilenets.",
        "subgraph_metadata": [Table("SubGraphMetadata", graph)],
        "min_parser_version": OLDEST_READER,
    }
    return Table("ModelMetadata", fields)


def _image(p: Preprocess) -> Table:
    size = Table("ImageSize", {"width": p.width, "height": p.height})
    image = Table("ImageProperties", {"color_space": COLOURS[p.channels], "default_size": size})
    numbers = {name: np.atleast_1d(np.float32(getattr(p, name))) for name in ("mean", "std")}
    unit = {"options_type": NORMALISATION, "options": Table("NormalizationOptions", numbers)}
    fields = {
        "name": "image",
        "description": f"{_shown(p)}, resized to {p.height}x{p.width} (height x width; {p.resize}"
        f"{', with antialiasing' * (p.resize != 'nearest')}), then (pixel - mean) / std.",
        "content": Table("Content", {"content_properties_type": IMAGE, "content_properties": image}),
        "process_units": [Table("ProcessUnit", unit)],
    }
    return Table("TensorMetadata", fields)


def _shown(p: Preprocess) -> str:
    return {
        "crop": f"The central {p.crop:g} of the image, in the shape of the network's input",
        "stretch": "The whole image, stretched to the shape of the network's input",
        "letterbox": "The whole image in its own aspect ratio, centred on black",
    }[p.fit]


def _lines(labels: tuple[str, ...]) -> str:
    """Return one label per line: line breaks become spaces, an empty label its number."""
    plain = (re.sub(r"[\t\r\n]+", " ", label).strip(" ") for label in labels)
    return "".join(f"{label or number}\n" for number, label in enumerate(plain))


def _archive(name: str, text: str) -> bytes:
    """Return a zip archive of one uncompressed file, which readers map in place; equal bytes at any time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()

"""The folder that a microcontroller project takes: the C of a network, an example, and the files of each build system.

The files in `project/` lie as they do in the folder; what stands between two @ in them is filled in.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from ..compiler.micro import micro_sources
from ..costs import Memory
from ..errors import UsageError
from ..image import Pixels, Preprocess
from ..quant import reference
from ..quant.scheme import QuantModel
from .device import Device
from .memory import code_bytes

__all__ = ["Folder", "folder_of", "pattern"]

LONGEST = 39  # characters of a name: with "mobilenets_" before it, PlatformIO takes 50


@dataclass(frozen=True, slots=True)
class Folder:
    """The files by their names in the folder, and the bytes that the network takes of the device."""

    files: Mapping[str, str]
    memory: Memory


def folder_of(model: QuantModel, device: Device, name: str, pixels: Pixels) -> Folder:
    """Return the files for `model` on `device`; the example shows it `pixels`, (height, width, channels)."""
    if len(name) > LONGEST:
        raise UsageError(f"name {name!r} must be at most {LONGEST} characters")
    made = micro_sources(model, device.core, name)
    memory = Memory(made.arena, made.stack, made.weights, code_bytes(model.network, device))
    values = {
        "name": name,
        "NAME": name.upper(),
        "title": model.name,
        "device": device.name,
        "architectures": device.architectures,
        "arena": f"{memory.arena:,}",
        "stack": f"{memory.stack:,}",
        "ram": f"{memory.arena + memory.stack:,}",
        "weights": f"{memory.weights:,}",
        "code": f"{memory.code:,}",
        "flash": f"{memory.weights + memory.code:,}",
        "version": version("mobilenets"),
        "flags": " ".join(("-O2", *device.core.flags)),
    }
    project = {path: filled(text, values) for path, text in _texts(files(__package__) / "project")}
    sources = {f"src/{file}": text for file, text in made.files.items()}
    example = {f"src/mobilenets_{name}_example.h": _example(model, name, pixels)}
    return Folder({**sources, **example, **project}, memory)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with the value of each name that stands between two @."""
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], text)


def pattern(preprocess: Preprocess) -> Pixels:
    """Return a picture where none is given: colours that run from one corner to the others."""
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    y, x = np.mgrid[0:height, 0:width]
    ramps = (255 * y // max(1, height - 1), 255 * x // max(1, width - 1), 255 * (x + y) // max(1, height + width - 2))
    return np.stack(ramps[:channels], axis=-1).astype(np.uint8)


def _texts(folder: Traversable, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield the files of a folder: path, text."""
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _texts(one, f"{below}{one.name}/")
        else:
            yield f"{below}{one.name}", one.read_text("utf-8")


def _example(model: QuantModel, name: str, pixels: Pixels) -> str:
    """Return the header of a picture and the logits that `quant.reference` computes of it."""
    guard = f"MOBILENETS_{name.upper()}_EXAMPLE_H"
    return f"""/* A picture as mobilenets_{name}_run takes it, and the logits that the host computes of it. */
#ifndef {guard}
#define {guard}

#include <stdint.h>

{_array("uint8_t", f"mobilenets_{name}_pixels", pixels.reshape(-1).tolist())}
{_array("int8_t", f"mobilenets_{name}_logits", reference.run(model, pixels[None])[0].tolist())}
#endif
"""


def _array(element: str, name: str, values: list[int]) -> str:
    """Return a constant array in C, in lines of 24 numbers."""
    rows = (", ".join(map(str, values[at : at + 24])) for at in range(0, len(values), 24))
    return f"static const {element} {name}[{len(values)}] = {{\n{_indented(rows)}}};\n"


def _indented(rows: Iterable[str]) -> str:
    return "".join(f"    {row},\n" for row in rows)

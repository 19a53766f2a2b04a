"""Networks of the engine for microcontrollers, compiled for this processor and compared with the oracle."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.compiler.build import compiler
from mobilenets.compiler.micro import Core, MicroSources, micro_sources, plan_of
from mobilenets.compiler.micro.emit import strides
from mobilenets.compiler.micro.families import FAMILIES
from mobilenets.compiler.micro.lower import steps_of
from mobilenets.compiler.processor import load
from mobilenets.image import Pixels
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
CANARY = 64  # bytes


def stopping(sources: MicroSources) -> dict[str, str]:
    """The files, with a variable `stop`: the number of steps that are run."""
    text = sources.files["network.c"].replace("i < STEPS;", "i < STEPS && i < stop;")
    return sources.files | {"network.c": text.replace("#define STEPS", "int stop;\n#define STEPS")}


def compiled(sources: MicroSources, folder: Path) -> ctypes.CDLL:
    """A library whose variable `stop` is the number of steps that it runs."""
    for name, text in stopping(sources).items():
        (folder / name).write_text(text)
    library = folder / "network.so"
    command = [*compiler(), "-std=c99", *WARNINGS, "-O1", "-shared", "-fPIC", "-o", library]
    subprocess.run([*command, folder / "network.c"], check=True)
    return load(library, "portable", ())


def differing(model: QuantModel, core: Core, images: Pixels, folder: Path) -> int:
    """Return how many codes that a step hands on differ; nothing outside of arena and logits may be written."""
    sources = micro_sources(model, core)
    code, readers = compiled(sources, folder), written(model, core)
    stop, found = ctypes.c_int.in_dll(code, "stop"), 0
    for image in images:
        exact = dict(reference.steps(model, image[None]))
        for number, (name, at, zero) in enumerate(readers, 1):
            if not at.size:
                continue
            stop.value = number
            arena, logits = run(code, sources.arena, model.network.classes, image)
            values = logits if number == len(readers) else arena[at] - np.int16(zero)
            found += int((values != exact[name][0]).sum())
    return found


def written(model: QuantModel, core: Core) -> list[tuple[str, Any, int]]:
    """Return, for each step, the layer that it writes, where its codes lie, and what a code is above its integer.

    Images that are kept in part lie nowhere: what is read from them shows whether they were right.
    """
    steps = steps_of(model)
    arena, found = plan_of(steps, core), []
    for number, step in enumerate(steps):
        row, pixel, plane, _ = strides(number, steps, arena, FAMILIES[core.kernels])
        h, w, c = step.shape_out
        at = np.add.outer(np.add.outer(np.arange(h) * row, np.arange(w) * pixel), np.arange(c) * plane)
        at = at[:0] if arena.steps[number].kept else at
        rule = step.rule
        name = step.sum.name if step.sum else step.last.name + "_act" * (rule.table is not None)
        found.append((name, at + arena.steps[number].output, rule.padding - model.activations[name].zero_point))
    return found


def run(code: ctypes.CDLL, size: int, classes: int, image: Pixels) -> tuple[Any, Any]:
    """(arena, logits) after a call."""
    arena = np.full(size + CANARY, 0xA5, np.uint8)
    logits = np.full(classes + CANARY, 77, np.int8)
    pixels = np.ascontiguousarray(image)
    best = code.mobilenets_network_run(*(ctypes.c_void_p(a.ctypes.data) for a in (pixels, logits, arena)))
    assert (arena[size:] == 0xA5).all() and (logits[classes:] == 77).all()
    assert best == logits[:classes].argmax()
    return arena[:size], logits[:classes]

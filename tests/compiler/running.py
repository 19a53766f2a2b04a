"""A compiled network called as C calls it, and what torch computes of it in float64."""

import ctypes
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from native import runnable

from mobilenets.compiler import Library, has_compiler
from mobilenets.compiler.compile import _compile
from mobilenets.compiler.processor import load
from mobilenets.compiler.program import Target
from mobilenets.image import Pixels
from mobilenets.model import Model
from mobilenets.quant.scheme import QuantModel
from mobilenets.training.module import MobileNet, load_weights

Array = np.ndarray[Any, np.dtype[Any]]

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")
CANARY = 64  # elements


class Running:
    """A library as C sees it. Its arena begins as numbers that are none, and canaries lie around what it writes."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.code = load(library.path, library.target, library.features)
        self.weights = aligned(np.fromfile(library.weights, np.uint8))

    def __call__(self, image: Pixels, parts: int = 1, backwards: bool = False) -> Array:
        """(2, classes): logits, probabilities; every step in `parts` parts, one after the other."""
        size = self.library.arena(parts)
        arena = aligned(np.full(size + CANARY, 0xFF, np.uint8))  # no number, as float and as bf16
        arena[size:] = 123
        output = np.full((2 * self.library.classes) + CANARY, 12345, np.float32)
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (self.weights, image, output, arena)]
        order = range(parts)[::-1] if backwards else range(parts)
        if parts == 1:
            self.code.mobilenets_network_run(*arrays)
        else:
            for step in range(self.library.steps):
                for part in order:
                    self.code.mobilenets_network_step(step, part, parts, *arrays)
        assert (arena[size:] == 123).all() and (output[-CANARY:] == 12345).all()
        return output[:-CANARY].reshape(2, self.library.classes)


def running(model: Model | QuantModel, target: Target, precision: str | None = None) -> Running:
    """Compile `model` for `target`, emulated where this processor does not run it."""
    with TemporaryDirectory() as folder:
        return Running(_compile(model, runnable(target), Path(folder), precision))


def aligned(array: Array) -> Array:
    """A copy at a multiple of 64 bytes."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


def images_of(model: Model, count: int = 2) -> Pixels:
    p = model.preprocess
    return np.random.default_rng(3).integers(0, 256, (count, p.height, p.width, p.channels), np.uint8)


def float64_logits(model: Model, images: Pixels) -> Array:
    """Torch, batch norm and normalisation as they are, all in float64."""
    module = MobileNet(model.graph)
    load_weights(module, model.weights)
    mean, std = (np.asarray(value, np.float64) for value in (model.preprocess.mean, model.preprocess.std))
    pixels = torch.from_numpy(((images.astype(np.float64) - mean) / std).transpose(0, 3, 1, 2))
    with torch.inference_mode():
        return module.double().eval()(pixels).numpy()


def relative_rms(found: Array, exact: Array) -> float:
    return float(np.sqrt(np.square(found - exact).mean() / np.square(exact).mean()))

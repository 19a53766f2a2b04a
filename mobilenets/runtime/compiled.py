"""A compiled network that runs: its library by ctypes, its weights mapped. No torch, no ONNX Runtime."""

import ctypes
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler import Library, compile_model
from ..compiler.targets import missing
from ..errors import CompileError, UsageError
from ..image import Pixels
from ..machine import cores
from ..model import Model

__all__ = ["CompiledSession"]

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

ALIGNMENT = 64  # bytes


class CompiledSession:
    """An open library, with the labels and preprocessing of its model. Safe from many threads, one arena each.

    One image is worked on by all `threads` together, several images by one thread each. `folder` as in `compile_model`.
    """

    def __init__(self, model: Model, threads: int = 0, target: str = "auto", folder: Path | None = None) -> None:
        if not 0 <= threads <= cores():
            raise UsageError(f"threads (={threads}) must be from 1 to this machine's {cores()} cores, or 0 for all")
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.decoding = model.task, model.decoding
        self.threads = threads
        self._library = compile_model(model, target, folder)
        self.runtime = f"mobilenets, {self._library.target}"
        self._together = threads or cores()
        self._weights = np.memmap(self._library.weights, np.uint8, "r")
        code = _loaded(self._library)
        self._run = code.mobilenets_network_run
        self._pool = _Pool(code, self._library.steps, self._together)
        self._arenas: list[Bytes] = []
        self._lock = threading.Lock()

    def run(self, images: Pixels) -> Floats:
        """(N, H, W, C) uint8 -> probabilities (N, classes) float32."""
        return self._outputs(images)[:, 1]

    def logits(self, images: Pixels) -> Floats:
        """(N, H, W, C) uint8 -> logits (N, classes) float32."""
        return self._outputs(images)[:, 0]

    def _outputs(self, images: Pixels) -> Floats:
        """(N, 2, classes): logits, probabilities."""
        p = self.preprocess
        if images.dtype != np.uint8 or images.shape[1:] != (p.height, p.width, p.channels):
            raise UsageError(
                f"images are {images.dtype} {images.shape}, must be uint8 (N, {p.height}, {p.width}, {p.channels})"
            )
        images = np.ascontiguousarray(images)
        outputs = np.empty((len(images), 2, self._library.classes), np.float32)
        if len(images) == 1 and self._together > 1:
            with self._arena() as arena:
                self._pool.run(self._weights, images[0], outputs[0], arena)
            return outputs
        if self._together == 1 or len(images) < 2:
            self._each(images, outputs)
            return outputs
        with ThreadPoolExecutor(self._together) as threads:
            shares = np.array_split(np.arange(len(images)), self._together)
            list(threads.map(lambda rows: self._each(images[rows], outputs, rows), [s for s in shares if len(s)]))
        return outputs

    def _each(self, images: Pixels, outputs: Floats, rows: Any = None) -> None:
        """One image after the other, in one arena."""
        with self._arena() as arena:
            for i, image in zip(range(len(images)) if rows is None else rows, images, strict=True):
                self._run(_at(self._weights), _at(image), _at(outputs[i]), _at(arena))

    @contextmanager
    def _arena(self) -> Iterator[Bytes]:
        """Scratch memory that nobody else uses meanwhile."""
        with self._lock:
            arena = self._arenas.pop() if self._arenas else None
        if arena is None:
            arena = _aligned(self._library.arena(self._together))
        try:
            yield arena
        finally:
            with self._lock:
                self._arenas.append(arena)


class _Pool:
    """Threads that work on one image together, made when they are first needed."""

    def __init__(self, code: ctypes.CDLL, steps: int, threads: int) -> None:
        self._code, self._steps, self._threads = code, steps, threads
        self._pool: int | None = None
        self._lock = threading.Lock()

    def run(self, weights: Bytes, image: Pixels, output: Floats, arena: Bytes) -> None:
        with self._lock:  # one image at a time
            if self._pool is None:
                step = ctypes.cast(self._code.mobilenets_network_step, ctypes.c_void_p)
                self._pool = self._code.mobilenets_pool_begin(step, self._steps, self._threads)
                if not self._pool:
                    raise CompileError(f"{self._threads} threads cannot be started")
            self._code.mobilenets_pool_run(
                ctypes.c_void_p(self._pool), _at(weights), _at(image), _at(output), _at(arena)
            )

    def __del__(self) -> None:
        if getattr(self, "_pool", None):
            self._code.mobilenets_pool_end(ctypes.c_void_p(self._pool))


def _loaded(library: Library) -> ctypes.CDLL:
    if lacking := missing(library.features):
        raise CompileError(f"{library.path} was built for {library.target}: this processor lacks {', '.join(lacking)}")
    try:
        code = ctypes.CDLL(str(library.path))
    except OSError as exc:
        raise CompileError(f"{library.path} cannot be loaded: {exc}") from exc
    code.mobilenets_pool_begin.restype = ctypes.c_void_p
    code.mobilenets_pool_end.restype = code.mobilenets_pool_run.restype = code.mobilenets_network_run.restype = None
    return code


def _at(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _aligned(size: int) -> Bytes:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]

"""An open compiled library: its C is called by ctypes, which releases the GIL; its weights are mapped."""

import ctypes
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from copy import copy

import numpy as np

from ..arrays import Bytes, Floats
from ..compiler import Library
from ..compiler.processor import load
from ..errors import CompileError
from ..image import Pixels

__all__ = ["OpenLibrary"]


ALIGNMENT = 64  # bytes


class OpenLibrary:
    """An open library, safe from many Python threads, one arena each, and after a fork. A call costs microseconds."""

    def __init__(self, library: Library, threads: int) -> None:
        self._library = library
        self._code = _loaded(library)
        self._run = self._code.mobilenets_network_run
        self._weights = np.memmap(library.weights, np.uint8, "r")
        self._at_weights = self._weights.ctypes.data
        self._begin(threads)

    def _begin(self, threads: int) -> None:
        self._threads = threads
        self._arenas: list[tuple[Bytes, int]] = []  # those that nobody uses, with their addresses
        self._pool = _Pool(self._code, self._library.steps, threads)
        self._executor: tuple[int, ThreadPoolExecutor] | None = None  # with the process that it belongs to

    def on_threads(self, threads: int) -> "OpenLibrary":
        """Return the same library for another number of threads; code and weights are shared."""
        other = copy(self)
        other._begin(threads)
        return other

    def outputs(self, pixels: Pixels) -> Floats:
        """Return (N, 2, classes), logits and probabilities, of contiguous (N, H, W, C).

        One image is computed by all threads together, several by one thread each.
        """
        outputs = np.empty((len(pixels), 2, self._library.classes), np.float32)
        if len(pixels) == 1:
            arena = self._arena()
            call = (self._at_weights, pixels.ctypes.data, outputs.ctypes.data, arena[1])
            if self._threads == 1 or not self._pool.run(call):
                self._run(*call)
            self._arenas.append(arena)
        elif len(pixels):
            self._several(pixels, outputs)
        return outputs

    def step_seconds(self, image: Pixels) -> list[float]:
        """Return the seconds that each step takes for one image (1, H, W, C), on the calling thread."""
        output = np.empty((2, self._library.classes), np.float32)
        arena = self._arena()
        call = (self._at_weights, image.ctypes.data, output.ctypes.data, arena[1])
        seconds = []
        for step in range(self._library.steps):
            begin = time.perf_counter()
            self._code.mobilenets_network_step(step, 0, 1, *call)
            seconds.append(time.perf_counter() - begin)
        self._arenas.append(arena)
        return seconds

    def _several(self, pixels: Pixels, outputs: Floats) -> None:
        """Compute several images: this thread and `threads` - 1 others take one after the other."""
        taken = ctypes.c_int(0)
        sizes = (len(pixels), pixels[0].nbytes, outputs[0].size)

        def share() -> None:
            """Compute images until none is left."""
            arena = self._arena()
            addresses = (self._at_weights, pixels.ctypes.data, outputs.ctypes.data, arena[1])
            self._code.mobilenets_pool_images(self._run, ctypes.byref(taken), *sizes, *addresses)
            self._arenas.append(arena)

        others = [self._others().submit(share) for _ in range(min(self._threads, len(pixels)) - 1)]
        try:
            share()
        finally:
            wait([other for other in others if not other.cancel()])  # those that have not started are not needed
        for other in others:
            if not other.cancelled():
                other.result()

    def _others(self) -> ThreadPoolExecutor:
        """Return the executor, kept from call to call; a forked process has none of its parent's threads."""
        if self._executor is None or self._executor[0] != os.getpid():
            self._executor = os.getpid(), ThreadPoolExecutor(self._threads - 1, thread_name_prefix="mobilenets")
        return self._executor[1]

    def _arena(self) -> tuple[Bytes, int]:
        """Return scratch memory for the exclusive use of the caller, and its address."""
        try:
            return self._arenas.pop()
        except IndexError:
            memory = np.empty(self._library.arena(self._threads) + ALIGNMENT, np.uint8)
            return memory, memory.ctypes.data + -memory.ctypes.data % ALIGNMENT


class _Pool:
    """Threads that compute one image together, started on first use."""

    def __init__(self, code: ctypes.CDLL, steps: int, threads: int) -> None:
        self._code, self._steps, self._threads = code, steps, threads
        self._pool: int | None = None
        self._lock = threading.Lock()

    def run(self, call: tuple[int, int, int, int]) -> bool:
        """Run one image on all threads.

        Returns False where another caller has the threads: waiting for them would take longer than computing alone.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._pool is None:
                step = ctypes.cast(self._code.mobilenets_network_step, ctypes.c_void_p)
                self._pool = self._code.mobilenets_pool_begin(step, self._steps, self._threads)
                if not self._pool:
                    raise CompileError(f"{self._threads} threads cannot be started")
            self._code.mobilenets_pool_run(self._pool, *call)
        finally:
            self._lock.release()
        return True

    def __del__(self) -> None:
        if getattr(self, "_pool", None):
            self._code.mobilenets_pool_end(self._pool)


def _loaded(library: Library) -> ctypes.CDLL:
    code = load(library.path, library.target, library.features)
    at, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("network_run", None, (at, at, at, at)),
        ("network_step", None, (number, number, number, at, at, at, at)),
        ("pool_begin", at, (at, number, number)),
        ("pool_run", None, (at, at, at, at, at)),
        ("pool_images", None, (at, at, number, number, number, at, at, at, at)),
        ("pool_end", None, (at,)),
    ):
        function = code[f"mobilenets_{name}"]
        function.restype, function.argtypes = result, arguments
        setattr(code, f"mobilenets_{name}", function)
    return code

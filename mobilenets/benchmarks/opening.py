"""Opening of runtimes; one that raises is reported with a one-line reason, and the others go on."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..image import Pixels
from .peers import Peer, Setup

__all__ = ["Missing", "Opened", "open_peers", "reason"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open runtime. `load_ms` is the time from its file to its first output."""

    name: str
    version: str
    peer: Peer
    load_ms: float

    @property
    def precision(self) -> str:
        """Return the precision of the runtime's model."""
        return self.peer.setup.precision


@dataclass(frozen=True, slots=True)
class Missing:
    """A runtime that is not installed or fails, and the reason in one line."""

    name: str
    precision: str
    threads: int
    reason: str


def open_peers(setup: Setup, image: Pixels, kinds: Mapping[str, type[Peer]]) -> Iterator[Opened | Missing]:
    """Yield each runtime that has the setup's precision, opened or with the reason of its failure.

    `image` is (1, H, W, C) uint8.
    """
    for name, kind in kinds.items():
        if setup.precision in kind.precisions:
            yield _open(name, kind, setup, image)


def _open(name: str, kind: type[Peer], setup: Setup, image: Pixels) -> Opened | Missing:
    if any(find_spec(module) is None for module in kind.modules):
        return Missing(name, setup.precision, setup.threads, f"not installed: pip install {kind.package}")
    try:
        peer = kind(setup)
        start = time.perf_counter()
        with _silent():
            peer.load()
            peer.run(image)
        return Opened(name, _version(kind), peer, 1e3 * (time.perf_counter() - start))
    except Exception as exc:  # a third-party runtime may raise anything: the others can still be timed
        return Missing(name, setup.precision, setup.threads, reason(exc))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what third-party programs write to standard error, from C as well, from the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nothing)
        os.close(kept)


def reason(exc: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(exc).strip() or repr(exc)).splitlines()[0][:200]


def _version(kind: type[Peer]) -> str:
    try:
        return version(kind.package or "mobilenets")
    except PackageNotFoundError:
        return ""

"""Decode one split once, on all cores, and keep it as uint8 if it fits in memory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, ImageError, UsageError
from ..image import Pixels, Preprocess, decode, prepare, shrink_short_side
from ..text import listed
from .parallel import ordered
from .sources import Sample

__all__ = ["BadImage", "Images", "check_bad", "decode_split", "stacked"]

_BLOCK = 64 << 20  # bytes of one array of pixels
_CONTROL_GROUPS = (  # versions 2 and 1: folder, file of the limit, file of the usage, key of cached file pages
    ("sys/fs/cgroup", "memory.max", "memory.current", "file"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"),
)


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that cannot be decoded, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The decodable images of one split, in the order of its samples. Safe to use from several threads."""

    targets: np.ndarray[Any, np.dtype[Any]]  # (N,) class indices; (N, ...) vectors; (N,) objects
    names: tuple[str, ...]
    bad: tuple[BadImage, ...]  # the images left out
    in_memory: bool  # False: `pixels` decodes the file at every call
    _pixels: Callable[[int], Pixels]

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, i: int) -> Pixels:
        """Return image `i`: (h, w, C) uint8, read-only. Raises `ImageError` if the file has changed since."""
        return self._pixels(i)


class _Store:
    """Images of any size, stored contiguously in blocks: growing copies nothing, and no image needs its own array."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._blocks: list[Pixels] = []
        self._room = 0
        self._views: list[tuple[int, int, tuple[int, ...]]] = []  # block, start, shape

    def add(self, pixels: Pixels) -> None:
        if pixels.size > self._room:
            self._room = max(_BLOCK, pixels.size)
            self._blocks.append(np.empty(self._room, np.uint8))  # the system allocates its pages when they are written
        block = self._blocks[-1]
        start = block.size - self._room
        block[start : start + pixels.size] = pixels.reshape(-1)
        self._views.append((len(self._blocks) - 1, start, pixels.shape))
        self._room -= pixels.size
        self.held += pixels.size

    def pixels(self, i: int) -> Pixels:
        block, start, shape = self._views[i]
        view = self._blocks[block][start : start + shape[0] * shape[1] * shape[2]].reshape(shape)
        view.flags.writeable = False
        return view


def decode_split(
    samples: Sequence[Sample],
    preprocess: Preprocess,
    *,
    short_side: int | None,
    workers: int = 0,
    memory: int | None = None,
    max_bad: float = 0.01,
    progress: Callable[[int, int], None] | None = None,
) -> Images:
    """Decode all `samples` once.

    With `short_side` None, images are preprocessed as for evaluation: (H, W, C) uint8 of `preprocess`. Otherwise they
    are prepared for random crops: whole images of any aspect ratio, their short side reduced to `short_side` pixels.

    Pixels are kept as long as they fit in `memory` bytes (default: a quarter of the free memory); if they do not, they
    are dropped, and `Images.pixels` decodes again. Images that cannot be decoded are left out; raises `DataError` if
    they are more than the fraction `max_bad`. `progress` is called with (images done, total).
    """
    if not 0 <= max_bad <= 1:
        raise UsageError(f"max_bad (={max_bad!r}) must be a fraction from 0 to 1")
    view = _View(preprocess, short_side)
    store: _Store | None = _Store(free_memory() // 4 if memory is None else memory)
    good: list[Sample] = []
    bad: list[BadImage] = []
    for done, (sample, found) in enumerate(zip(samples, ordered(view.attempt, samples, workers), strict=True), 1):
        if isinstance(found, BadImage):
            bad.append(found)
        else:
            good.append(sample)
            if store and store.held + found.size <= store.limit:
                store.add(found)
            else:
                store = None
        if progress:
            progress(done, len(samples))
    check_bad(bad, len(samples), max_bad)
    return Images(
        targets=stacked([sample.target for sample in good]),
        names=tuple(sample.name for sample in good),
        bad=tuple(bad),
        in_memory=store is not None,
        _pixels=store.pixels if store else lambda i: view.pixels(good[i]),
    )


@dataclass(frozen=True, slots=True)
class _View:
    """The conversion of a sample to pixels."""

    preprocess: Preprocess
    short_side: int | None

    def pixels(self, sample: Sample) -> Pixels:
        """Return (h, w, C) uint8, read-only; raises `ImageError`."""
        data = sample.read()
        if self.short_side is None:
            pixels = prepare(data, self.preprocess)
        else:
            half = -(-self.short_side // 2)
            image = decode(data, self.preprocess.channels, at_least=(half, half))
            pixels = np.asarray(shrink_short_side(image, self.short_side, self.preprocess.resize))
            pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
        pixels.flags.writeable = False
        return pixels

    def attempt(self, sample: Sample) -> Pixels | BadImage:
        try:
            return self.pixels(sample)
        except ImageError as exc:
            return BadImage(sample.name, str(exc))


def stacked(targets: Sequence[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return `targets` as one array: int64 of class indices, (N, ...) of arrays of equal shape, else objects."""
    if all(isinstance(target, int | np.integer) for target in targets):
        return np.array(targets, np.int64)
    if len({(target.dtype, target.shape) for target in targets if isinstance(target, np.ndarray)}) == 1:
        return np.stack(targets)
    objects = np.empty(len(targets), object)
    for at, target in enumerate(targets):
        objects[at] = target
    return objects


def check_bad(bad: Sequence[BadImage], count: int, most: float) -> None:
    if not count:
        raise DataError("the split has no image")
    if len(bad) <= most * count and len(bad) < count:
        return
    named = listed([f"{image.name} ({image.reason})" for image in bad], 5)
    share = f"{len(bad)} of {count} images ({len(bad) / count * 100:.3g}%) cannot be decoded"
    if len(bad) == count:
        raise DataError(f"{share}: {named}")
    allow = f"repair or remove them, or allow them with --max-bad {np.ceil(len(bad) / count * 1000) / 1000:g}"
    raise DataError(f"{share}, more than --max-bad {most * 100:g}%: {named}; {allow}")


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still allocate, on the machine or in its control group if less."""
    try:
        free = _fields(root / "proc/meminfo")["MemAvailable"] * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 << 30
    for folder, most, now, cache in _CONTROL_GROUPS:
        group = root / folder
        try:
            limit, used = (int((group / name).read_text()) for name in (most, now))
            cached = _fields(group / "memory.stat")[cache]  # cached file pages count as used, but can be reclaimed
            free = min(free, max(0, limit - used + cached))
        except (OSError, KeyError, ValueError):  # another version of control groups, or no limit ("max")
            continue
    return free


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers in a file with lines 'name: 12 kB' or 'name 12'."""
    return {line.split()[0].rstrip(":"): int(line.split()[1]) for line in path.read_text().splitlines()}

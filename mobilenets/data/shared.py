"""Decoded images of a split in a file that any number of processes map into memory: one copy for all of them."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WorkError
from ..files import write_atomic
from ..image import Pixels, Preprocess
from .cache import BadImage, Images, stacked
from .sources import Dataset, Sample

__all__ = ["shared"]


def shared(
    dataset: Dataset, split: str, preprocess: Preprocess, short_side: int | None, decode: Callable[[], Images]
) -> Images:
    """Return what `decode` returns for `split`, as `decode_split` with these settings, mapped from `dataset.decoded`.

    The file is written where it does not exist: by several processes at once, if they start together, with the same
    content. Without `dataset.decoded` the images of `decode` are returned as they are.
    """
    if dataset.decoded is None:
        return decode()
    samples = dataset.splits[split]
    settings = [dataset.fingerprint, asdict(preprocess), short_side, [sample.name for sample in samples]]
    digest = sha256(json.dumps(settings).encode()).hexdigest()
    path = dataset.decoded / f"{split}-{digest[:16]}.npy"
    index = path.with_suffix(".npz")
    if not index.is_file():
        _write(path, index, samples, decode())
    return _mapped(path, index, samples)


def _write(path: Path, index: Path, samples: tuple[Sample, ...], images: Images) -> None:
    """Write the pixels of all images one after another, then where each begins."""
    shapes = np.array([images.pixels(i).shape for i in range(len(images))], np.int64)
    good = _positions(samples, images.names)
    own = path.with_name(f".{path.name}.{id(images)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = np.lib.format.open_memmap(own, "w+", np.uint8, (int(shapes.prod(axis=1).sum()),))
        for i, end in enumerate(shapes.prod(axis=1).cumsum()):
            pixels = images.pixels(i)
            file[end - pixels.size : end] = pixels.reshape(-1)
        file.flush()
        own.replace(path)
    except OSError as exc:
        raise WorkError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        own.unlink(missing_ok=True)
    content = io.BytesIO()
    bad = np.array([(one.name, one.reason) for one in images.bad], np.str_).reshape(-1, 2)
    np.savez(content, shapes=shapes, good=good, bad=bad)
    write_atomic(index, content.getvalue())


def _positions(samples: tuple[Sample, ...], names: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return where in `samples` the images called `names` are, in their common order."""
    found, left = [], iter(enumerate(samples))
    for name in names:
        found.append(next(at for at, sample in left if sample.name == name))
    return np.array(found, np.int64)


def _mapped(path: Path, index: Path, samples: tuple[Sample, ...]) -> Images:
    try:
        with np.load(index) as file:
            shapes, good, bad = file["shapes"], file["good"], file["bad"]
        memory = np.load(path, mmap_mode="r")
    except (OSError, ValueError, KeyError) as exc:
        raise WorkError(f"{path}: cannot be read, delete its folder: {exc}") from exc
    ends = shapes.prod(axis=1).cumsum()
    starts = np.concatenate([[0], ends])

    def pixels(i: int) -> Pixels:
        view: Pixels = memory[starts[i] : ends[i]].reshape(shapes[i])
        return view

    chosen = [samples[at] for at in good]
    return Images(
        targets=stacked([sample.target for sample in chosen]),
        names=tuple(sample.name for sample in chosen),
        bad=tuple(BadImage(str(name), str(reason)) for name, reason in bad),
        in_memory=True,
        _pixels=pixels,
    )

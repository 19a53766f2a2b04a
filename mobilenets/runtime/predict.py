"""PredictedImage of many images: decoded on all cores ahead of the network, in order, in bounded memory. No torch."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import DataError, ImageError, ModelFileError, UsageError
from ..folders import ending, is_image, walk
from ..image import UNREAD, Pixels, Preprocess, Size, Source, prepared
from ..machine import cores
from .opening import Runner

__all__ = ["PredictedImage", "Readable", "find_images", "predict"]

Decoded = tuple[Pixels, Size] | ImageError
Readable = Source | Callable[[], bytes]  # or what reads the content of a file, on the thread that decodes it


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """The prediction for one image in the form of the task's `prediction`; or None and one line of `error`.

    `size` is (width, height) of the upright image in pixels.
    """

    name: str
    prediction: Any
    error: str | None = None
    size: Size | None = None

    def __str__(self) -> str:
        return f"{self.name}  {self.error or self.prediction.line()}"

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as `mobilenets predict --json` prints it; docs/json.md lists the keys."""
        answer = {} if self.prediction is None else self.prediction.to_dict()
        return {"image": self.name, **answer, "error": self.error}


def find_images(names: Sequence[str | Path], skipped: list[str] | None = None) -> Iterator[Path]:
    """Yield files as given, and of folders, at any depth, all visible files with an image's extension, sorted (see
    `walk`).

    A name with *, ? or [ that no file has is a pattern, which some shells pass on. Raises `DataError` at once for a
    path that does not exist, for a pattern without a match and for a URL; later for a folder that cannot be listed, and
    where no image is found. Photos in folders whose format is not read (.heic without pillow-heif) are appended to
    `skipped`.
    """
    left: list[str] = [] if skipped is None else skipped
    paths = [path for name in names for path in _given(name)]
    return _found(paths, left)


def _found(paths: Sequence[Path], skipped: list[str]) -> Iterator[Path]:
    empty = bool(paths)
    for path in paths:
        for image in _images_in(path, skipped) if path.is_dir() else (path,):
            empty = False
            yield image
    if empty:
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        raise DataError(f"{', '.join(map(str, paths[:3]))}{more}: holds no image file")


def _given(name: str | Path) -> list[Path]:
    path = Path(name)
    if path.exists():
        return [path]
    if re.match(r"[A-Za-z][\w+.-]+://", str(name)):
        raise DataError(f"{name}: is a URL, and images are read from files: download it first")
    if has_magic(str(name)):
        if matches := sorted(glob(str(name), recursive=True)):
            return [Path(match) for match in matches]
        raise DataError(f"{name}: no file matches this pattern")
    raise DataError(f"{name}: no such file or folder")


def _images_in(folder: Path, skipped: list[str]) -> Iterator[Path]:
    for path in walk(str(folder)):
        if is_image(path):
            yield Path(path)
        elif ending(path) in UNREAD:
            skipped.append(path)


def predict(
    session: Runner,
    images: Iterable[tuple[str, Readable]],
    prediction: Callable[[Floats], Any],
    batch_size: int = 32,
    workers: int = 0,
) -> Iterator[PredictedImage]:
    """Yield one `PredictedImage` for each (name, file, its content or image), in the order of `images`, read on demand.

    A function in place of the content returns it or raises `ImageError`. `prediction` interprets an image's output.
    `workers` threads decode, 0: one per core. An image that cannot be decoded gives a `PredictedImage` with `error`
    set. Raises `UsageError` for a batch size or number of workers that is too small.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if value < least:
            raise UsageError(f"{name} (={value}) must be at least {least}")
    return _stream(session, images, prediction, batch_size, workers or cores())


def _stream(
    session: Runner,
    images: Iterable[tuple[str, Readable]],
    prediction: Callable[[Floats], Any],
    batch_size: int,
    workers: int,
) -> Iterator[PredictedImage]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        # one batch is collected, one decoded while the network runs
        decoded = _decode_ahead(pool, images, session.preprocess, ahead=2 * batch_size + workers)
        while batch := list(islice(decoded, batch_size)):
            yield from _answered(session, batch, prediction)
    finally:  # after Ctrl-C or an early stop, wait only for the images being decoded
        pool.shutdown(cancel_futures=True)


def _decode_ahead(
    pool: ThreadPoolExecutor, images: Iterable[tuple[str, Readable]], preprocess: Preprocess, ahead: int
) -> Iterator[tuple[str, Decoded]]:
    """Yield each name with its pixels or its error, in order, with at most `ahead` + 1 images in memory."""
    window: deque[tuple[str, Future[Decoded]]] = deque()
    for name, source in images:
        window.append((name, pool.submit(_decode, source, preprocess)))
        if len(window) > ahead:
            name, future = window.popleft()
            yield name, future.result()
    while window:
        name, future = window.popleft()
        yield name, future.result()


def _decode(source: Readable, preprocess: Preprocess) -> Decoded:
    try:
        return prepared(source() if callable(source) else source, preprocess)
    except ImageError as exc:
        return exc


def _answered(
    session: Runner, batch: list[tuple[str, Decoded]], prediction: Callable[[Floats], Any]
) -> Iterator[PredictedImage]:
    pixels = [decoded[0] for _, decoded in batch if not isinstance(decoded, ImageError)]
    rows: Iterator[Floats] = iter(outputs_of(session, np.stack(pixels)) if pixels else ())
    for name, decoded in batch:
        if isinstance(decoded, ImageError):
            yield PredictedImage(name, None, str(decoded))
        else:
            yield PredictedImage(name, prediction(next(rows)), size=decoded[1])


def outputs_of(session: Runner, pixels: Pixels) -> Floats:
    """Return the output of `session.run` for (N, H, W, C); raises `ModelFileError` where it cannot be a prediction."""
    outputs = session.run(pixels)
    if not np.isfinite(outputs).all():
        raise ModelFileError(f"{session.name}: the network gives numbers that are not finite")
    if session.task == "detect" and (most := outputs[..., 5].max(initial=0)) >= len(session.labels):
        raise ModelFileError(f"{session.name}: the network gives class {most:g} of {len(session.labels)}")
    return outputs

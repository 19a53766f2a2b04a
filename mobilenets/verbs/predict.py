"""`mobilenets predict`: what images show, as the model's task puts it. No torch."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..image import Source, in_memory
from ..machine import give_back_memory
from ..opening import Opened, check_order, open_model
from ..progress import Watch, watching
from ..runtime import PredictedImage, Readable, Runner, Runtime, camera_frames, find_images, open_session, with_frames
from ..runtime.predict import predict as predict_stream
from ..tasks import Task, task_type

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from ..runtime import Explainer

    Picture = bytes | Image | np.ndarray[Any, Any]

__all__ = ["Predictions", "check_answers", "predict", "predict_open"]


class Predictions(Iterator[PredictedImage]):
    """The predictions of `predict`, computed as they are asked for, and the `task` whose answers they hold."""

    def __init__(self, stream: Iterator[PredictedImage], task: Task) -> None:
        self._stream, self.task = stream, task

    def __iter__(self) -> "Predictions":
        return self

    def __next__(self) -> PredictedImage:
        return next(self._stream)

    def __repr__(self) -> str:
        return f"<predictions of {self.task.name}: iterate, or list() them>"


def predict(
    model: str | Path,
    images: "str | Path | Picture | Sequence[str | Path | Picture]" = (),
    top: int | None = None,
    *,
    batch_size: int = 32,
    runtime: Runtime = "auto",
    min_confidence: float | None = None,
    camera: int | None = None,
    every: int = 1,
    pictures: str | Path | None = None,
    explain: bool = False,
    watch: Watch | None = None,
) -> Predictions:
    """Predict images in order and in bounded memory, without torch.

    Parameters
    ----------
    model
        What `load` takes, or an `.onnx` file that `export` wrote.
    images
        One or several of a file, a video (its frames; needs `mobilenets[video]`), a folder (searched to any depth), a
        pattern such as photos/*.jpg, the content of an image file (bytes), a Pillow image, and an array (H, W),
        (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, colours in the order RGB or RGBA. "-" is standard input. What has
        no path is named by its position: image 0.
    top
        How many labels, boxes or places of an answer are listed; the default suits the task.
    batch_size
        Images that the network takes at once.
    min_confidence
        A classifier whose best probability is below it predicts "none of these"; a detector lists no box with a score
        below it, by default 0.5.
    camera
        The number of a camera whose frames are predicted until the caller stops.
    every
        Of videos and the camera, take every n-th frame.
    pictures
        A new folder for the images with their predictions drawn on them.
    explain
        Lay the class activation map of the first label over each of `pictures`; of float classifiers.

    Raises `DataError` for what does not exist and for folders without an image, and `UsageError` for an array of
    another shape or type.
    """
    given = [_given(at, image) for at, image in enumerate(images if isinstance(images, list | tuple) else [images])]
    if explain and pictures is None:
        raise UsageError("explain: the maps are drawn on images, which needs pictures")
    check_order(model, given)
    with watching(watch) as watch:
        opened = open_model(model, watch)
    session = open_session(opened.model, runtime=runtime)
    explainer = _explainer(opened) if explain else None
    del opened
    give_back_memory()
    skipped: list[str] = []
    sources: Iterator[tuple[str, Source]] = chain(
        _sources(given, every, skipped), () if camera is None else camera_frames(camera, every)
    )
    batch_size = batch_size if camera is None else 1
    if pictures is None:
        stream = predict_open(session, sources, top, batch_size, min_confidence)
    else:
        from .pictures import draw_each, keep, new_folder

        at_hand: dict[str, Source] = {}
        stream = predict_open(session, keep(sources, at_hand), top, batch_size, min_confidence)
        stream = draw_each(stream, at_hand, task_type(session.task)(), new_folder(Path(pictures)), explainer)
    return Predictions(_with_notes(stream, skipped, watch), task_type(session.task)())


def _given(at: int, image: "str | Path | Picture") -> str | Path | tuple[str, Source]:
    """Return a path as it is, and anything else with its name; `UsageError` for what is no image."""
    if isinstance(image, str | Path):
        return image
    return f"image {at}", image if isinstance(image, bytes) else in_memory(image)


def _sources(
    given: Sequence[str | Path | tuple[str, Source]], every: int, skipped: list[str]
) -> Iterator[tuple[str, Source]]:
    """Return (name, what to decode) of each image; photos in folders that cannot be read are put into `skipped`."""
    names = [image for image in given if isinstance(image, str | Path)]
    if len(names) < len(given):
        parts = [[image] if isinstance(image, tuple) else _sources([image], every, skipped) for image in given]
        return chain.from_iterable(parts)
    piped = [("-", sys.stdin.buffer.read())] if "-" in names else []
    paths = find_images([name for name in names if name != "-"], skipped)
    return chain(piped, with_frames(paths, every))


def _explainer(opened: Opened) -> "Explainer":
    """Return what computes the class activation maps of a float model of this package."""
    from ..runtime import Explainer

    floats = opened.trained()
    if floats.precision == "int8":
        raise UsageError("explain needs the float model: this one is int8")
    return Explainer(floats)


def _with_notes(stream: Iterator[PredictedImage], skipped: list[str], watch: Watch) -> Iterator[PredictedImage]:
    from ..data.folder import unread

    yield from stream
    for note in unread(skipped):
        watch.note(note)


def predict_open(
    session: Runner,
    images: Iterable[tuple[str, Readable]],
    top: int | None = None,
    batch_size: int = 32,
    min_confidence: float | None = None,
    workers: int = 0,
) -> Iterator[PredictedImage]:
    """Predict each (name, file or its content) with an open session; arguments as in `predict`.

    `workers` threads decode, 0: one per core.
    """
    task = task_type(session.task)()
    most = task.top if top is None else top
    check_answers(task, most, min_confidence)

    def answer(row: "np.ndarray[Any, Any]") -> Any:
        return task.prediction(row, session.labels, session.head_config, most, min_confidence)

    stream = predict_stream(session, images, answer, batch_size, workers)
    return (p if p.size is None else replace(p, prediction=task.in_pixels(p.prediction, p.size)) for p in stream)


def check_answers(task: Task, top: int, min_confidence: float | None) -> None:
    """Raise `UsageError` for settings of predictions that are out of range or that the task does not have."""
    if top < 1:
        raise UsageError(f"top (={top}) must be at least 1")
    if min_confidence is None:
        return
    if not 0 <= min_confidence <= 1:
        raise UsageError(f"min_confidence (={min_confidence:g}) must be from 0 to 1")
    if not task.confidence:
        raise UsageError(f"min_confidence is of classifiers and detectors, and the model's task is {task.name}")

"""Frames of videos and cameras as images to predict, read by OpenCV, which is imported on demand."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError, MissingExtraError, UsageError
from ..image import Source

__all__ = ["VIDEOS", "camera_frames", "with_frames"]

VIDEOS = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .3gp .mts .m2ts".split())


def with_frames(paths: Iterable[Path], every: int = 1) -> Iterator[tuple[str, Source]]:
    """Give (name, file) of each image and (name#number, image) of each `every`-th frame of each video, in order.

    Frames are counted from 0. `UsageError` for `every` below 1; later `MissingExtraError` without OpenCV and
    `DataError` for a video that no frame can be read of.
    """
    if every < 1:
        raise UsageError(f"every (={every}) must be at least 1")
    return (
        found
        for path in paths
        for found in (_frames(str(path), str(path), every) if path.suffix.lower() in VIDEOS else [(str(path), path)])
    )


def camera_frames(number: int, every: int = 1) -> Iterator[tuple[str, Source]]:
    """Give (name, image) of each `every`-th frame of a camera of this machine until it is stopped; errors as above."""
    if number < 0:
        raise UsageError(f"camera (={number}) must be at least 0")
    if every < 1:
        raise UsageError(f"every (={every}) must be at least 1")
    return _frames(f"camera {number}", number, every)


def _frames(name: str, source: str | int, every: int) -> Iterator[tuple[str, Source]]:
    for variable, silent in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ.setdefault(variable, silent)  # errors are reported here, in one line
    try:
        import cv2
    except ImportError as exc:
        raise MissingExtraError(f"{name}: reading videos needs OpenCV", "video") from exc
    capture = cv2.VideoCapture(source)
    try:
        number = 0
        while capture.grab():
            if number % every == 0:
                read, frame = capture.retrieve()
                if not read:
                    break
                yield f"{name}#{number}", Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))  # from BGR
            number += 1
        if number == 0:
            why = "no such camera, or it gives no frame" if isinstance(source, int) else "not a video, or damaged"
            raise DataError(f"{name}: {why}")
    finally:
        capture.release()

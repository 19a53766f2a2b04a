"""Models that are served: an open session each, and the prediction for an image as `predict` gives it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import UsageError
from ..image import Pixels, Size, prepared
from ..machine import give_back_memory
from ..opening import open_model
from ..progress import Watch
from ..runtime import OnnxFile, PredictedImage, Runner, on_threads, open_session, outputs_of
from ..tasks import Task, task_type
from .settings import Settings

__all__ = ["Answer", "Served", "open_all", "open_served"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of the network for one image, and the seconds that its parts took."""

    row: Floats
    size: Size | None  # (width, height) of the upright image
    decode: float
    network: float
    line: str = ""  # the prediction as `predict --json` prints it


@dataclass(frozen=True)
class Served:
    """A model that is served under `name`: `session` computes an image on the calling thread, `wide` on all threads."""

    name: str
    path: Path
    precision: str
    session: Runner
    wide: Runner
    task: Task
    max_pixels: int

    def run(self, image: bytes | Pixels, alone: bool) -> Answer:
        """Return the output for the content of an image file or for pixels (H, W, C); raises `ImageError`."""
        begin = perf_counter()
        size = None
        if isinstance(image, bytes):
            image, size = prepared(image, self.session.preprocess, self.max_pixels)
        decoded = perf_counter()
        row = outputs_of(self.wide if alone else self.session, image[None])[0]
        return Answer(row, size, decoded - begin, perf_counter() - decoded)

    def predict(self, name: str, data: bytes, top: int, alone: bool) -> Answer:
        """Return `run` of the image `name` with its prediction; the best `top` labels, boxes or places."""
        answer = self.run(data, alone)
        found = self.task.prediction(answer.row, self.session.labels, self.session.head_config, top)
        if answer.size is not None:
            found = self.task.in_pixels(found, answer.size)
        return replace(answer, line=json.dumps(PredictedImage(name, found).to_dict()))

    @cached_property
    def no_rows(self) -> Floats:
        """Return the outputs of no image, whose shape is that of the network's output."""
        if self.task.name == "detect":
            return np.zeros((0, self.session.head_config["boxes"], 6), np.float32)
        return np.zeros((0, len(self.session.labels)), np.float32)

    @property
    def shape(self) -> list[int]:
        """Return the shape of the output for one image."""
        return list(self.no_rows.shape[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return what the list of models shows of it."""
        p = self.session.preprocess
        return {
            "name": self.name,
            "task": self.task.name,
            "classes": list(self.session.labels),
            "precision": self.precision,
            "runtime": self.session.runtime,
            "image": [p.height, p.width, p.channels],
        }


def open_all(models: Iterable[str], settings: Settings, watch: Watch) -> dict[str, Served]:
    """Open each model by its name; raises `UsageError` for two of one name."""
    opened: dict[str, Served] = {}
    for given in models:
        name, path = _named(given)
        if name in opened:
            raise UsageError(f"two models are named {name}: give one of them another name by NAME={path}")
        opened[name] = open_served(name, path, settings, watch)
    give_back_memory()
    return opened


def open_served(name: str, path: str | Path, settings: Settings, watch: Watch) -> Served:
    """Open the model at `path` for one image a thread, and for one on all threads."""
    found = open_model(path, watch)
    wide = open_session(found.model, settings.used_threads)
    session = on_threads(wide, 1, found.model)
    precision = "fp32" if isinstance(found.model, OnnxFile) else found.model.precision
    return Served(name, found.path, precision, session, wide, task_type(session.task)(), settings.max_pixels)


def _named(given: str) -> tuple[str, str]:
    """Return (name, path) of NAME=MODEL, or of MODEL, whose name is that of its file or run folder."""
    name, equals, path = given.partition("=")
    if equals and name and "/" not in name and not Path(given).exists():
        return name, path
    found = Path(given)
    if found.name == "best.safetensors":
        found = found.absolute().parent
    if found.is_file():
        return found.name.removesuffix(found.suffix), given
    return (found.absolute().name if found.is_dir() else given.replace("/", "-")), given

"""Models that are served: an open session each, and the prediction for an image as `predict` gives it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from ..errors import UsageError
from ..image import prepare, upright_size
from ..machine import give_back_memory
from ..opening import open_model
from ..progress import Watch
from ..runtime import PredictedImage, Runner, open_session, outputs_of
from ..tasks import Task, task_type

__all__ = ["Answer", "Served", "open_all"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one image and the seconds that its parts took."""

    image: PredictedImage
    decode: float
    network: float


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is served under `name`; `session` computes an image on the calling thread."""

    name: str
    path: Path
    precision: str
    session: Runner
    task: Task

    def predict(self, name: str, data: bytes, top: int) -> Answer:
        """Return the prediction for the content of an image file; raises `ImageError`."""
        begin = perf_counter()
        pixels, size = prepare(data, self.session.preprocess), upright_size(data)
        decoded = perf_counter()
        row = outputs_of(self.session, pixels[None])[0]
        found = self.task.prediction(row, self.session.labels, self.session.head_config, top)
        image = PredictedImage(name, self.task.in_pixels(found, size), size=size)
        return Answer(image, decoded - begin, perf_counter() - decoded)

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


def open_all(models: Iterable[str], watch: Watch) -> Mapping[str, Served]:
    """Open each model by its name; raises `UsageError` for two of one name."""
    opened: dict[str, Served] = {}
    for given in models:
        name, path = _named(given)
        if name in opened:
            raise UsageError(f"two models are named {name}: give one of them another name by NAME={path}")
        opened[name] = open_served(name, path, watch)
    give_back_memory()
    return opened


def open_served(name: str, path: str, watch: Watch) -> Served:
    """Open the model at `path` on one thread for each image."""
    found = open_model(path, watch)
    session = open_session(found.model, threads=1)
    precision = getattr(found.model, "precision", "fp32")
    return Served(name, found.path, precision, session, task_type(session.task)())


def _named(given: str) -> tuple[str, str]:
    """Return (name, path) of NAME=MODEL, or of MODEL, whose name is that of its file or run folder."""
    name, equals, path = given.partition("=")
    if equals and "/" not in name and not Path(given).exists():
        return name, path
    path = Path(given)
    if path.name == "best.safetensors":
        return path.absolute().parent.name, given
    return path.absolute().name if path.is_dir() else _stem(path), given


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix) if path.is_file() else str(path).replace("/", "-")

"""Sessions of compiled networks, without torch and ONNX Runtime."""

from copy import copy
from pathlib import Path

from ..arrays import Floats
from ..compiler import compile_model
from ..compiler.tuning import Tilings
from ..machine import check_threads, cores
from ..model import Model
from ..quant.scheme import QuantModel
from .images import Images, pixels_of
from .library import OpenLibrary

__all__ = ["CompiledSession"]


class CompiledSession:
    """An open library with the labels and preprocessing of its model; safe from many threads, one arena each.

    One image is worked on by all `threads` together, several images by one thread each; `arena_bytes` is what
    a call needs. `precision` None: the model's own. The rest as in `compile_model`.
    """

    def __init__(
        self,
        model: Model | QuantModel,
        threads: int = 0,
        target: str = "auto",
        folder: Path | None = None,
        precision: str | None = None,
        tilings: Tilings | None = None,
    ) -> None:
        check_threads(threads)
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.head_config = model.task, model.head_config
        library = compile_model(model, target, folder, precision, tilings)
        self.runtime = f"mobilenets, {library.target} in {library.precision}"
        self._library, self._open = library, OpenLibrary(library, threads or cores())
        self._take(threads)

    def _take(self, threads: int) -> None:
        self.threads, self.arena_bytes = threads, self._library.arena(threads or cores())

    def on_threads(self, threads: int) -> "CompiledSession":
        """Return the same network on `threads` threads (0: one per core); its code and weights are shared."""
        check_threads(threads)
        other = copy(self)
        other._open = self._open.on_threads(threads or cores())
        other._take(threads)
        return other

    def __repr__(self) -> str:
        return f"CompiledSession({self.name}, {self.task}, {len(self.labels)} labels, {self.runtime})"

    def run(self, images: Images) -> Floats:
        """Return probabilities (N, classes) float32 of images as in `pixels_of`."""
        return self._open.outputs(pixels_of(images, self.preprocess))[:, 1]

    def logits(self, images: Images) -> Floats:
        """Return logits (N, classes) float32 of images as in `pixels_of`."""
        return self._open.outputs(pixels_of(images, self.preprocess))[:, 0]

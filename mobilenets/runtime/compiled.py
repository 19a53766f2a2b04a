"""Sessions of compiled networks, without torch and ONNX Runtime."""

from pathlib import Path

from ..compiler import compile_model
from ..machine import check_threads, cores
from ..model import Model
from ..quant.scheme import QuantModel
from .images import Images, pixels_of
from .library import Floats, OpenLibrary

__all__ = ["CompiledSession", "Floats"]


class CompiledSession:
    """An open library with the labels and preprocessing of its model; safe from many threads, one arena each.

    One image is computed by all `threads` together, several images by one thread each; `arena_bytes` is the memory of a
    call. Other parameters are those of `compile_model`.
    """

    def __init__(
        self,
        model: Model | QuantModel,
        threads: int = 0,
        target: str = "auto",
        folder: Path | None = None,
        precision: str = "fp32",
    ) -> None:
        check_threads(threads)
        self.name, self.labels, self.preprocess = model.name, model.labels, model.preprocess
        self.task, self.head_config = model.task, model.head_config
        self.threads = threads
        library = compile_model(model, target, folder, precision)
        self.runtime = f"mobilenets, {library.target} in {library.precision}"
        self.arena_bytes = library.arena(threads or cores())
        self._open = OpenLibrary(library, threads or cores())

    def __repr__(self) -> str:
        return f"CompiledSession({self.name}, {self.task}, {len(self.labels)} labels, {self.runtime})"

    def run(self, images: Images) -> Floats:
        """Return probabilities (N, classes) float32 of images as in `pixels_of`."""
        return self._open.outputs(pixels_of(images, self.preprocess))[:, 1]

    def logits(self, images: Images) -> Floats:
        """Return logits (N, classes) float32 of images as in `pixels_of`."""
        return self._open.outputs(pixels_of(images, self.preprocess))[:, 0]

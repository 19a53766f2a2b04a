"""Which runtime runs a model: its own C where a compiler is at hand, else ONNX Runtime."""

from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from ..arrays import Floats
from ..compiler import handles, has_compiler
from ..errors import ModelFileError, UsageError
from ..image import Preprocess
from ..machine import give_back_memory
from ..model import Model, model_file
from ..quant.file import load
from ..quant.scheme import QuantModel
from .compiled import CompiledSession
from .exported import OnnxFile
from .images import Images
from .numpy_session import NumpySession
from .session import Session

__all__ = ["Openable", "Runner", "Runtime", "on_threads", "open_session"]

Runtime = Literal["auto", "compiled", "onnx"]
Openable = str | Path | Model | QuantModel | OnnxFile


class Runner(Protocol):
    """A network that is open in some runtime. Safe from many threads."""

    @property
    def name(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def head_config(self) -> dict[str, Any]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def preprocess(self) -> Preprocess: ...
    @property
    def threads(self) -> int: ...
    @property
    def runtime(self) -> str: ...

    def run(self, images: Images) -> Floats:
        """Return probabilities or embeddings (N, classes) float32; `images` as in `pixels_of`."""

    def logits(self, images: Images) -> Floats:
        """Return logits (N, classes) float32; `images` as in `pixels_of`."""


def open_session(model: Openable, threads: int = 0, runtime: Runtime = "auto") -> Runner:
    """Open a model, an exported `.onnx` or the path of a model file or run folder; `ModelFileError` otherwise.

    `runtime`: compiled (its own C, see `compiler`), onnx (ONNX Runtime), or auto: compiled where there is a C
    compiler. An `.onnx` file runs in ONNX Runtime only. `threads` 0: one per core.
    """
    if runtime not in get_args(Runtime):
        raise UsageError(f"runtime {runtime!r} must be one of {', '.join(get_args(Runtime))}")
    if isinstance(model, str | Path):
        path = model_file(Path(model))
        session = open_session(OnnxFile.read(path) if path.suffix == ".onnx" else load(path), threads, runtime)
        give_back_memory()  # the loaded model ends with the call above
        return session
    if isinstance(model, OnnxFile):
        return _from_onnx(model, threads, runtime)
    if runtime == "compiled" or (runtime == "auto" and has_compiler() and handles(model)):
        return CompiledSession(model, threads)
    if model.precision == "int8":
        return NumpySession(model)
    from ..exporters.onnx import to_onnx

    return Session.from_onnx(to_onnx(model), threads)


def on_threads(session: Runner, threads: int, model: Openable) -> Runner:
    """Return `session`, which was opened from `model`, on another number of threads in the same runtime.

    Compiled code is shared; ONNX Runtime fixes the number of its threads when it opens a graph and opens it again.
    """
    if threads == session.threads:
        return session
    if isinstance(session, CompiledSession):
        return session.on_threads(threads)
    return open_session(model, threads, "onnx")  # an int8 model runs in numpy


def _from_onnx(file: OnnxFile, threads: int, runtime: Runtime) -> Session:
    if runtime == "compiled":
        raise UsageError(f"{file.path}: an ONNX file is not compiled: give the .safetensors model, or import it first")
    try:
        return Session.from_onnx(file.content, threads)
    except ModelFileError as exc:
        raise ModelFileError(f"{file.path}: {exc}") from exc

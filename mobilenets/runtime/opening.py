"""Which runtime runs a model: its own C where a compiler is at hand, else ONNX Runtime."""

from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from ..compiler import handles, has_compiler
from ..errors import ModelFileError, UsageError
from ..image import Preprocess
from ..machine import give_back_memory
from ..model import Model, model_file
from ..quant.file import load
from ..quant.scheme import QuantModel
from .compiled import CompiledSession
from .images import Images
from .library import Floats
from .numpy_session import NumpySession
from .session import Session

__all__ = ["Runner", "Runtime", "open_session"]

Runtime = Literal["auto", "compiled", "onnx"]


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
        """Images as in `pixels_of` -> probabilities or embeddings (N, classes) float32."""

    def logits(self, images: Images) -> Floats:
        """Images as in `pixels_of` -> logits (N, classes) float32."""


def open_session(model: str | Path | Model | QuantModel, threads: int = 0, runtime: Runtime = "auto") -> Runner:
    """Open a model, a trained `.safetensors`, an exported `.onnx` or a run folder; `ModelFileError` otherwise.

    `runtime`: compiled (its own C, see `compiler`), onnx (ONNX Runtime), or auto: compiled where there is a C
    compiler. An `.onnx` file runs in ONNX Runtime only. `threads` 0: one a core.
    """
    if runtime not in get_args(Runtime):
        raise UsageError(f"runtime {runtime!r} must be one of {', '.join(get_args(Runtime))}")
    if not isinstance(model, Model | QuantModel):
        path = model_file(Path(model))
        if path.suffix == ".onnx":
            return _from_onnx(path, threads, runtime)
        session = open_session(load(path), threads, runtime)  # the loaded model ends with this call
        give_back_memory()
        return session
    if runtime == "compiled" or (runtime == "auto" and has_compiler() and handles(model)):
        return CompiledSession(model, threads)
    if isinstance(model, QuantModel):
        return NumpySession(model)
    from ..export.onnx import to_onnx

    return Session.from_onnx(to_onnx(model), threads)


def _from_onnx(path: Path, threads: int, runtime: Runtime) -> Session:
    if runtime == "compiled":
        raise UsageError(f"{path}: an ONNX file is not compiled: give the .safetensors model, or import it first")
    try:
        return Session.from_onnx(str(path), threads)
    except ModelFileError as exc:
        raise ModelFileError(f"{path}: {exc}") from exc

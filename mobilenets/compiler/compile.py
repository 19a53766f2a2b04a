"""Compile models to C and to libraries; libraries are cached under a hash of everything that they depend on."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from ..arch.fold import without_batch_norm
from ..arch.ops import OUTPUTS
from ..errors import CompileError, UsageError
from ..files import writable_cache, write_all, write_atomic
from ..model import Model
from ..quant.scheme import QuantModel
from .build import FLAGS, compiler, library_of, link
from .emit import Source, emit
from .formats import FORMATS, Format
from .header import check_name
from .lower import Lowered, lower
from .plan import plan
from .processor import missing
from .program import Target
from .targets import best_target
from .tuning import NONE, Tilings, kept_tilings

__all__ = [
    "PRECISIONS",
    "Library",
    "Written",
    "arena_bytes",
    "compile_model",
    "format_of",
    "handles",
    "lacking",
    "sources_of",
    "write_c",
]

PRECISIONS = tuple(name for name, format in FORMATS.items() if format.model is Model)
NAME = "network"  # of the emitted functions in a cached library


@dataclass(frozen=True, slots=True)
class Library:
    """A compiled network: its shared library, its packed weights, and the numbers that a caller needs."""

    path: Path
    weights: Path
    target: str
    precision: str
    features: tuple[str, ...]  # that the processor must have
    steps: int
    classes: int
    one: int  # bytes of the arena for one thread
    more: int  # bytes for each further thread

    def arena(self, parts: int) -> int:
        """Return the bytes of the arena for `parts` threads."""
        return self.one + (parts - 1) * self.more


def compile_model(
    model: Model | QuantModel,
    target: str = "auto",
    folder: Path | None = None,
    precision: str | None = None,
    tilings: Tilings | None = None,
) -> Library:
    """Return the library of `model`, from the cache if it has been compiled before. Safe in many processes at once.

    Parameters
    ----------
    target
        A key of the targets of the format, or "auto": the first that this processor runs.
    folder
        A folder to compile into, instead of the cache.
    precision
        One of `PRECISIONS` for a float model, int8 for an int8 one; by default the model's own.
    tilings
        How steps divide their work; by default what a tuning of this network on this processor has kept.
    """
    precision = format_of(model, precision).name
    chosen = _target(model, target, precision)
    if tilings is None:
        tilings = kept_tilings(model, chosen, precision) or NONE
    if folder is not None:
        return _compile(model, chosen, folder, precision, tilings)
    folder = writable_cache() / "compiled" / _key(model, chosen, precision, tilings)
    return _opened(folder) or _made(model, chosen, folder, precision, tilings)


def _made(model: Model | QuantModel, target: Target, folder: Path, precision: str, tilings: Tilings) -> Library:
    """Compile in one process, while the others wait for it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f".{folder.name}.lock")):
            if library := _opened(folder):  # by another process, meanwhile
                return library
            made = folder.with_name(f".{folder.name}.made")
            for left in (made, folder):  # the first of a process that was killed, the second damaged
                shutil.rmtree(left, ignore_errors=True)
            made.mkdir()
            _compile(model, target, made, precision, tilings)
            os.rename(made, folder)
    except OSError as exc:
        raise CompileError(f"{folder}: cannot be written: {exc.strerror or exc}") from exc
    library = _opened(folder)
    if library is None:
        raise CompileError(f"{folder}: does not hold what was just written to it")
    return library


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time; the system releases it when the process ends."""
    import fcntl  # only on POSIX systems, as is all that loads what is compiled here

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def format_of(model: Model | QuantModel, precision: str | None = None) -> type[Format]:
    """Return the number format that `model` is compiled in: that of `precision`, by default of its own.

    Raises `UsageError` for an unknown precision, for one of floats where the model is int8, and the reverse.
    """
    format = FORMATS.get(precision or model.precision)
    if format is None:
        raise UsageError(f"precision (={precision!r}) must be one of {', '.join(PRECISIONS)} or int8")
    if isinstance(model, format.model):
        return format
    if model.precision == "int8":
        raise UsageError(f"precision (={precision!r}) is of float models, and {model.name} is int8")
    raise UsageError(f"precision (={precision!r}) is of int8 models, and {model.name} is fp32: quantize it first")


def _target(model: Model | QuantModel, name: str, precision: str | None) -> Target:
    format = format_of(model, precision)
    try:
        return best_target(name, format.targets)
    except UsageError as exc:
        raise UsageError(f"{exc} in {format.name}") from exc


def handles(model: Model | QuantModel) -> bool:
    """Return whether every op of `model` can be compiled, in fp32 or in its integers."""
    ops = without_batch_norm(model.graph).ops
    return model.network.output in OUTPUTS and format_of(model).consumer.handled(ops)


def lacking(model: Model | QuantModel, target: str, precision: str | None = None) -> tuple[str, ...]:
    """Return the features of `target` that this processor lacks: its library can be built here, and not be run."""
    return missing(_target(model, target, precision).features)


def sources_of(
    model: Model | QuantModel,
    target: Target,
    name: str,
    embed: bool = False,
    precision: str | None = None,
    tilings: Tilings = NONE,
) -> tuple[Source, Lowered]:
    """Return the C of `model`, and the program and weights that belong to it."""
    lowered = lower(model, target, name, format_of(model, precision).name, tilings)
    return emit(lowered, embed), lowered


def arena_bytes(model: Model | QuantModel, target: str, precision: str | None = None) -> int:
    """Return the memory beside the weights that one thread needs, without compiling anything."""
    lowered = lower(model, _target(model, target, precision), NAME, format_of(model, precision).name)
    return plan(lowered.program.steps).one


@dataclass(frozen=True, slots=True)
class Written:
    """The files that `write_c` wrote, and the bytes that a device must hold."""

    files: tuple[str, ...]
    target: str
    precision: str
    weights_bytes: int
    arena_bytes: int  # for one thread
    library_bytes: int  # 0 without one


def write_c(
    model: Model | QuantModel,
    folder: Path,
    target: str,
    name: str,
    embed: bool,
    precision: str | None = None,
    library: bool = True,
    tilings: Tilings = NONE,
) -> Written:
    """Write NAME.c, mobilenets_NAME.h, NAME.weights (unless `embed`) and libNAME.so (if `library`) into `folder`."""
    check_name(name)
    chosen = _target(model, target, precision)
    source, lowered = sources_of(model, chosen, name, embed, precision, tilings)
    texts = {f"{name}.c": source.c, f"mobilenets_{name}.h": source.h}
    contents: dict[str, bytes | str] = dict(texts)
    if not embed:
        contents[f"{name}.weights"] = lowered.weights.tobytes()
    binary = library_of(texts, chosen) if library else b""
    if library:
        contents[f"lib{name}.so"] = binary
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CompileError(f"{folder}: cannot be made: {exc.strerror}") from exc
    write_all({folder / file: content for file, content in contents.items()})
    sizes = lowered.weights.size, source.arena.one, len(binary)
    return Written(tuple(contents), chosen.name, lowered.program.precision, *sizes)


def _compile(
    model: Model | QuantModel, target: Target, folder: Path, precision: str | None = None, tilings: Tilings = NONE
) -> Library:
    source, lowered = sources_of(model, target, NAME, precision=precision, tilings=tilings)
    pool = (files(__package__) / "pool.c").read_text("utf-8")
    code, weights = folder / "library.so", folder / "weights.bin"
    link({f"mobilenets_{NAME}.h": source.h, f"{NAME}.c": source.c, "pool.c": pool}, target, code)
    write_atomic(weights, lowered.weights.tobytes())
    program, arena = lowered.program, source.arena
    sizes = source.steps, program.classes, arena.one, arena.more
    library = Library(code, weights, target.name, program.precision, target.features, *sizes)
    whole = {"code": _digest(code.read_bytes()), "weights": weights.stat().st_size}
    values = {key: value for key, value in asdict(library).items() if key not in ("path", "weights")}
    write_atomic(folder / "library.json", json.dumps({"library": values, "whole": whole}))
    return library


def _opened(folder: Path) -> Library | None:
    """Return the library that `_compile` wrote; None where it is incomplete: loading it would end the process."""
    code, weights = folder / "library.so", folder / "weights.bin"
    try:
        content = json.loads((folder / "library.json").read_text())
        values, whole = content["library"], content["whole"]
        if whole != {"code": _digest(code.read_bytes()), "weights": weights.stat().st_size}:
            return None
        return Library(code, weights, **{**values, "features": tuple(values["features"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _key(model: Model | QuantModel, target: Target, precision: str, tilings: Tilings) -> str:
    """Return a hash of everything that the library depends on."""
    digest = hashlib.sha256(model.digest().encode())
    compiling, package = files(__package__), files(__package__.rpartition(".")[0])
    for folder in (compiling, compiling / "formats", compiling / "kernels", package / "arch", package / "quant"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".c")):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    settings = (model.network.to_json(), model.preprocess, target, precision, dict(tilings), FLAGS, compiler())
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:32]

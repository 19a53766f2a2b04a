"""A model as a library on this machine: compiled once, kept in a cache by everything that went into it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from .lower import Lowered, lower
from .plan import plan
from .processor import missing
from .program import Target
from .targets import best_target

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
    """A compiled network: its shared library, its packed weights, and what a caller must know."""

    path: Path
    weights: Path
    target: str
    precision: str
    features: tuple[str, ...]  # that the processor must have
    steps: int
    classes: int
    one: int  # bytes of the arena for one thread
    more: int  # bytes for each thread more

    def arena(self, parts: int) -> int:
        """Bytes."""
        return self.one + (parts - 1) * self.more


def compile_model(
    model: Model | QuantModel, target: str = "auto", folder: Path | None = None, precision: str = "fp32"
) -> Library:
    """The library of `model`, from the cache where it has been compiled before. Safe in many processes at once.

    `folder`: compile into this one instead of into the cache. `precision`: of PRECISIONS; an int8 model is int8.
    """
    chosen = _target(model, target, precision)
    if folder is not None:
        return _compile(model, chosen, folder, precision)
    folder = writable_cache() / "compiled" / _key(model, chosen, precision)
    return _opened(folder) or _made(model, chosen, folder, precision)


def _made(model: Model | QuantModel, target: Target, folder: Path, precision: str) -> Library:
    """Compiled by one process, while the others wait for it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f".{folder.name}.lock")):
            if library := _opened(folder):  # by another process, meanwhile
                return library
            made = folder.with_name(f".{folder.name}.made")
            for left in (made, folder):  # by a process that was killed; damaged
                shutil.rmtree(left, ignore_errors=True)
            made.mkdir()
            _compile(model, target, made, precision)
            os.rename(made, folder)
    except OSError as exc:
        raise CompileError(f"{folder}: cannot be written: {exc.strerror or exc}") from exc
    library = _opened(folder)
    if library is None:
        raise CompileError(f"{folder}: does not hold what was just written to it")
    return library


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the system lets go of a lock whose holder dies."""
    import fcntl  # not everywhere, and nor is anything that loads what is compiled here

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def format_of(model: Model | QuantModel, precision: str) -> type[Format]:
    """Return the number format that `model` is compiled in: that of `precision`, or an int8 model's own.

    Raises `UsageError` for a precision that is none, and for one of floats where the model is int8.
    """
    format = FORMATS.get(precision)
    if format is None or format.model is not Model:
        raise UsageError(f"precision (={precision!r}) must be one of {', '.join(PRECISIONS)}")
    if isinstance(model, format.model):
        return format
    if precision != "fp32":
        raise UsageError(f"precision (={precision!r}) is of float models, and {model.name} is int8")
    return FORMATS["int8"]


def _target(model: Model | QuantModel, name: str, precision: str) -> Target:
    format = format_of(model, precision)
    try:
        return best_target(name, format.targets)
    except UsageError as exc:
        raise UsageError(f"{exc} in {format.name}") from exc


def handles(model: Model | QuantModel) -> bool:
    """Return whether every op of `model` can be compiled, in fp32 or in its integers."""
    ops = without_batch_norm(model.graph).ops
    return model.network.output in OUTPUTS and format_of(model, "fp32").consumer.handled(ops)


def lacking(model: Model | QuantModel, target: str, precision: str = "fp32") -> tuple[str, ...]:
    """Return the features of `target` that this processor lacks: its library can be built here, and not be run."""
    return missing(_target(model, target, precision).features)


def sources_of(
    model: Model | QuantModel, target: Target, name: str, embed: bool = False, precision: str = "fp32"
) -> tuple[Source, Lowered]:
    """The C of `model` and what goes with it."""
    lowered = lower(model, target, name, format_of(model, precision).name)
    return emit(lowered, embed), lowered


def arena_bytes(model: Model | QuantModel, target: str, precision: str = "fp32") -> int:
    """Return the memory beside the weights that one thread needs, without compiling anything."""
    lowered = lower(model, _target(model, target, precision), NAME, format_of(model, precision).name)
    return plan(lowered.program.steps).one


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_c` wrote: file names, and the bytes of what a device must hold."""

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
    precision: str = "fp32",
    library: bool = True,
) -> Written:
    """Write NAME.c, mobilenets_NAME.h, NAME.weights (unless `embed`) and libNAME.so (if `library`) into `folder`."""
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"name {name!r} must be a word that C allows: letters, digits and _, no digit first")
    chosen = _target(model, target, precision)
    source, lowered = sources_of(model, chosen, name, embed, precision)
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


def _compile(model: Model | QuantModel, target: Target, folder: Path, precision: str = "fp32") -> Library:
    source, lowered = sources_of(model, target, NAME, precision=precision)
    pool = (files(__package__) / "pool.c").read_text("utf-8")
    code, weights = folder / "library.so", folder / "weights.bin"
    link({f"mobilenets_{NAME}.h": source.h, f"{NAME}.c": source.c, "pool.c": pool}, target, code)
    write_atomic(weights, lowered.weights.tobytes())
    values = {
        "target": target.name,
        "precision": lowered.program.precision,
        "features": target.features,
        "steps": source.steps,
        "classes": lowered.program.classes,
        "one": source.arena.one,
        "more": source.arena.more,
    }
    whole = {"code": _digest(code.read_bytes()), "weights": weights.stat().st_size}
    write_atomic(folder / "library.json", json.dumps({"library": values, "whole": whole}))
    return Library(code, weights, **{**values, "features": target.features})  # type: ignore[arg-type]


def _opened(folder: Path) -> Library | None:
    """What `_compile` wrote; None where it is not whole: half a library would end the process that loads it."""
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


def _key(model: Model | QuantModel, target: Target, precision: str) -> str:
    """Of everything that the library depends on."""
    digest = hashlib.sha256(model.digest().encode())
    compiling, package = files(__package__), files(__package__.rpartition(".")[0])
    for folder in (compiling, compiling / "formats", compiling / "kernels", package / "arch", package / "quant"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".c")):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    settings = (model.network.to_json(), model.preprocess, target, precision, FLAGS, compiler())
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:32]

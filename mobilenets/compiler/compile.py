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
from .lower import FP32, Lowered, lower
from .lower_bf16 import PARTS, lower_bf16
from .lower_int8 import INT8, lower_int8
from .processor import missing
from .program import Target
from .targets import best_target, targets_of

__all__ = ["PRECISIONS", "Library", "Written", "compile_model", "sources_of", "write_c"]

PRECISIONS = ("fp32", *PARTS)  # of float models
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
    model: Model | QuantModel, target: str = "auto", folder: Path | None = None, precision: str | None = None
) -> Library:
    """The library of `model`, from the cache where it has been compiled before. Safe in many processes at once.

    `folder`: compile into this one instead of into the cache. `precision`: of PRECISIONS; None: the model's own.
    """
    precision = _precision(model, precision)
    chosen = _target(target, precision)
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


def _precision(model: Model | QuantModel, precision: str | None) -> str:
    """Return `precision`, by default the model's own; `UsageError` where the model cannot be compiled in it."""
    if precision is None or precision == model.precision:
        return model.precision
    if precision == "int8":
        raise UsageError(f"precision (={precision!r}) is of int8 models, and {model.name} is fp32: quantize it first")
    if precision not in PRECISIONS:
        raise UsageError(f"precision (={precision!r}) must be one of {', '.join(PRECISIONS)} or int8")
    if model.precision == "int8":
        raise UsageError(f"precision (={precision!r}) is of float models, and {model.name} is int8")
    return precision


def _target(name: str, precision: str) -> Target:
    try:
        return best_target(name, targets_of(precision))
    except UsageError as exc:
        raise UsageError(f"{exc} in {precision}") from exc


def handles(model: Model | QuantModel) -> bool:
    """Return whether every op of `model` can be compiled, in fp32 or in its integers."""
    if model.network.output not in OUTPUTS:
        return False
    consumer, graph = (INT8, model.graph) if model.precision == "int8" else (FP32, without_batch_norm(model.graph))
    return consumer.handled(graph.ops)


def lacking(model: Model | QuantModel, target: str, precision: str | None = None) -> tuple[str, ...]:
    """Return the features of `target` that this processor lacks: its library can be built here, and not be run."""
    return missing(_target(target, _precision(model, precision)).features)


def sources_of(
    model: Model | QuantModel, target: Target, name: str, embed: bool = False, precision: str | None = None
) -> tuple[Source, Lowered]:
    """The C of `model` and what goes with it."""
    precision = _precision(model, precision)
    if model.precision == "int8":
        lowered = lower_int8(model, target, name)
    elif precision == "fp32":
        lowered = lower(model, target, name)
    else:
        lowered = lower_bf16(model, target, name, precision)
    return emit(lowered, embed), lowered


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
    precision: str | None = None,
    library: bool = True,
) -> Written:
    """Write NAME.c, mobilenets_NAME.h, NAME.weights (unless `embed`) and libNAME.so (if `library`) into `folder`."""
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"name {name!r} must be a word that C allows: letters, digits and _, no digit first")
    precision = _precision(model, precision)
    chosen = _target(target, precision)
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


def _compile(model: Model | QuantModel, target: Target, folder: Path, precision: str | None = None) -> Library:
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
    for folder in (compiling, compiling / "kernels", package / "arch", package / "quant"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".c")):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    settings = (model.network.to_json(), model.preprocess, target, precision, FLAGS, compiler())
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:32]

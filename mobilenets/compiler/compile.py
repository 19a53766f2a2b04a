"""A model as a library on this machine: compiled once, kept in a cache by everything that went into it."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..errors import CompileError, UsageError
from ..files import cache_folder, write_atomic
from ..model import Model
from .build import FLAGS, compiler, link
from .emit import Source, emit
from .lower import Lowered, lower
from .program import Target
from .targets import best_target

__all__ = ["Library", "Written", "compile_model", "sources_of", "write_c"]

NAME = "network"  # of the emitted functions in a cached library


@dataclass(frozen=True, slots=True)
class Library:
    """A compiled network: its shared library, its packed weights, and what a caller must know."""

    path: Path
    weights: Path
    target: str
    features: tuple[str, ...]  # that the processor must have
    steps: int
    classes: int
    buffers: int  # floats of the arena, without
    scratch: int  # the floats that each part of a step needs besides

    def arena(self, parts: int) -> int:
        """Floats."""
        return self.buffers + parts * self.scratch


def compile_model(model: Model, target: str = "auto", folder: Path | None = None) -> Library:
    """The library of `model`, from the cache where it has been compiled before. Safe in many processes at once.

    `folder`: compile into this one instead of into the cache.
    """
    chosen = best_target(target)
    if folder is not None:
        _compile(model, chosen, folder)
        return _opened(folder)
    folder = cache_folder() / "compiled" / _key(model, chosen)
    if not (folder / "library.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".compiling-", dir=folder.parent))
        try:
            _compile(model, chosen, made)
            os.rename(made, folder)
        except OSError as exc:  # another process was first
            if not (folder / "library.json").is_file():
                raise CompileError(f"{folder}: cannot be written: {exc.strerror}") from exc
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return _opened(folder)


def sources_of(model: Model, target: Target, name: str, embed: bool = False) -> tuple[Source, Lowered]:
    """The C of `model` and what goes with it."""
    lowered = lower(model, target, name)
    return emit(lowered, embed), lowered


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_c` wrote: file names, and the bytes of what a device must hold."""

    files: tuple[str, ...]
    target: str
    weights_bytes: int
    arena_bytes: int  # for one thread
    library_bytes: int


def write_c(model: Model, folder: Path, target: str, name: str, embed: bool) -> Written:
    """NAME.c, mobilenets_NAME.h, NAME.weights (unless `embed`) and libNAME.so into `folder`, which is made."""
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"name {name!r} must be a word that C allows: letters, digits and _, no digit first")
    chosen = best_target(target)
    source, lowered = sources_of(model, chosen, name, embed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CompileError(f"{folder}: cannot be made: {exc.strerror}") from exc
    texts = {f"{name}.c": source.c, f"mobilenets_{name}.h": source.h}
    for file, text in texts.items():
        write_atomic(folder / file, text)
    if not embed:
        write_atomic(folder / f"{name}.weights", lowered.weights.astype("<f4").tobytes())
    library = folder / f"lib{name}.so"
    link(texts, chosen, library)
    files_written = (*texts, *([] if embed else [f"{name}.weights"]), library.name)
    arena = 4 * source.arena.floats(1)
    return Written(files_written, chosen.name, lowered.weights.nbytes, arena, library.stat().st_size)


def _compile(model: Model, target: Target, folder: Path) -> None:
    source, lowered = sources_of(model, target, NAME)
    pool = (files(__package__) / "pool.c").read_text("utf-8")
    link({f"mobilenets_{NAME}.h": source.h, f"{NAME}.c": source.c, "pool.c": pool}, target, folder / "library.so")
    lowered.weights.astype("<f4").tofile(folder / "weights.bin")
    values = {
        "target": target.name,
        "features": target.features,
        "steps": source.steps,
        "classes": lowered.program.classes,
        "buffers": source.arena.buffers,
        "scratch": source.arena.scratch,
    }
    (folder / "library.json").write_text(json.dumps(values))


def _opened(folder: Path) -> Library:
    try:
        values = json.loads((folder / "library.json").read_text())
        values["features"] = tuple(values["features"])
        return Library(folder / "library.so", folder / "weights.bin", **values)
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise CompileError(f"{folder}: not a compiled network, remove it: {exc}") from exc


def _key(model: Model, target: Target) -> str:
    """Of everything that the library depends on."""
    digest = hashlib.sha256(model.digest().encode())
    kernels = sorted((files(__package__) / "kernels").iterdir(), key=lambda file: file.name)
    texts = [file.read_bytes() for file in kernels]
    texts += [(files(__package__) / f"{name}").read_bytes() for name in ("emit.py", "lower.py", "pack.py", "pool.c")]
    settings = (model.network.to_json(), model.preprocess, target, FLAGS, compiler())
    for part in (*texts, repr(settings).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]

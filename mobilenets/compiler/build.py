"""Build shared libraries from C with the system's compiler, or else with zig's from PyPI."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..errors import CompileError
from ..files import writable_cache, write_atomic
from .processor import MACHINE
from .program import Target

__all__ = ["FLAGS", "compiler", "has_compiler", "library_of", "link"]

ZIG = (sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline")
FLAGS = ("-O2", "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")


@cache
def compiler() -> tuple[str, ...]:
    """Return the command of the C compiler: `CC` where it is set, else cc, gcc or clang, else zig's.

    Raises `CompileError` where there is none.
    """
    if chosen := os.environ.get("CC", "").strip():
        return _chosen(chosen)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    if find_spec("ziglang") is not None:  # ZIG sets -mcpu: by default zig compiles for this processor
        return ZIG
    raise CompileError("no C compiler: install gcc or clang, or pip install ziglang")


def _chosen(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        words = ()
    if not words or not shutil.which(words[0]):
        raise CompileError(f"CC (={command!r}) is not a command: set it to a C compiler, or to nothing")
    try:
        runs = subprocess.run([*words, "--version"], capture_output=True).returncode == 0
    except OSError:
        runs = False
    if not runs:
        raise CompileError(f"CC (={command!r}) is no C compiler: its --version fails; set it to one, or to nothing")
    return words


def has_compiler() -> bool:
    """Return whether there is a C compiler."""
    try:
        return bool(compiler())
    except CompileError:
        return False


def link(sources: Mapping[str, str], target: Target, output: Path) -> None:
    """Write the library of `sources` to `output`.

    Raises `CompileError` as `library_of` does, and `WorkError` where the file cannot be written.
    """
    write_atomic(output, library_of(sources, target))


def library_of(sources: Mapping[str, str], target: Target) -> bytes:
    """Return the bytes of the library that `sources` (file name -> text) compile to, in a temporary folder.

    Raises `CompileError` with the first error that the compiler reports.
    """
    try:
        return _compiled(sources, target)
    except CompileError as exc:
        if target.machine in ("", MACHINE):
            raise
        raise CompileError(f"{exc}; {target.name} needs CC, a compiler for {target.machine}") from exc


def _compiled(sources: Mapping[str, str], target: Target) -> bytes:
    try:
        with tempfile.TemporaryDirectory(prefix="mobilenets-") as name:
            folder = Path(name)
            for file, text in sources.items():
                (folder / file).write_text(text, "utf-8")
            units = [file for file in sources if file.endswith(".c")]
            _run([*compiler(), *FLAGS, *_flags(target), "-I.", "-o", "library.so", *units, "-lpthread"], folder)
            return (folder / "library.so").read_bytes()
    except OSError as exc:
        raise CompileError(f"{tempfile.gettempdir()}: cannot be compiled in: {exc.strerror or exc}") from exc


def _flags(target: Target) -> list[str]:
    """Return the flags of `target`; zig names the processor, where gcc and clang name ARM's architecture."""
    zig = any(Path(word).name in ("zig", "ziglang") for word in compiler())
    return [re.sub("-march=armv[^+]*", "-mcpu=generic", flag) if zig else flag for flag in target.flags]


def _run(command: list[str], folder: Path) -> None:
    own = {"ZIG_GLOBAL_CACHE_DIR": str(writable_cache() / "zig")} if compiler() == ZIG else {}
    settings = {**own, **os.environ, "LC_ALL": "C"}
    failed = f"{' '.join(compiler())} failed"
    try:
        done = subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError as exc:
        raise CompileError(f"{failed}: {exc.strerror}") from exc
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line and not line.startswith("collect2")]
        reported = [*errors, *lines, f"exit status {done.returncode}"]
        raise CompileError(f"{failed}: {reported[0][:300]}")
    if not (folder / "library.so").is_file():
        raise CompileError(f"{failed}: it wrote nothing")

"""Compile a network's C to WebAssembly: no imports, no library, one exported function and the memory."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ..compiler.program import Target
from ..errors import CompileError
from ..files import writable_cache

__all__ = ["RELAXED", "RELAXED_DOT", "UNSIGNED_DOT", "WASM", "has_wasm_compiler", "wasm_of"]

# V8 leaves 15 of the 16 vector registers of x86 to a loop: ten sums, two vectors of weights and a pixel
WASM = Target(
    "wasm",
    vector=4,
    sums=10,
    least_sums=10,
    features=(),
    flags=("-msimd128",),
    own=("intrinsics_wasm", "tile_wasm", "depthwise_wasm", "int8_vectors_wasm", "int8_dot_wasm", "int8_tile_wasm"),
)
RELAXED = replace(WASM, flags=(*WASM.flags, "-mrelaxed-simd"))
# for int8 networks whose weights are differences of two 7-bit numbers
RELAXED_DOT = replace(
    RELAXED, sums=8, dot="vnni", own=tuple(own.replace("int8_dot_wasm", "int8_dot_relaxed") for own in WASM.own)
)
# for int8 networks on processors whose dot product takes unsigned bytes times signed ones
UNSIGNED_DOT = replace(
    RELAXED_DOT, sums=12, own=tuple(own.replace("int8_dot_wasm", "int8_dot_unsigned") for own in WASM.own)
)

_FLAGS = (
    *("-O2", "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-mbulk-memory", "-nostdlib"),
    *("-mllvm", "-disable-lsr"),  # it takes the constant offsets out of loads, which then need additions
)
_LINK = ("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--export=mobilenets_network_run", "-Wl,--export=__heap_base")


def wasm_of(sources: Mapping[str, str], target: Target) -> bytes:
    """Return the module that `sources` (file name -> text) compile to.

    Raises `CompileError` where no compiler for WebAssembly is installed, and with the first error that it reports.
    """
    flags = (*_FLAGS, *target.flags, *_LINK)
    try:
        with tempfile.TemporaryDirectory(prefix="mobilenets-") as name:
            folder = Path(name)
            for file, text in sources.items():
                (folder / file).write_text(text, "utf-8")
            units = [file for file in sources if file.endswith(".c")]
            _run([*_compiler(), *flags, "-o", "network.wasm", *units], folder)
            return (folder / "network.wasm").read_bytes()
    except OSError as exc:
        raise CompileError(f"{tempfile.gettempdir()}: cannot be compiled in: {exc.strerror or exc}") from exc


def has_wasm_compiler() -> bool:
    """Return whether a compiler for WebAssembly is installed."""
    try:
        return bool(_compiler())
    except CompileError:
        return False


def _compiler() -> tuple[str, ...]:
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding")
    if shutil.which("clang") and shutil.which("wasm-ld"):
        return ("clang", "--target=wasm32")
    raise CompileError("no compiler for WebAssembly: pip install 'mobilenets[web]', or install clang and lld")


def _run(command: list[str], folder: Path) -> None:
    settings = {"ZIG_GLOBAL_CACHE_DIR": str(writable_cache() / "zig"), **os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reported = [*(line for line in lines if "error" in line), *lines, f"exit status {done.returncode}"]
        raise CompileError(f"the compiler for WebAssembly failed: {reported[0][:300]}")

"""From C to a library: the system's compiler, else zig's from PyPI; kept in a cache by what went into it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..errors import CompileError
from ..files import write_atomic
from .program import Target

__all__ = ["FLAGS", "compiler", "has_compiler", "link"]

FLAGS = ("-O2", "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")


@cache
def compiler() -> tuple[str, ...]:
    """The command: `CC` where it is set, else cc, gcc or clang, else zig's; `CompileError` where there is none."""
    chosen = os.environ.get("CC")
    for name in (chosen,) if chosen else ("cc", "gcc", "clang"):
        if name and shutil.which(name):
            return (name,)
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise CompileError("no C compiler: install gcc or clang, or pip install ziglang")


def has_compiler() -> bool:
    try:
        return bool(compiler())
    except CompileError:
        return False


def link(sources: Mapping[str, str], target: Target, output: Path) -> None:
    """Compile `sources` (file name -> text) into the library `output`, in a folder of its own, then move it there."""
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as name:
        folder = Path(name)
        for file, text in sources.items():
            (folder / file).write_text(text, "utf-8")
        units = [file for file in sources if file.endswith(".c")]
        command = [*compiler(), *FLAGS, *target.flags, "-I.", "-o", "library.so", *units, "-lpthread"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:300])
            raise CompileError(f"{' '.join(compiler())} failed: {first}")
        write_atomic(output, (folder / "library.so").read_bytes())
        output.chmod(0o755)

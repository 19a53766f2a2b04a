"""Limit runtimes to AVX2 and older instruction sets.

Most runtimes choose their kernels by the cpuid instruction and have no setting for it. Their libraries are copied, and
each cpuid instruction in a copy (as objdump finds it) is replaced by ud2, an invalid instruction of the same length;
`limit_isa.c`, loaded first, emulates it. Linux on x86-64, with gcc and objdump.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

__all__ = ["LIMITED", "limit_isa"]

PACKAGES = ("onnxruntime", "openvino", "ai_edge_litert", "ncnn")
LIMITED = "MOBILENETS_BENCHMARK_LIMITED"  # set in the environment of a limited process
CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"
SECTION = re.compile(r"^\s*\d+ \S+\s+([0-9a-f]+)\s+([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)", re.MULTILINE)
FOUND = re.compile(r"^\s*([0-9a-f]+):\s+cpuid", re.MULTILINE)


def limit_isa(folder: Path) -> None:
    """Copy the runtimes to `folder`, limit them, and run this command again with them; does not return."""
    for name in PACKAGES:
        spec = find_spec(name)
        if spec and spec.origin:
            package = Path(spec.origin).parent
            for source in (package, package.with_name(f"{name}.libs")):
                if source.is_dir():
                    shutil.copytree(source, folder / source.name, symlinks=True)
    libraries = [path for path in folder.rglob("*.so*") if path.is_file() and not path.is_symlink()]
    with ThreadPoolExecutor() as pool:
        count = sum(pool.map(_patch, libraries))
    print(f"{count} cpuid instructions of {len(libraries)} libraries emulated as on AVX2", file=sys.stderr)
    answers = folder / "limit_isa.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", str(source), "-o", str(answers)], check=True)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, LIMITED: str(folder), "PYTHONPATH": path, "LD_PRELOAD": str(answers)}
    sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)


def _patch(library: Path) -> int:
    """Replace the cpuid instructions of a library; return their number."""
    listed = _objdump("-h", library)
    sections = [tuple(int(number, 16) for number in found) for found in SECTION.findall(listed)]
    addresses = [int(at, 16) for at in FOUND.findall(_objdump("-d", library))]
    content = bytearray(library.read_bytes())
    for address in addresses:
        at = next(offset + address - start for size, start, offset in sections if start <= address < start + size)
        assert content[at : at + 2] == CPUID, f"{library}: no cpuid at {at:#x}"
        content[at : at + 2] = UD2
    if addresses:
        library.write_bytes(content)
    return len(addresses)


def _objdump(flag: str, library: Path) -> str:
    command = ["objdump", flag, "--no-show-raw-insn", str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

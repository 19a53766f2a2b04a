"""benchmarks/limit_isa.py: a library whose cpuid is answered as AVX2 would; all else is unchanged."""

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SOURCE = """
#include <cpuid.h>
unsigned feature(int leaf, int part, int which) {
    unsigned r[4];
    __cpuid_count(leaf, part, r[0], r[1], r[2], r[3]);
    return r[which];
}
"""
AVX2, NEWER = 1 << 5, 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31  # of leaf 7, ebx: AVX-512 F, DQ, BW, VL

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc") or not shutil.which("objdump"),
    reason="needs x86-64, gcc and objdump",
)


@pytest.fixture(scope="module")
def isa() -> ModuleType:
    spec = importlib.util.spec_from_file_location("isa", BENCHMARKS / "limit_isa.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_patched_library_sees_avx2(isa: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    library, answers, plain = tmp_path / "a.so", tmp_path / "limit_isa.so", tmp_path / "plain.so"
    for source, out in ((tmp_path / "a.c", library), (tmp_path / "a.c", plain), (BENCHMARKS / "limit_isa.c", answers)):
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", str(source), "-o", str(out)], check=True)
    asked = [(0, 0, 1), (7, 0, 1), (1, 0, 2)]
    before = [ctypes.CDLL(str(plain)).feature(*one) & 0xFFFFFFFF for one in asked]
    assert isa._patch(library) == 1
    told = f"import ctypes; f = ctypes.CDLL({str(library)!r}).feature; print(*[f(*a) & 0xFFFFFFFF for a in {asked}])"
    command = [sys.executable, "-c", told]
    environment = {**os.environ, "LD_PRELOAD": str(answers)}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    maker, seven, one = map(int, found)
    assert maker == before[0] and one & 0xFFFFFF == before[2] & 0xFFFFFF
    assert not seven & NEWER and seven & AVX2 == before[1] & AVX2
    assert isa._patch(library) == 0

"""Rounding without floating-point instructions: the same whole numbers as the int8 law's, also between two rounds."""

import ctypes
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from running import needs_compiler

from mobilenets.compiler.build import compiler
from mobilenets.compiler.processor import load

pytestmark = [needs_compiler, pytest.mark.any_processor]

ALL = """
void all(const int32_t *sums, const float *factors, int count, int32_t *rounded);
void all(const int32_t *sums, const float *factors, int count, int32_t *rounded) {
    for (int i = 0; i < count; i++) rounded[i] = nearest(sums[i], factors[i]);
}
"""


@pytest.mark.parametrize("soft", [False, True])
def test_nearest_is_the_laws(soft: bool, tmp_path: Path) -> None:
    kernels = files("mobilenets.compiler.micro") / "kernels"
    text = "#include <stdint.h>\n" + (kernels / "types.c").read_text() + "#define SOFT\n" * soft
    (tmp_path / "code.c").write_text(text + (kernels / "code.c").read_text() + ALL)
    library = tmp_path / "code.so"
    subprocess.run([*compiler(), "-O2", "-shared", "-fPIC", "-o", library, tmp_path / "code.c"], check=True)
    sums, factors = cases()
    rounded = np.empty(len(sums), np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (sums, factors, rounded)]
    load(library, "portable", ()).all(pointers[0], pointers[1], len(sums), pointers[2])
    wanted = np.clip(np.rint(sums.astype(np.float32) * factors), -1024, 1024).astype(np.int32)
    assert (rounded == wanted).all()
    assert len(np.unique(wanted)) > 1000


def cases() -> tuple[np.ndarray, np.ndarray]:
    """Sums and factors: of any size, powers of two, and products as near to a half as floats allow."""
    rng = np.random.default_rng(0)
    count = 100_000
    sums = (rng.choice([-1, 1], count) * np.exp2(rng.uniform(0, 31, count))).astype(np.int64)
    sums[rng.integers(0, count, 9)] = 0
    sums[:4] = 2**31 - 1, -(2**31), 2**24 + 1, 2**25 + 6
    factors = np.exp2(rng.uniform(-40, 8, count))
    third = count // 3
    factors[:third] = np.exp2(np.rint(np.log2(factors[:third])))
    halves = rng.integers(0, 300, third) + 0.5
    near = halves / np.maximum(1, np.abs(sums[-third:]))
    bits = near.astype(np.float32).view(np.int32) + rng.integers(-2, 3, third, np.int32)
    factors[-third:] = np.minimum(bits.view(np.float32), 255)
    return sums.astype(np.int32), factors.astype(np.float32)

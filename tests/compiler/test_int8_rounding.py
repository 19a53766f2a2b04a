"""What lies just between two whole numbers goes to the even one, in every flavour of vectors that this machine runs.

The peer is Python's own `round` of exact fractions, and no code of the package. Plain C runs anywhere.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from native import needs, runnable
from running import needs_compiler
from test_int8_kernels import FLAVOURS, HEAD, KERNELS, RULE
from test_kernels import Kernels

from mobilenets.compiler.build import link

pytestmark = needs_compiler


def built(name: str, folder: Path) -> Kernels:
    """Nothing but the rule: seconds less than all kernels."""
    target = runnable(FLAVOURS[name][0])
    text = HEAD + "".join((KERNELS / f"{file}.c").read_text("utf-8") for file in ("intrinsics", "int8_vectors")) + RULE
    link({"rule.c": text.replace("@", str(target.vector))}, target, folder / "rule.so")
    return Kernels(folder / "rule.so", target)


def exact(total: int, factor: float, zero: int, low: int, high: int) -> int:
    """A byte, by Python's integers and fractions: it rounds halves to even."""
    return min(max(round(Fraction(total) * Fraction(factor)) + zero, low), high)


# an emulated target rounds in the body of "plain C", which any processor runs
@pytest.mark.parametrize("name", [pytest.param(n, marks=needs(target)) for n, (target, _) in FLAVOURS.items()])
def test_halves_go_to_the_even_number(name: str, tmp_path: Path) -> None:
    kernels = built(name, tmp_path)
    for factor, zero, low, high in ((0.5, 128, 0, 255), (0.25, 100, 7, 201), (1.5, 128, 0, 255), (2**-9, 127, 0, 255)):
        step = Fraction(1, 2) / Fraction(factor)  # sums that are half a whole number apart
        ties = [int(step * n) for n in range(-400, 401) if (step * n).denominator == 1]
        sums = np.resize([total + off for total in ties for off in (-1, 0, 1)], 16 * 160).astype(np.int32)
        wanted = [exact(int(total), factor, zero, low, high) for total in sums]
        found, factors = np.empty(len(sums), np.uint8), np.full(len(sums), factor, np.float32)
        kernels("rule", sums, factors, len(sums), zero, low, high, found)
        assert found.tolist() == wanted and len(set(wanted)) > 100

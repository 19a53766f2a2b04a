"""Native code in tests: which targets this processor runs, how the others are emulated, what a library contains."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mobilenets.compiler.processor import LEVELS, features, level_features, missing, reported
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import BF16_TARGETS, FP16_TARGETS, INT8_TARGETS, TARGETS, best_target

LACKS = "this processor lacks"
HELD = ("avx2", "sse2")  # the levels to which `make test` holds the tests of native code

_X86_64 = """INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CPUID CX8 CMOV FXSR MMX SSE SSE2
SYSCALL MULTIBYTENOP PAUSE CET_IBT"""
_AVX2 = "SSE3 SSSE3 SSE4_1 SSE4_2 POPCNT AVX AVX2"
# feature, as Linux names it -> the instruction sets that it stands for, as iced-x86 names them
_INSTRUCTION_SETS = {
    "avx2": _AVX2,
    "fma": "FMA",
    "avx512f": f"{_AVX2} AVX512F",
    "avx512bw": "AVX512BW",
    "avx512dq": "AVX512DQ",
    "avx512vl": "AVX512VL",
    "avx512_vnni": "AVX512_VNNI",
    "avx_vnni": "AVX_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "avx512_fp16": "AVX512_FP16",
    "amx_tile": "AMX_TILE",
    "amx_bf16": "AMX_BF16",
    "amx_int8": "AMX_INT8",
}


def level_names() -> list[str]:
    """Return the levels that this processor, as it is masked, runs whole; the highest is the last."""
    return [level for level in LEVELS if level_features(level) <= features()]


def needs(target: Target) -> pytest.MarkDecorator:
    """Return a mark that skips a test, with the reason, where this processor does not run `target`."""
    lacking = missing(target.features)
    return pytest.mark.skipif(bool(lacking), reason=f"{LACKS} {', '.join(lacking)}")


def runnable(target: Target) -> Target:
    """Return `target` where this processor runs it, else its emulation.

    An emulated target has the same layout, packing and C; the compiler gets the flags that this processor allows, so
    that it splits vectors and takes the portable body of each kernel. It does not optimise: that would take longer
    than the tests.
    """
    if not missing(target.features):
        return target
    present = best_target()
    halves = ("-fexcess-precision=16",) * (target.features[-1] in ("avx512_fp16", "asimdhp"))
    return replace(target, features=present.features, flags=(*present.flags, "-O0", *halves))


def emulated_anywhere(target: object) -> bool:
    """Return whether `target`, or the target of that name, is emulated even where the processor is not masked.

    Its emulation under a mask takes the same C through the same plain instructions once more.
    """
    known = {**FP16_TARGETS, **BF16_TARGETS, **INT8_TARGETS, **TARGETS}
    found = known.get(target) if isinstance(target, str) else target
    return isinstance(found, Target) and not set(found.features) <= reported()


def foreign_instructions(library: Path, allowed: Iterable[str]) -> dict[str, str]:
    """Disassemble the executable sections of an ELF file; return {mnemonic: instruction sets} beyond `allowed`.

    `allowed`: features as Linux names them; x86-64 with SSE2 is always allowed.
    """
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    sets = set(_X86_64.split()).union(*(_INSTRUCTION_SETS[feature].split() for feature in allowed))
    with library.open("rb") as file:
        sections = list(ELFFile(file).iter_sections())
        code = [s.data() for s in sections if s["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and s["sh_type"] == "SHT_PROGBITS"]
    return {name: needed for part in code for name, needed in _instructions(part) if not set(needed.split()) <= sets}


def _instructions(code: bytes) -> set[tuple[str, str]]:
    """Return (mnemonic, instruction sets that it needs) of all instructions."""
    from iced_x86 import Decoder

    names = _names()
    found: dict[int, Any] = {}
    for instruction in Decoder(64, code):
        found.setdefault(instruction.code, instruction)
    return {
        (names["Mnemonic"][one.mnemonic], " ".join(names["CpuidFeature"][f] for f in one.cpuid_features()))
        for one in found.values()
    }


@cache
def _names() -> dict[str, dict[int, str]]:
    import iced_x86

    enums = {name: vars(getattr(iced_x86, name)) for name in ("Mnemonic", "CpuidFeature")}
    return {name: {v: k for k, v in values.items() if isinstance(v, int)} for name, values in enums.items()}


class Inspector:
    """An audit hook that disassembles every library of the tests before it is loaded under `--processor`.

    It sees all calls of dlopen through ctypes, in tests and product alike; libraries outside the folder for temporary
    files (those of Python packages) detect the processor by themselves.
    """

    def __init__(self, level: str) -> None:
        self._allowed, self._folder = level_features(level) & features(), Path(tempfile.gettempdir()).resolve()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "ctypes.dlopen" or not arguments[0]:
            return
        library = Path(str(arguments[0])).resolve()
        if self._folder in library.parents and library.is_file() and library.read_bytes()[:4] == b"\x7fELF":
            found = foreign_instructions(library, self._allowed)
            assert not found, f"{library} has instructions that --processor masks: {found}"


if __name__ == "__main__":
    print(*(level for level in HELD if level in level_names()[:-1]))

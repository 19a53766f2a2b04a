"""What is compiled for a target stays within its instructions, and nothing is run that the processor lacks."""

import ast
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_random_model
from driver import build, run
from int8_networks import images_for, random_integers
from native import Inspector, foreign_instructions
from running import float64_logits, images_of, needs_compiler, relative_rms

from mobilenets.arch.network import Block, Network
from mobilenets.benchmarks.limit import mult_adds_a_second
from mobilenets.compiler import compile_model
from mobilenets.compiler.build import link
from mobilenets.compiler.processor import LEVELS, MASK, features, level_features, load, missing
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import BF16_TARGETS, FP16_TARGETS, INT8_TARGETS, TARGETS, best_target
from mobilenets.errors import CompileError, UsageError
from mobilenets.quant import reference
from mobilenets.training import fused

ROOT = Path(__file__).parents[2]
NETWORK = Network(0.5, 40, 36, blocks=(Block(1, 64), Block(2, 100)), classes=3)
COMPILED = [
    *(("fp32", target) for target in TARGETS),
    *(("bf16", target) for target in BF16_TARGETS),
    *(("fp16", target) for target in FP16_TARGETS),
    *(("int8", target) for target in INT8_TARGETS),
]
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs x86-64")


def level_of(target: str) -> str:
    return "sse2" if target == "portable" else target


def below(level: str) -> frozenset[str]:
    """The features of the level before."""
    names = list(LEVELS)
    return level_features(names[names.index(level) - 1])


@pytest.mark.any_processor
@needs_x86
@needs_compiler
@pytest.mark.parametrize(("precision", "target"), COMPILED)
def test_a_target_has_no_instruction_beyond_it(precision: str, target: str, tmp_path: Path) -> None:
    model = random_integers(NETWORK) if precision == "int8" else make_random_model(NETWORK)
    library = compile_model(model, target, tmp_path, precision)
    assert not foreign_instructions(library.path, level_features(level_of(target)))
    if target != "portable":  # and the disassembler sees what the target adds
        assert foreign_instructions(library.path, below(target))


@pytest.mark.any_processor
@needs_x86
@needs_compiler
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", TARGETS)
def test_training_kernels_have_no_instruction_beyond_their_target(target: str, bf16: bool, tmp_path: Path) -> None:
    link({"it.c": fused.source(TARGETS[target].vector, bf16)}, TARGETS[target], tmp_path / "it.so")
    assert not foreign_instructions(tmp_path / "it.so", level_features(level_of(target)))
    if target != "portable":
        assert foreign_instructions(tmp_path / "it.so", below(target))


@needs_x86
@needs_compiler
def test_the_inspector_stops_a_library_that_is_masked(tmp_path: Path) -> None:
    library = compile_model(make_random_model(NETWORK), "avx2", tmp_path)
    with pytest.raises(AssertionError, match=r"instructions that --processor masks: .*VFMADD"):
        Inspector("sse2")("ctypes.dlopen", (str(library.path),))
    if not missing(library.features):
        Inspector("avx2")("ctypes.dlopen", (str(library.path),))


def test_levels_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASK, raising=False)
    reported = features()
    for level, adds in LEVELS.items():
        monkeypatch.setenv(MASK, level)
        assert features() == reported & level_features(level)
        assert set(adds) <= level_features(level)
    every = {name for adds in LEVELS.values() for name in adds}
    assert not level_features("sse2") and level_features("amx") == every - {"avx_vnni"}
    assert level_features("avxvnni") == {"avx2", "fma", "avx_vnni"}


@pytest.mark.parametrize(
    "target", [*TARGETS.values(), *BF16_TARGETS.values(), *FP16_TARGETS.values(), *INT8_TARGETS.values()]
)
def test_a_target_needs_no_more_than_its_level(target: Target) -> None:
    assert set(target.features) <= level_features(level_of(target.name))


def test_auto_reads_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASK, "sse2")
    assert {best_target("auto", t).name for t in (TARGETS, BF16_TARGETS, INT8_TARGETS)} == {"portable"}
    monkeypatch.setenv(MASK, "pentium")
    with pytest.raises(UsageError, match=r"MOBILENETS_PROCESSOR \(='pentium'\) must be one of sse2, avx2, "):
        best_target("auto")


@needs_compiler
def test_a_masked_process_compiles_and_benchmarks_for_less(tmp_path: Path) -> None:
    """As the command line runs it: detection, the cache and the message all follow the mask."""
    path = make_random_model(NETWORK).save(tmp_path / "m.safetensors")
    command = [sys.executable, "-m", "mobilenets", "compile", str(path), "--output", str(tmp_path / "c"), "--json"]
    environment = {**os.environ, MASK: "sse2"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert '"target": "portable"' in done.stdout


@needs_compiler
@pytest.mark.parametrize("target", ["avx2", "avx512"])
def test_nothing_is_run_that_the_processor_lacks(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core's limit and the training kernels as well: an error, not an illegal instruction."""
    monkeypatch.setenv(MASK, "sse2")
    refused = f"was built for {target}: this processor lacks {TARGETS[target].features[0]}"
    with pytest.raises(CompileError, match=refused):
        mult_adds_a_second(target)
    with pytest.raises(CompileError, match=refused):
        fused._library.__wrapped__(False, TARGETS[target])  # not what this process has loaded before


def test_a_compiler_that_only_fails_is_none() -> None:
    code = "from mobilenets.compiler import has_compiler; print(has_compiler())"
    environment = {**os.environ, "CC": "false"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


def test_what_is_no_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("text")
    with pytest.raises(CompileError, match=r"text\.so cannot be loaded: "):
        load(tmp_path / "text.so", "portable", ())


LOADERS = {"mobilenets/compiler/processor.py", "tests/benchmarks/test_limit_isa.py"}  # the second holds no code of ours


@pytest.mark.any_processor
@pytest.mark.parametrize("folder", ["mobilenets", "tests", "benchmarks"])
def test_one_place_loads_native_code(folder: str) -> None:
    """`ctypes.CDLL` of a file stands in `processor.load` alone; CDLL(None) is the process itself."""
    found = set()
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("CDLL", "LoadLibrary", "load_library")):
                if ast.unparse(node.args[0]) != "None":
                    found.add(file.relative_to(ROOT).as_posix())
    assert found <= LOADERS


CRASH = """
import os, signal

def test_before(): pass
def test_that_dies(): os.kill(os.getpid(), signal.SIGILL)
def test_behind(): pass
"""


@pytest.mark.any_processor
def test_a_signal_is_one_failed_test(tmp_path: Path) -> None:
    """pytest's settings run each test in a worker process: one that dies is named, and the rest goes on."""
    (tmp_path / "test_crash.py").write_text(CRASH)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", ".", "test_crash.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "crashed while running 'test_crash.py::test_that_dies'" in done.stdout


QEMU = shutil.which("qemu-x86_64")
CPUS = {"portable": "qemu64,-sse3", "avx2": "Haswell"}


@pytest.mark.any_processor
@needs_x86
@needs_compiler
@pytest.mark.skipif(not QEMU, reason="no qemu-x86_64 (Debian: qemu-user)")
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow), "int8"])
@pytest.mark.parametrize("target", CPUS)
def test_an_emulated_processor_of_that_kind_runs_it(target: str, precision: str, tmp_path: Path) -> None:
    """A second opinion on the instructions, from an emulator that refuses those which its processor lacks."""
    emulator = [str(QEMU), "-cpu", CPUS[target]]
    words = ["gcc", "-O2", "-std=gnu11"]
    if precision == "int8":
        integers = random_integers(NETWORK)
        image = images_for(integers, 1)
        build(tmp_path, words, integers, INT8_TARGETS[target])
        exact = integers.activations["fc"].real(reference.run(integers, image))[0]
        assert (run(tmp_path, image, *emulator) == exact).all()
    else:
        model = make_random_model(NETWORK)
        image = images_of(model, 1)
        build(tmp_path, words, model, TARGETS[target], precision)
        bound = 1e-5 if precision == "fp32" else 0.05
        assert relative_rms(run(tmp_path, image, *emulator), float64_logits(model, image)[0]) < bound
    if target == "avx2":
        done = subprocess.run([str(QEMU), "-cpu", CPUS["portable"], "./driver"], cwd=tmp_path, capture_output=True)
        assert done.returncode != 0 and b"ignal 4" in done.stderr  # an illegal instruction

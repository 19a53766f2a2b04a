"""What the emitted C is: C99 without a warning, usable from C++, without allocation, mutable state or dependency."""

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from sys import executable

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import given
from hypothesis import strategies as st
from native import runnable
from running import images_of, needs_compiler, running
from test_golden import CASES, model_of, texts

from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import OPS
from mobilenets.compiler.build import link
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.emit import emit
from mobilenets.compiler.formats import FORMATS
from mobilenets.compiler.header import quoted
from mobilenets.compiler.lower import lower
from mobilenets.compiler.processor import load
from mobilenets.compiler.targets import TARGETS
from mobilenets.errors import CompileError

pytestmark = pytest.mark.any_processor

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror")
FOUND = [[name] for name in ("gcc", "clang", *(f"clang-{n}" for n in range(11, 24))) if shutil.which(name)]
ZIG = [executable, "-m", "ziglang", "cc", "-mcpu=baseline"]
COMPILERS = [
    *(pytest.param(command, id=command[0]) for command in FOUND),
    pytest.param(
        ZIG, id="zig", marks=[pytest.mark.slow, pytest.mark.skipif(not find_spec("ziglang"), reason="no zig")]
    ),
]
needs_one = pytest.mark.skipif(not FOUND, reason="no gcc and no clang")
needs_nm = pytest.mark.skipif(not FOUND or not shutil.which("nm"), reason="no nm")


def compiled(folder: Path, files: dict[str, str], *command: str) -> str:
    """What the compiler says, empty where nothing."""
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", COMPILERS)
@pytest.mark.parametrize("name", CASES)
def test_no_compiler_warns(name: str, command: list[str], tmp_path: Path) -> None:
    flags = TARGETS[CASES[name][1]].flags
    assert compiled(tmp_path, texts(name), *command, *STRICT, "-std=c99", *flags, "-c", f"{name}.c") == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMPILERS)
@pytest.mark.parametrize("optimisation", ["-O0", "-O1", "-O3"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_compiler_warns_however_it_optimises(target, command, optimisation: str, tmp_path: Path) -> None:
    for name, (network, _, embed) in CASES.items():
        made, _ = sources_of(model_of(network), target, name, embed)
        text = {f"{name}.c": made.c, f"mobilenets_{name}.h": made.h}
        assert (
            compiled(tmp_path, text, *command, *STRICT, optimisation, "-std=c99", *target.flags, "-c", f"{name}.c")
            == ""
        )


@pytest.mark.parametrize("command", COMPILERS)
@pytest.mark.parametrize("name", ["pool.c", "kernels/naive.c"])
def test_no_compiler_warns_of_what_is_not_emitted(name: str, command: list[str], tmp_path: Path) -> None:
    text = files("mobilenets.compiler").joinpath(name).read_text("utf-8")
    assert compiled(tmp_path, {"it.c": text}, *command, *STRICT, "-std=c11", "-c", "it.c") == ""


@needs_one
def test_the_header_stands_alone_in_c_and_cpp(tmp_path: Path) -> None:
    """Twice, and beside the headers of other networks."""
    headers = {file: text for name in CASES for file, text in texts(name).items() if file.endswith(".h")}
    lines = [f'#include "{file}"' for file in (*headers, *headers)]
    lines += [f"int size_{n}[MOBILENETS_{n.upper()}_CLASSES];" for n in CASES]
    lines += ["float mean[] = MOBILENETS_SEPARABLE_MEAN;", "char arena[MOBILENETS_FULL_ARENA_BYTES];"]
    for name, standard in (("use.c", "-std=c99"), ("use.cpp", "-std=c++11")):
        said = compiled(tmp_path, {**headers, name: "\n".join(lines) + "\n"}, *FOUND[0], *STRICT, standard, "-c", name)
        if "cc1plus" in said:
            pytest.skip("no C++ compiler")
        assert said == ""


@given(st.text())
def test_a_label_in_c_is_the_label(label: str) -> None:
    """`_text` leaves nothing that ends a string, begins an escape or a trigraph, or turns the text's direction."""
    text = quoted(label)
    inner = text[1:-1]
    assert text[0] == text[-1] == '"' and '"' not in inner and "?" not in inner and "\n" not in inner
    assert all(char.isprintable() for char in inner)
    escaped = inner.encode("utf-8", "surrogatepass")
    found = re.sub(rb"\\(\d{3})", lambda escape: bytes([int(escape[1], 8)]), escaped)
    assert found == label.encode("utf-8", "surrogatepass")


LABELS = ('say "cat"', "back\\slash", "what??/", "Gänseblümchen", "\n\t\x00\x7f1", "‮turned", "猫", "")


@needs_compiler
def test_labels_read_from_c(tmp_path: Path) -> None:
    network = Network(1, 32, 32, blocks=(Block(1, 4),), stem=2, classes=len(LABELS))
    model = replace(make_random_model(network), labels=LABELS)
    made, _ = sources_of(model, TARGETS["portable"], "odd", True)
    use = '#include "mobilenets_odd.h"\nconst char *label(int i) { return MOBILENETS_ODD_LABELS[i]; }\n'
    link({"mobilenets_odd.h": made.h, "use.c": use}, TARGETS["portable"], tmp_path / "labels.so")
    code = load(tmp_path / "labels.so", "portable", ())
    code.label.restype = ctypes.c_char_p
    found = [code.label(i) for i in range(len(LABELS))]
    assert found == [label.encode().split(b"\0")[0] for label in LABELS]


@pytest.fixture(scope="module", params=[False, True], ids=["blob", "embedded"])
def symbols(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """(type, name) of each symbol of the object file."""
    model = make_random_model(Network(0.25, 64, 64, head=64, blocks=(Block(1, 64), Block(2, 128)), classes=10))
    made, _ = sources_of(model, TARGETS["avx2"], "net", request.param)
    folder = tmp_path_factory.mktemp("object")
    command = (*FOUND[0], "-O2", "-std=c99", *TARGETS["avx2"].flags, "-c", "net.c")
    assert compiled(folder, {"net.c": made.c, "mobilenets_net.h": made.h}, *command) == ""
    listed = subprocess.run(["nm", "net.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return [line.split()[-2:] for line in listed.splitlines()]


@needs_nm
def test_nothing_is_allocated_and_nothing_is_needed(symbols: list[list[str]]) -> None:
    needed = {name for kind, name in symbols if kind == "U"}
    assert needed <= {"memset", "memcpy", "memmove"}  # that compilers call on their own


@needs_nm
def test_nothing_is_kept_and_nothing_else_is_seen(symbols: list[list[str]]) -> None:
    assert {kind for kind, _ in symbols} <= set("TtRrU")  # code, constants: no b, d: no memory that changes
    assert {name for kind, name in symbols if kind in "TR"} == {"mobilenets_net_run", "mobilenets_net_step"}


@needs_compiler
@pytest.mark.parametrize("target", TARGETS)
def test_embedded_weights_give_the_same_bits(target: str, tmp_path: Path) -> None:
    model = make_random_model(Network(0.25, 40, 33, blocks=(Block(1, 64), Block(2, 100)), classes=7))
    image = images_of(model, 1)[0]
    made, _ = sources_of(model, TARGETS[target], "net", True)
    built = runnable(TARGETS[target])
    link({"net.c": made.c, "mobilenets_net.h": made.h}, built, tmp_path / "net.so")
    output, arena = np.empty((2, 7), np.float32), np.empty(made.arena.one, np.uint8)
    code = load(tmp_path / "net.so", target, built.features)
    code.mobilenets_net_run(*(ctypes.c_void_p(array.ctypes.data) for array in (image, output, arena)))
    assert (output == running(model, TARGETS[target])(image)).all()


def test_what_an_int_cannot_count_is_refused() -> None:
    """Rather than emitted as C that computes something else."""
    network = Network(1.0, 32, 32, classes=2, blocks=(Block(1, 8),))
    lowered = lower(make_random_model(network), TARGETS["avx2"], "net")

    with pytest.raises(CompileError, match=r"2147483648 bytes of weights must be at most 2147483647"):
        emit(replace(lowered, weights=replace(lowered.weights, size=2**31)))
    last = lowered.program.steps[-2]
    steps = (*lowered.program.steps[:-2], replace(last, scratch=2**31), lowered.program.steps[-1])
    with pytest.raises(CompileError, match=r"\d+ bytes of activations must be at most 2147483647"):
        emit(replace(lowered, program=replace(lowered.program, steps=steps)))


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_bodies_for_the_ops_that_it_handles(name: str) -> None:
    """Activations are part of other steps; depthwise and pointwise convolutions are one step, "separable", as well."""
    format, folder = FORMATS[name], files("mobilenets.compiler") / "kernels"
    ops = {kind.op for kind in format.bodies}
    handled = {kind for kind in format.consumer.handles if OPS[kind].role not in ("input", "activation", "pool")}
    assert handled <= ops and {"pool", "dense", "separable"} <= ops
    kernels = {file.name.removesuffix(".c") for file in folder.iterdir()} | {"int8_dot"}  # a file for each `Target.dot`
    assert {kernel for body in format.bodies.values() for kernel in body.kernels} <= kernels

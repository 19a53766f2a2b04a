"""Which C compiler is taken, what it is told, and when a network is compiled again."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_random_model
from running import needs_compiler

from mobilenets.arch.network import Network
from mobilenets.compiler import build, compile
from mobilenets.compiler.targets import TARGETS
from mobilenets.errors import CompileError

pytestmark = pytest.mark.any_processor


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What is found is kept for the process."""
    build.compiler.cache_clear()
    yield
    build.compiler.cache_clear()


def there_are(monkeypatch: pytest.MonkeyPatch, *commands: str) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in commands else None)
    monkeypatch.setattr(build, "find_spec", lambda module: module if module in commands else None)


@pytest.mark.parametrize(
    ("commands", "command"),
    [
        (("cc", "gcc", "clang", "ziglang"), ("cc",)),
        (("gcc", "clang", "ziglang"), ("gcc",)),
        (("clang", "ziglang"), ("clang",)),
        (("ziglang",), build.ZIG),
    ],
)
def test_the_systems_compiler_goes_before_zigs(
    monkeypatch: pytest.MonkeyPatch, commands: tuple[str, ...], command: tuple[str, ...]
) -> None:
    there_are(monkeypatch, *commands)
    assert build.compiler() == command and build.has_compiler()


def test_without_a_compiler_the_error_names_some(monkeypatch: pytest.MonkeyPatch) -> None:
    there_are(monkeypatch)
    with pytest.raises(CompileError, match="no C compiler: install gcc or clang, or pip install ziglang"):
        build.compiler()
    assert not build.has_compiler()


def test_cc_goes_before_all_and_may_have_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"'{sys.executable}' -B")
    assert build.compiler() == (sys.executable, "-B")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("no-such-compiler -O2", "is not a command"),
        ("'gcc", "is not a command"),
        ("false", "is no C compiler: its --version fails"),
    ],
)
def test_a_cc_that_is_no_compiler_is_named(monkeypatch: pytest.MonkeyPatch, command: str, why: str) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(CompileError) as caught:
        build.compiler()
    assert str(caught.value).startswith(f"CC (={command!r}) {why}")


def test_zig_keeps_what_it_makes_in_our_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script stands for it: its library is the name of the folder."""
    script = tmp_path / "zig"
    script.write_text('#!/bin/sh\n[ "$1" = --version ] || printf %s "$ZIG_GLOBAL_CACHE_DIR" > library.so\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    assert build.library_of({}, TARGETS["portable"]) == b""
    monkeypatch.setattr(build, "ZIG", (str(script),))
    assert build.library_of({}, TARGETS["portable"]) == bytes(tmp_path / "cache" / "zig")


@needs_compiler
@pytest.mark.parametrize(
    "file", ["compiler/a.py", "compiler/formats/a.py", "compiler/kernels/a.c", "arch/a.py", "quant/a.py"]
)
def test_what_another_version_has_compiled_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A package of a file in each folder stands for this one."""
    for folder in ("compiler/formats", "compiler/kernels", "arch", "quant"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(compile, "files", lambda name: tmp_path / name.removeprefix("mobilenets").removeprefix("."))
    model, keys = make_random_model(Network(0.25, 32, 32, classes=2)), []
    for content in ("one", "one", "another"):
        (tmp_path / file).write_text(content)
        (tmp_path / file).with_suffix(".pyc").write_text(str(len(keys)))
        keys.append(compile._key(model, TARGETS["portable"], "fp32", {}))
    assert keys[0] == keys[1] != keys[2]

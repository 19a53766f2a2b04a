"""Several files are written all or none, and what a killed process left is removed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenets.errors import WorkError
from mobilenets.files import remove_left_over, write_all, write_atomic


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    write_all({tmp_path / "a": "text", tmp_path / "b": b"new", tmp_path / "c.so": b"code"})
    assert contents(tmp_path) == {"a": b"text", "b": b"new", "c.so": b"code"}
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "c.so")] == [0o644, 0o755]


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_none_is_written_where_one_fails(
    function: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"a": b"old a", "c": b"old c", "d": b"old d"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    real, calls = getattr(os, function), []

    def fail(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == at:
            raise OSError(28, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(WorkError, match="cannot be written: No space left"):
        write_all({tmp_path / name: f"new {name}" for name in "abcd"})
    monkeypatch.undo()
    assert contents(tmp_path) == before


KILLED = """
import os, sys
from pathlib import Path
from mobilenets import files
os.fsync = lambda _: os.kill(os.getpid(), 9)
files.write_atomic(Path(sys.argv[1]), b"half")
"""


def test_what_a_kill_leaves_is_removed(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "checkpoint.safetensors", b"whole")
    assert subprocess.run([sys.executable, "-c", KILLED, path]).returncode == -signal.SIGKILL
    assert len(contents(tmp_path)) == 2
    others = (".checkpoint.safetensors.mine", ".checkpoint.safetensors", "x.checkpoint.safetensors.abcd1234", ".notes")
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".checkpoint.safetensors.folder_1").mkdir()
    (tmp_path / ".checkpoint.safetensors.link1234").symlink_to(path)
    remove_left_over([path])
    kept = {"checkpoint.safetensors", ".checkpoint.safetensors.folder_1", ".checkpoint.safetensors.link1234", *others}
    assert {path.name for path in tmp_path.iterdir()} == kept and path.read_bytes() == b"whole"


def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old a")

    def fail(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_all({tmp_path / name: "new" for name in "ab"})
    assert contents(tmp_path) == {"a": b"new", "b": b"new"}


def test_an_old_file_that_cannot_be_put_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(f"old {name}".encode())
    real, calls = os.replace, []

    def fail(*arguments: Path) -> None:
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(5, "Input/output error")
        real(*arguments)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(WorkError, match="Input/output error"):
        write_all({tmp_path / name: "new" for name in "ab"})
    held = contents(tmp_path)
    assert held["b"] == b"old b" and b"old a" in held.values()

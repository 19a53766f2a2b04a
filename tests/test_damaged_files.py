"""The two scripts that damage files and writes, in small: what they try must do no harm (docs/testing.md)."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=SCRIPTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_damaged_model_files(tmp_path: Path) -> None:
    table = run(str(SCRIPTS / "fuzz.py"), "--count", "15", "--seed", "5", "--keep", str(tmp_path / "kept"))
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    opened, refused, *bad = (int(figure) for figure in rows[-1][1:6])
    assert opened + refused == 15 and bad == [0, 0, 0] and opened > 2
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, on torch
def test_sound_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fuzzer damages is read to its end where it is whole."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    fuzz = import_module("fuzz")
    for name, content in fuzz.samples().items():
        (tmp_path / name).write_bytes(content)
        assert (name, fuzz.attempt(tmp_path / name)) == (name, "opened")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
@pytest.mark.skipif(os.environ.get("CC") == "false", reason="needs a C compiler")
@pytest.mark.timeout(900)
def test_failing_writes() -> None:
    said = run(str(SCRIPTS / "faults.py"), "--count", "2", "--cases", "export", "compile")
    assert "4 errors injected ({'ENOSPC': 2, 'EIO': 2}), 0 wrong" in said

"""Commands side by side: their number, their errors, signals, and the death of the parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mobilenets.errors import Interrupted, WorkError
from mobilenets.sweeps import run_side_by_side


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_at_most_so_many_at_a_time(tmp_path: Path) -> None:
    code = f"""
import os, time, pathlib
mine = pathlib.Path({str(tmp_path)!r}) / str(os.getpid())
mine.touch(); time.sleep(0.3); print(len(list(mine.parent.iterdir())), file=open({str(tmp_path)!r} + ".log", "a"))
mine.unlink()"""
    ended: list[str] = []
    run_side_by_side({name: python(code) for name in "abcd"}, 2, ended.append)
    assert sorted(ended) == ["a", "b", "c", "d"]
    counts = [int(line) for line in Path(f"{tmp_path}.log").read_text().split()]
    assert len(counts) == 4 and max(counts) <= 2


def test_a_failure_ends_the_others_and_names_the_last_line(tmp_path: Path) -> None:
    waits = python("import time, sys; time.sleep(600)")
    fails = python("import sys; print('first', file=sys.stderr); sys.exit('the reason')")
    with pytest.raises(WorkError, match="trial b ended with exit code 1: the reason"):
        run_side_by_side({"a": waits, "b": fails}, 2, lambda name: None)


def test_a_killed_process_is_named_with_its_signal() -> None:
    with pytest.raises(WorkError, match="trial a ended with signal 9"):
        run_side_by_side({"a": python("import os; os.kill(os.getpid(), 9)")}, 1, lambda name: None)


def test_a_signal_is_passed_on_and_awaited(tmp_path: Path) -> None:
    code = f"""
import signal, sys, time, pathlib
def saved(*_):
    pathlib.Path({str(tmp_path)!r}, "saved").touch(); sys.exit(143)
signal.signal(signal.SIGTERM, saved)
pathlib.Path({str(tmp_path)!r}, "ready").touch()
time.sleep(600)"""

    def stop() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted) as caught:
        run_side_by_side({"a": python(code), "b": python(code)}, 1, lambda name: None)
    assert caught.value.exit_code == 143 and (tmp_path / "saved").exists()


def test_a_process_ends_with_the_parent_that_was_killed(tmp_path: Path) -> None:
    child = f"""
import os, pathlib, time
from mobilenets.sweeps.processes import end_with_parent
end_with_parent(); pathlib.Path({str(tmp_path)!r}, "pid").write_text(str(os.getpid())); time.sleep(600)"""
    parent = f"""
import sys
from mobilenets.sweeps.processes import run_side_by_side
run_side_by_side({{"a": [sys.executable, "-c", {child!r}]}}, 1, print)"""
    started = subprocess.Popen(python(parent))
    written = tmp_path / "pid"
    while not (written.exists() and written.read_text()):
        time.sleep(0.05)
    started.kill()
    started.wait()
    number = int(written.read_text())
    for _ in range(1000):
        if not running(number):
            break
        time.sleep(0.05)
    assert not running(number)


def running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False

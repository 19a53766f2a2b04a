"""Run commands side by side, each in a process that ends when this one does."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..errors import Interrupted, WorkError
from ..training.interrupt import Interrupts

__all__ = ["end_with_parent", "run_side_by_side"]

_WAIT = 0.1  # seconds between two looks at the processes


def run_side_by_side(commands: Mapping[str, Sequence[str]], jobs: int, done: Callable[[str], None]) -> None:
    """Run `commands`, at most `jobs` at a time; `done` is called with the name of each that has ended.

    A signal is passed on: all save their state, then `Interrupted` is raised. Raises `WorkError` with the last line of
    a process that failed, after the others were ended. Commands must call `end_with_parent`.
    """
    waiting, running = deque(commands), dict[str, _Process]()
    with Interrupts() as interrupts:
        try:
            while waiting or running:
                while waiting and len(running) < jobs and interrupts.number is None:
                    name = waiting.popleft()
                    running[name] = _Process(name, commands[name])
                for name in [name for name, process in running.items() if process.ended]:
                    running.pop(name).check()
                    done(name)
                if interrupts.number is not None:
                    raise Interrupted(interrupts.number, "stopped, and the trials are saved")
                time.sleep(_WAIT)
        finally:
            for process in running.values():
                process.stop()
            for process in running.values():
                process.wait()


class _Process:
    """A running command, out of reach of the terminal's Ctrl-C, which is passed on as SIGTERM."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self._name, self._said = name, tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=self._said, stdout=subprocess.DEVNULL, start_new_session=True
        )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def check(self) -> None:
        """Raise `WorkError` where the ended process failed."""
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        if code := self.wait():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise WorkError(f"trial {self._name} ended with {how}{': ' + lines[-1] if lines else ''}")

    def stop(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        """Return the exit code; the input stays open until then, since the process ends with it."""
        code = self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._said.close()
        return code


def end_with_parent() -> None:
    """End this process as soon as the one that holds its standard input is gone, even if that was killed."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # returns when the other end is closed: nothing is ever written
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

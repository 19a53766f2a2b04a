"""SIGINT and SIGTERM during training: the current step finishes, the state is saved, then the run ends."""

import signal
import threading
from types import FrameType

from ..errors import Interrupted

__all__ = ["Interrupts"]


class Interrupts:
    """A context that records the two signals in `number`; a second signal ends the process at once.

    Outside the main thread Python allows no handlers: then nothing changes. A signal that is ignored (Ctrl-C, in a job
    that a shell started in the background) stays ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> "Interrupts":
        self._old = {}
        if threading.current_thread() is threading.main_thread():
            handled = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
            self._old = {number: signal.signal(number, self._note) for number in handled}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            raise Interrupted(number, "stopped at the second signal: the last checkpoint is kept")
        self.number = number

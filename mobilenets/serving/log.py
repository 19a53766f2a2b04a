"""The access log: a line of JSON for each request, written by a thread so that no reader of it delays the server."""

import json
import sys
import threading
from collections import deque
from datetime import UTC, datetime

from .messages import Request, Response

__all__ = ["AccessLog"]

KEPT = 100_000  # lines that wait for a slow reader; older ones are dropped
EVERY = 0.5  # seconds


class AccessLog:
    """Lines that are written to standard output twice a second."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)
        self._thread.start()

    def add(self, request: Request, response: Response, seconds: float) -> None:
        """Log a request that was answered."""
        scope = request.scope
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": scope["client"][0] if scope["client"] else "",
            "method": scope["method"],
            "path": scope["path"],
            "status": response.status,
            "received": request.taken,
            "sent": len(response.body),
            "milliseconds": round(seconds * 1e3, 3),
        }
        if request.images:
            line |= {"model": request.model, "images": request.images}
        if response.status >= 400:
            line["error"] = json.loads(response.body)["error"]
        self._lines.append(json.dumps(line))

    def _write(self) -> None:
        while not self._end.wait(EVERY):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            try:
                print(*lines, sep="\n", flush=True)
            except OSError:  # nobody reads it any more
                sys.stdout = None

    def close(self) -> None:
        """Write what is left, if that takes less than a second."""
        self._end.set()
        self._thread.join(1)

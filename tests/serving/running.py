"""Servers that tests start in a thread of this process."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mobilenets.progress import Watch
from mobilenets.serving.app import Application
from mobilenets.serving.http import Server
from mobilenets.serving.served import open_all
from mobilenets.serving.settings import Settings


@contextmanager
def serving(models: Sequence[object], **settings: object) -> Iterator[Server]:
    """Serve models on a free port until the block ends."""
    kept = Settings(port=0, **settings)  # type: ignore[arg-type]
    server = Server(Application(open_all(map(str, models), Watch()), kept), kept, Watch())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join()

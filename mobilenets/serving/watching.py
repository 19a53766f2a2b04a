"""Loading models again whose files change."""

import asyncio
from dataclasses import replace
from pathlib import Path

from ..errors import MobilenetsError
from ..progress import Watch
from .app import Application
from .served import Served, open_served

__all__ = ["Watcher"]

EVERY = 1.0  # seconds

State = tuple[int, int, int] | None


class Watcher:
    """Compares the files of all models once a second; one that has changed and then stays is loaded again.

    Requests go to the old model until the new one is open. Where it cannot be opened, the old one stays.
    """

    def __init__(self, app: Application, watch: Watch) -> None:
        self._app, self._watch = app, watch
        self._seen = {name: _state(model.path) for name, model in app.models.items()}
        self._loaded = dict(self._seen)

    async def run(self) -> None:
        """Watch until this task is cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            for name, model in list(self._app.models.items()):
                state, before = _state(model.path), self._seen[name]
                self._seen[name] = state
                if state is not None and state == before != self._loaded[name]:
                    self._loaded[name] = state
                    await self._load(model)

    async def _load(self, old: Served) -> None:
        try:
            new = await asyncio.to_thread(open_served, old.name, old.path, self._app.settings, self._watch)
        except MobilenetsError as exc:
            self._app.metrics.reloads.labels("failed").inc()
            self._watch.note(f"{old.name} was not loaded again: {exc}")
        else:
            self._app.models[old.name] = replace(new, path=old.path)
            self._app.metrics.reloads.labels("loaded").inc()
            self._watch.note(f"{old.name} was loaded again ({new.precision})")


def _state(path: Path) -> State:
    """Return what changes with a file: time, size and inode; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

"""uvicorn as this server runs it: its settings, start and end."""

import socket

import uvicorn

from ..progress import Watch
from .app import Application
from .settings import Settings

__all__ = ["Server"]


class Server(uvicorn.Server):
    """uvicorn that says where it listens."""

    def __init__(self, app: Application, settings: Settings, watch: Watch) -> None:
        self._app, self._settings, self._watch = app, settings, watch
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http="httptools",
                ws="none",
                access_log=False,
                log_level="error",
                server_header=False,
            )
        )

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            names = ", ".join(f"{model.name} ({model.precision})" for model in self._app.models.values())
            host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
            self._watch.note(f"serving {names} at http://{host}:{self.port}")

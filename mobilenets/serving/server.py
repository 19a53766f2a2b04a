"""Run the application in uvicorn."""

from collections.abc import Iterable

from ..errors import MissingExtraError
from ..progress import Watch
from .served import open_all
from .settings import Settings

__all__ = ["run_server"]


def run_server(models: Iterable[str], settings: Settings, watch: Watch) -> None:
    """Open the models and serve them until SIGINT or SIGTERM."""
    try:
        from .http import Server
    except ImportError:
        raise MissingExtraError("the server needs uvicorn", "serve") from None
    from .app import Application

    app = Application(open_all(models, watch), settings)
    Server(app, settings, watch).run()

"""`mobilenets serve`: models over HTTP."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..progress import Watch, watching
from ..serving import Settings, run_server

__all__ = ["serve"]


def serve(
    models: str | Path | Sequence[str | Path], settings: Settings | None = None, *, watch: Watch | None = None
) -> None:
    """Serve models over HTTP until SIGINT or SIGTERM. Needs `mobilenets[serve]`, and no torch.

    Parameters
    ----------
    models
        What `predict` takes, one or several; NAME=MODEL names one, which is otherwise named by its file or run folder.
    settings
        Where the server listens and what it accepts.
    """
    given = [str(model) for model in ([models] if isinstance(models, str | Path) else models)]
    if not given:
        raise UsageError("serve needs a model: a run folder, a model file or a published network")
    with watching(watch) as watch:
        run_server(given, settings or Settings(), watch)

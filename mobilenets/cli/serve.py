"""`mobilenets serve`: flags and the verb."""

import os
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from ..serving import Settings

__all__ = ["serve"]

TOKEN = "MOBILENETS_TOKEN"
_SETTINGS = Settings()


def serve(
    models: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    *,
    settings: Annotated[Settings, Parameter(name="*", negative=())] = _SETTINGS,
) -> None:
    """Serve models over HTTP: POST an image to /predict, or tensors by the Open Inference Protocol. Needs no torch.

    Parameters
    ----------
    models
        Run folders, model files of any format that import reads, or names of published networks; NAME=MODEL names one.
    """
    from ..progress import Bars
    from ..verbs.serve import serve

    if settings.token is None and TOKEN in os.environ:
        settings = replace(settings, token=os.environ[TOKEN])
    with Bars() as bars:
        serve(models, settings, watch=bars)

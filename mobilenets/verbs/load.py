"""`mobilenets.load`: a trained model from a file, a run folder or the catalogue of published networks."""

from pathlib import Path

from ..model import Model
from ..opening import open_model
from ..progress import Watch, watching
from ..quant.scheme import QuantModel

__all__ = ["load"]


def load(model: str | Path, *, watch: Watch | None = None) -> Model | QuantModel:
    """Return the model in a file of any format that `import_model` reads, in a run folder, or published by that name.

    A file of integers gives a `QuantModel`. Raises `ModelFileError`, which names what is missing or does not fit.
    """
    with watching(watch) as watch:
        return open_model(model, watch).trained()

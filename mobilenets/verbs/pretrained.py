"""`mobilenets.pretrained`: a published network by its name, downloaded once."""

from ..model import Model
from ..progress import Watch, watching

__all__ = ["pretrained"]


def pretrained(
    name: str = "imagenet", alpha: float | None = None, size: int | None = None, *, watch: Watch | None = None
) -> Model:
    """Return the published network `name`, such as keras/0.25-128; docs/pretrained.md lists them.

    "imagenet" is the network trained on ImageNet that is nearest to `alpha` and to an image height of `size` pixels.
    Raises `UsageError` for a name that is not in the catalogue.
    """
    from ..weights import open_pretrained

    with watching(watch) as watch:
        return open_pretrained(name, alpha, size, progress=watch.downloaded, note=watch.note).model

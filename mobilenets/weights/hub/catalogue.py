"""Trained MobileNets that others publish: the catalogue, and the one nearest to a network."""

import math
from difflib import get_close_matches

from ...arch.network import Network
from ...errors import UsageError
from .newer import NEWER
from .published import HUGGING_FACE, File, Published
from .v1 import V1

__all__ = ["CATALOGUE", "HUGGING_FACE", "File", "Published", "distance", "find", "names"]

CATALOGUE = (*V1, *NEWER)


def find(name: str, alpha: float | None = None, height: int | None = None, family: str = "") -> Published:
    """Return the published network called `name`: `imagenet`, a name of `CATALOGUE`, or `imagenet:` and such a name.

    `imagenet` is the one of `family` (a key of `zoo.FAMILIES`) nearest to (alpha, height), which default to 1 and 224.
    Alpha is compared before resolution, because a width is changed by dropping channels and a resolution needs no
    change; both distances are ratios (log2). Of two equally near alphas the wider is preferred, because channels can be
    dropped but not added; then float to quantised, then the better published top-1. Networks with a head are found by
    their names only. Raises `UsageError` for a family of which none is published, and with similar names for an unknown
    name.
    """
    if name == "imagenet":
        given = {"alpha": alpha, "height": height}
        asked = Network().replace(**{setting: value for setting, value in given.items() if value is not None})
        headless = [published for published in CATALOGUE if not published.head and published.family == family]
        if not headless:
            raise UsageError(f"no published network is of family {family}: name a file of one")
        return min(headless, key=lambda published: distance(published, asked.alpha, asked.height))
    exact = {published.name: published for published in CATALOGUE}
    wanted = name.removeprefix("imagenet:")
    if wanted not in exact:
        parts = [published for published in exact if wanted and wanted in published][:4]
        near = parts or get_close_matches(wanted, exact, n=4, cutoff=0.4)
        raise UsageError(f"no published network is named {wanted!r}; close names: {', '.join(['imagenet', *near])}")
    return exact[wanted]


def names() -> tuple[str, ...]:
    """Return the names of all networks in `CATALOGUE`."""
    return tuple(published.name for published in CATALOGUE)


def distance(published: Published, alpha: float, height: int) -> tuple[float, ...]:
    """Return a sort key; smaller is nearer, alpha before resolution."""
    width_ratio = round(math.log2(published.alpha / alpha), 6)
    return (
        abs(width_ratio),
        width_ratio < 0,
        abs(math.log2(published.height / height)),
        published.quantised,
        -(published.top1 or 0.0),
    )

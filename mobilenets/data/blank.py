"""Find images that decode to a single value or to almost black."""

from collections.abc import Sequence

import numpy as np

from ..errors import ImageError
from ..image import decode, opened
from ..text import listed
from .parallel import ordered
from .rows import Row

__all__ = ["check_pixels"]

_SAMPLE = 50  # images examined, approximately: an error of the program that wrote them affects many
_DARK = 16  # of 256: 12-bit values stored in 16 bits stay below it when the upper eight bits are kept


def check_pixels(rows: Sequence[Row]) -> list[str]:
    """Return a note on images that decode to a single value or to almost black, from a sample of about `_SAMPLE`."""
    tried = rows[:: -(-len(rows) // _SAMPLE)]
    found = [(row.name, deep) for row, deep in zip(tried, ordered(_blank, tried), strict=True) if deep is not None]
    if not found:
        return []
    of = f"{len(tried)} images" if len(tried) == len(rows) else f"{len(tried)} images examined"
    cure = ""
    if any(deep for _, deep in found):
        cure = (
            "; of 16-bit pixels the upper 8 bits are kept: values of fewer bits (for example 12) must be scaled to 16"
        )
    return [f"{len(found)} of {of} are black or of a single value: {listed([name for name, _ in found])}{cure}"]


def _blank(row: Row) -> bool | None:
    """Return whether a blank image has 16-bit pixels; None if it is not blank or cannot be decoded."""
    try:
        pixels = np.asarray(decode(data := row.read(), at_least=(32, 32)))
        if pixels.max() >= _DARK and (pixels != pixels[0, 0]).any():
            return None
        with opened(data) as image:
            return image.mode.startswith("I")
    except ImageError:
        return None

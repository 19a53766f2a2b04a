"""Images on which there is nothing to see, though they can be decoded."""

from collections.abc import Sequence

import numpy as np

from ..errors import ImageError
from ..image import decode, opened
from ..text import listed
from .parallel import ordered
from .rows import Row

__all__ = ["check_pixels"]

_LOOKED_AT = 50  # images, about: a mistake in how they were made shows in many
_DARK = 16  # of 256: 12 bits in 16, of which the upper eight are kept, stay below it


def check_pixels(rows: Sequence[Row]) -> list[str]:
    """A note on images that become one value or almost black, among about `_LOOKED_AT` of all."""
    tried = rows[:: -(-len(rows) // _LOOKED_AT)]
    found = [(row.name, deep) for row, deep in zip(tried, ordered(_blank, tried), strict=True) if deep is not None]
    if not found:
        return []
    of = f"{len(tried)} images" if len(tried) == len(rows) else f"{len(tried)} images looked at"
    cure = ""
    if any(deep for _, deep in found):
        cure = "; of 16-bit pixels the upper 8 bits are kept: values that use fewer (12, say) must be scaled to all 16"
    return [f"{len(found)} of {of} become black or a single value: {listed([name for name, _ in found])}{cure}"]


def _blank(row: Row) -> bool | None:
    """None for an image with something on it, or that cannot be decoded; else whether its pixels have 16 bits."""
    try:
        pixels = np.asarray(decode(data := row.read(), at_least=(32, 32)))
        if pixels.max() >= _DARK and (pixels != pixels[0, 0]).any():
            return None
        with opened(data) as image:
            return image.mode.startswith("I")
    except ImageError:
        return None

"""Numbers as the page writes them."""

from collections.abc import Callable
from typing import Any

__all__ = ["FILTERS"]

NOTHING = "–"
GAP = "\u202f"  # narrow, and no line breaks at it


def percent(rate: float | None, digits: int = 1) -> str:
    return NOTHING if rate is None else f"{100 * rate:.{digits}f}%"


def whole(number: int) -> str:
    """With narrow spaces between thousands."""
    return f"{number:,}".replace(",", GAP)


def millions(number: int) -> str:
    """Three or four figures in millions: `13.57 M`, `568.7 M`; thousands where that is less than one."""
    if number < 1_000_000:
        return f"{number / 1e3:.4g}{GAP}k"
    return f"{number / 1e6:.4g}{GAP}M" if number < 1e10 else f"{number / 1e9:.4g}{GAP}G"


def size(number: int) -> str:
    """Bytes, in powers of 1000."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g}{GAP}{unit}"
    return f"{number}{GAP}B"


def milliseconds(value: float) -> str:
    return f"{value:.3g}{GAP}ms"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def shape(sizes: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in sizes)


def kind(name: str) -> str:
    """The word that colours a type of layer: of `depthwise 3x3` and of `fully_connected` the first."""
    return name.replace("_", " ").split()[0]


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (percent, whole, millions, size, milliseconds, duration, shape, kind)
}

"""Format numbers for the page."""

from collections.abc import Callable
from typing import Any

__all__ = ["FILTERS"]

NOTHING = "–"
GAP = "\u202f"  # narrow no-break space


def percent(rate: float | None, digits: int = 1) -> str:
    """Format a fraction as a percentage."""
    return NOTHING if rate is None else f"{100 * rate:.{digits}f}%"


def whole(number: int) -> str:
    """Format an integer with narrow spaces between thousands."""
    return f"{number:,}".replace(",", GAP)


def millions(number: int) -> str:
    """Format a count with four significant digits: `568.7 M`; in thousands below a million."""
    if number < 1_000_000:
        return f"{number / 1e3:.4g}{GAP}k"
    return f"{number / 1e6:.4g}{GAP}M" if number < 1e10 else f"{number / 1e9:.4g}{GAP}G"


def size(number: int) -> str:
    """Format a number of bytes with decimal prefixes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g}{GAP}{unit}"
    return f"{number}{GAP}B"


def milliseconds(value: float) -> str:
    """Format a time in milliseconds."""
    return f"{value:.3g}{GAP}ms"


def duration(seconds: float) -> str:
    """Format a duration in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def shape(sizes: tuple[int, ...]) -> str:
    """Format a shape as 96 × 96 × 3."""
    return " × ".join(str(side) for side in sizes)


def kind(name: str) -> str:
    """Return the CSS class of a type of layer: the first word of `depthwise 3x3` and of `fully_connected`."""
    return name.replace("_", " ").split()[0]


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (percent, whole, millions, size, milliseconds, duration, shape, kind)
}

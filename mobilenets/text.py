"""Text of messages and reports."""

from collections.abc import Sequence

__all__ = ["bytes_text", "counted", "listed"]


def listed(items: Sequence[str], most: int = 3) -> str:
    """Return the first items of a list and the number of the others: 'a, b, c and 4 more'."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: '1 trial', '2 trials'."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def bytes_text(value: float) -> str:
    """Return a number of bytes in KB or MB."""
    return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.1f} KB"

"""Budgets: bounds on costs, and their notation: `10M`, `500KB`, `15ms`."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Protocol

from ..arch.network import Network
from ..costs import PRECISIONS, Cost, DeviceCost
from ..errors import BudgetError

__all__ = ["Bound", "Budget", "Estimate", "parse_clock", "parse_count", "parse_duration", "parse_size", "parse_time"]


class Estimate(Protocol):
    """What a network costs on the microcontroller of a budget."""

    def flash(self, network: Network) -> int:
        """Return the bytes of weights and code."""

    def least_flash(self, network: Network) -> int:
        """Return a lower bound of `flash`, which takes no time."""

    def ram(self, network: Network) -> int:
        """Return the bytes of arena and stack."""

    def least_ram(self, network: Network) -> int:
        """Return a lower bound of `ram`, which takes no time."""

    def milliseconds(self, network: Network) -> float:
        """Return the time of one image."""

    def least_milliseconds(self, network: Network) -> float:
        """Return a lower bound of `milliseconds`, which takes no time."""

    def cost(self, network: Network) -> DeviceCost:
        """Return all of it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound on a cost that is known without measurement."""

    name: str  # the field of `Budget`
    limit: float
    cost: Callable[[Cost], float]
    show: Callable[[float], str]  # a value with its unit
    least: Callable[[Cost], float] | None = None  # a lower bound of `cost` where that takes long

    def floor(self, cost: Cost) -> float:
        """Return a lower bound of the cost, which takes no time: the cost itself where that takes none."""
        return (self.least or self.cost)(cost)

    def excess(self, value: float) -> str:
        """Return a value above the limit with its unit, and with more digits where it would read as the limit."""
        text = self.show(value)
        return f"{text} ({value:,.10g})" if text == self.show(self.limit) else text

    def __str__(self) -> str:
        return f"{self.name} {self.show(self.limit)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper bounds, each inclusive; None is no bound, since only the user knows the device.

    A bound may be text as the command line takes it: "10M", "500KB", "15ms". With `device`, max_ram, max_flash and
    max_latency are of the int8 network on that microcontroller. Raises `BudgetError` for a bound that is not a positive
    number, and for max_flash or clock without a device.
    """

    max_mult_adds: int | str | None = None  # of one image
    max_params: int | str | None = None
    max_size: int | str | None = None  # bytes of the deployed weights at `precision` (`Cost.bytes`)
    max_ram: int | str | None = None  # bytes of activations alive at once at `precision` (`Cost.peak_ram`)
    max_latency: float | str | None = None  # ms for one image, measured on this machine
    precision: str = "fp32"  # of max_size and max_ram; fp32 is that of an exported network without quantisation
    max_flash: int | str | None = None  # bytes of weights and code on the device
    device: str | None = None  # a microcontroller, a key of `devices.DEVICES`
    clock: float | str | None = None  # MHz of the device, by default a usual one

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BudgetError(f"precision (={self.precision!r}) must be one of {', '.join(PRECISIONS)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None or field.name in ("precision", "device"):
                continue
            if isinstance(value, str):
                try:
                    value = _PARSE[field.name](value)
                except BudgetError as exc:
                    raise BudgetError(f"{field.name}: {exc}") from exc
                object.__setattr__(self, field.name, value)
            whole = field.name not in ("max_latency", "clock")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise BudgetError(f"{field.name} (={value!r}) must be a {'whole ' if whole else ''}number")
            if not 0 < value < math.inf:
                raise BudgetError(f"{field.name} (={value!r}) must be above 0 and finite")
            if self.device is None and field.name in ("max_flash", "clock"):
                raise BudgetError(f"{field.name} (={value!r}) is of a microcontroller: give device as well")

    @property
    def measured(self) -> bool:
        """Return whether latency is measured on this machine."""
        return self.max_latency is not None and self.device is None

    def bounds(self, estimate: Estimate | None = None) -> tuple[Bound, ...]:
        """Return the given bounds that need no measurement; those of a device by its `estimate`."""
        precision = self.precision
        known = {
            "max_mult_adds": Bound("max_mult_adds", 0, lambda cost: cost.mult_adds, show_count),
            "max_params": Bound("max_params", 0, lambda cost: cost.params, show_count),
            "max_size": Bound("max_size", 0, lambda cost: cost.bytes(precision), show_bytes),
            "max_ram": Bound("max_ram", 0, lambda cost: cost.peak_ram(precision), show_bytes),
        }
        if estimate is not None:
            known |= _of_device(estimate)
        limits = {name: getattr(self, name) for name in known}
        return tuple(replace(known[name], limit=limit) for name, limit in limits.items() if limit is not None)


def _of_device(estimate: Estimate) -> dict[str, Bound]:
    """Return the bounds of a microcontroller, without their limits."""
    asked = (
        ("max_flash", estimate.flash, show_bytes, estimate.least_flash),
        ("max_ram", estimate.ram, show_bytes, estimate.least_ram),
        ("max_latency", estimate.milliseconds, show_time, estimate.least_milliseconds),
    )
    return {name: Bound(name, 0, _of_network(cost), show, _of_network(least)) for name, cost, show, least in asked}


def _of_network(cost: Callable[[Network], float]) -> Callable[[Cost], float]:
    return lambda found: cost(found.network)


def show_count(value: float) -> str:
    """Return a count as `9.87 M`: three or four digits and a unit of thousands."""
    return _show(value, ("", "k", "M", "G"))


def show_bytes(value: float) -> str:
    """Return bytes as text with a unit of thousands."""
    return _show(value, ("bytes", "KB", "MB", "GB"))


def show_time(value: float) -> str:
    """Return milliseconds as text."""
    return f"{value:.4g} ms"


def _show(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if value < 1000:
            return f"{value:.4g} {unit}".rstrip()
        value /= 1000
    return f"{value:.4g} {units[-1]}"


_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
# K, M and G alone are thousands here as for counts: of the two readings the one that makes the smaller file
_SIZES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SIZES |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_TIMES = {
    "": Fraction(1),
    "ms": Fraction(1),
    "s": Fraction(1000),
    "us": Fraction(1, 1000),
    "µs": Fraction(1, 1000),
}
_DURATIONS: dict[str, int | Fraction] = {"": 1, "ms": Fraction(1, 1000), "s": 1, "m": 60, "min": 60, "h": 3600}
_CLOCKS = {"": Fraction(1), "khz": Fraction(1, 1000), "mhz": Fraction(1), "ghz": Fraction(1000)}
_NUMBER = re.compile(r"(?P<number>[0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30}) ?(?P<unit>[^\W\d_]*)")


def parse_count(text: str) -> int:
    """Return the number in `10M` (10,000,000); also k, G, B (both 1e9) in either case, decimals and plain numbers."""
    return _whole(text, _parse(text, _COUNTS, "a count such as 10M, 1.5G, 300k or 250000"))


def parse_size(text: str) -> int:
    """Return bytes: `500KB`, `2MB` (powers of 1000), `1MiB` (powers of 1024), `300000`. `500K` is 500KB."""
    return _whole(text, _parse(text, _SIZES, "a size such as 500KB, 2MB, 1MiB or 300000 (bytes)"))


def parse_time(text: str) -> float:
    """Return milliseconds: `15ms`, `0.5s`, `800us`, `15`."""
    return float(_parse(text, _TIMES, "a time such as 15ms, 0.5s or 15 (milliseconds)"))


def parse_duration(text: str) -> float:
    """Return seconds of work: `90s`, `30min`, `2h`, `1.5h`, `90`."""
    return float(_parse(text, _DURATIONS, "a time such as 90s, 30min, 2h or 90 (seconds)"))


def parse_clock(text: str) -> float:
    """Return MHz: `80MHz`, `1GHz`, `80`."""
    return float(_parse(text, _CLOCKS, "a clock such as 80MHz or 80 (MHz)"))


def _parse(text: str, units: Mapping[str, int | Fraction], rule: str) -> Fraction:
    """Return the exact value in `text`: 1.1M gives 1,100,000."""
    match = _NUMBER.fullmatch(text.strip())
    factor = units.get(match["unit"].lower()) if match else None
    if match is None or factor is None:
        raise BudgetError(f"{text!r} is not {rule}")
    value = Fraction(match["number"]) * factor
    if value <= 0:
        raise BudgetError(f"{text!r} must be above 0")
    return value


def _whole(text: str, value: Fraction) -> int:
    """Return the value rounded down, since it is an upper bound."""
    if value < 1:
        raise BudgetError(f"{text!r} must be at least 1")
    return int(value)


_PARSE: dict[str, Callable[[str], float]] = {
    "max_mult_adds": parse_count,
    "max_params": parse_count,
    "max_size": parse_size,
    "max_ram": parse_size,
    "max_latency": parse_time,
    "max_flash": parse_size,
    "clock": parse_clock,
}

"""`SweepPlan`: the trials of a sweep and their settings, kept in `sweep.json`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..arch.network import SHALLOW_BODY, Network
from ..errors import MobilenetsError, TrainingError, UsageError
from ..files import write_atomic
from ..schema import parsed, read
from ..training.run import Run, Settings

__all__ = ["PLAN", "VARIANTS", "LeftOut", "SweepPlan", "Trial", "grid", "is_sweep", "paper_networks"]

PLAN = "sweep.json"
TRIALS = "trials"
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "conv": {"convolution": "full"},
    "shallow": {"blocks": SHALLOW_BODY},
}
PAPER_ALPHAS = (1.0, 0.75, 0.5, 0.25)
PAPER_SIZES = (224, 192, 160, 128)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep: the name of its run folder and the settings of the run."""

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trial that was not planned, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """All trials of a sweep, in their order."""

    data: str
    fingerprint: str  # of the data set
    trials: tuple[Trial, ...]
    left_out: tuple[LeftOut, ...] = ()
    seconds: float | None = None  # expected for all trials, where it was measured
    command: str = ""

    def to_json(self) -> str:
        """Return the content of `sweep.json`."""
        trials = [{"name": trial.name, "settings": json.loads(trial.settings.to_json())} for trial in self.trials]
        values = {
            "format": "mobilenets.sweep",
            "version": 1,
            "command": self.command,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "left_out": [{"name": one.name, "reason": one.reason} for one in self.left_out],
            "trials": trials,
        }
        return json.dumps(values, indent=2) + "\n"

    def save(self, folder: Path) -> None:
        """Write `sweep.json` in `folder`."""
        write_atomic(folder / PLAN, self.to_json())

    @classmethod
    def open(cls, folder: Path) -> "SweepPlan":
        """Return the plan in `folder`; raises `TrainingError` where there is none."""
        path = folder / PLAN
        try:
            kept = read(_Kept, parsed(path.read_text("utf-8"), PLAN), PLAN)
            trials = tuple(_trial(one) for one in kept.trials)
        except FileNotFoundError as exc:
            raise TrainingError(f"{folder}: no sweep there (it has no {PLAN})") from exc
        except (MobilenetsError, ValueError, OSError) as exc:
            raise TrainingError(f"{path}: cannot be read: {exc}") from exc
        return cls(kept.data, kept.fingerprint, trials, kept.left_out, kept.seconds, kept.command)

    def moved(self, data: Path) -> "SweepPlan":
        """Return the plan with its data at `data`."""
        where = str(data.absolute())
        trials = tuple(replace(one, settings=replace(one.settings, data=where)) for one in self.trials)
        return replace(self, data=where, trials=trials)

    def run(self, number: int, folder: Path) -> Run:
        """Return the run of trial `number` in the sweep's `folder`, whether it exists yet or not."""
        trial = self.trials[number]
        return Run(folder / TRIALS / trial.name, trial.settings)


@dataclass(frozen=True, slots=True)
class _KeptTrial:
    name: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The fields of `sweep.json`."""

    data: str
    fingerprint: str
    trials: tuple[_KeptTrial, ...]
    left_out: tuple[LeftOut, ...]
    command: str
    seconds: float | None
    format: Literal["mobilenets.sweep"] = "mobilenets.sweep"
    version: Literal[1] = 1


def _trial(kept: _KeptTrial) -> Trial:
    if Path(kept.name).name != kept.name:
        raise TrainingError(f"trial {kept.name!r} must be a plain folder name")
    return Trial(kept.name, Settings.from_json(json.dumps(kept.settings)))


def is_sweep(path: Path) -> bool:
    """Return whether `path` is the folder of a sweep."""
    return (path / PLAN).is_file()


def grid(
    base: Network, alphas: Iterable[float], sizes: Iterable[tuple[int, int]], variants: Iterable[str]
) -> list[Network]:
    """Return `base` at every alpha with every (height, width) in every variant; no network twice."""
    sizes, variants = list(sizes), list(variants)
    for variant in variants:
        if variant not in VARIANTS:
            raise UsageError(f"variant (={variant!r}) must be one of {', '.join(VARIANTS)}")
    made = [
        base.replace(alpha=alpha, height=height, width=width, **VARIANTS[variant])
        for variant in variants
        for alpha in alphas
        for height, width in sizes
    ]
    return list(dict.fromkeys(made))


def paper_networks(base: Network, sizes: Sequence[int] = PAPER_SIZES) -> list[Network]:
    """Return the paper's 16 networks, its Conv MobileNet and its shallow one (Tables 4 to 7, Figures 4 and 5).

    `sizes` stand in the place of 224, 192, 160 and 128. The thin network of Table 5 is 0.75 at the first size.
    """
    first = [(sizes[0], sizes[0])]
    return [
        *grid(base, PAPER_ALPHAS, [(side, side) for side in sizes], ["plain"]),
        *grid(base, [1.0], first, ["conv", "shallow"]),
    ]

"""`SweepPlan`: the trials of a sweep and their settings, kept in `sweep.json`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..arch.network import SHALLOW_BODY, Network
from ..errors import MobilenetsError, TrainingError, UsageError
from ..files import write_atomic
from ..schema import parsed, read
from ..training.run import Run, Settings

__all__ = [
    "PAPER_ALPHAS",
    "PAPER_SIZES",
    "PLAN",
    "VARIANTS",
    "LeftOut",
    "SweepPlan",
    "Trial",
    "grid",
    "paper_networks",
]

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
    seconds: float | None = None  # expected, where it was measured


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
    rungs: tuple[int, ...] = ()  # epochs after which half of the networks are stopped
    by_cost: bool = True  # whether they are compared by their costs too, see halving.py
    left_out: tuple[LeftOut, ...] = ()
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `sweep.json`."""
        trials = [
            {"name": trial.name, "seconds": trial.seconds, "settings": json.loads(trial.settings.to_json())}
            for trial in self.trials
        ]
        return {
            "format": "mobilenets.sweep",
            "version": 1,
            "command": self.command,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "rungs": self.rungs,
            "by_cost": self.by_cost,
            "left_out": [asdict(one) for one in self.left_out],
            "trials": trials,
        }

    def save(self, folder: Path) -> None:
        """Write `sweep.json` in `folder`."""
        write_atomic(folder / PLAN, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def open(cls, folder: Path) -> "SweepPlan":
        """Return the plan in `folder`; raises `TrainingError` where there is none."""
        path = folder / PLAN
        try:
            kept = read(_Kept, parsed(path.read_text("utf-8"), PLAN), PLAN)
            trials = tuple(_trial(one) for one in kept.trials)
            if not trials:
                raise TrainingError("it has no trial")
        except FileNotFoundError as exc:
            raise TrainingError(f"{folder}: no sweep there (it has no {PLAN})") from exc
        except (MobilenetsError, ValueError, OSError) as exc:
            raise TrainingError(f"{path}: cannot be read: {exc}") from exc
        return cls(
            kept.data, kept.fingerprint, trials, kept.rungs, kept.by_cost, left_out=kept.left_out, command=kept.command
        )

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
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """The fields of `sweep.json`."""

    data: str
    fingerprint: str
    trials: tuple[_KeptTrial, ...]
    left_out: tuple[LeftOut, ...]
    command: str
    rungs: tuple[int, ...]
    by_cost: bool
    format: Literal["mobilenets.sweep"] = "mobilenets.sweep"
    version: Literal[1] = 1


def _trial(kept: _KeptTrial) -> Trial:
    if Path(kept.name).name != kept.name:
        raise TrainingError(f"trial {kept.name!r} must be a plain folder name")
    return Trial(kept.name, Settings.from_json(json.dumps(kept.settings)), kept.seconds)


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


def paper_networks(base: Network, sizes: Sequence[int] = PAPER_SIZES) -> dict[Network, int]:
    """Return the paper's 16 networks, its Conv MobileNet and its shallow one (Tables 4 to 7, Figures 4 and 5), with the
    number of seeds of each: three of those that Tables 4 and 5 compare.

    `sizes` stand in the place of 224, 192, 160 and 128. The thin network of Table 5 is 0.75 at the first size.
    """
    first = [(sizes[0], sizes[0])]
    variants = grid(base, [1.0], first, ["conv", "shallow"])
    compared = {*variants, *grid(base, [1.0, 0.75], first, ["plain"])}
    networks = [*grid(base, PAPER_ALPHAS, [(side, side) for side in sizes], ["plain"]), *variants]
    return {network: 3 if network in compared else 1 for network in networks}

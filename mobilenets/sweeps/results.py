"""The results of a sweep, read from the folders of its runs."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from ..arch.zoo import family_of
from ..costs import cost
from ..costs.peers import PEERS
from ..errors import ModelFileError, TrainingError
from ..files import write_atomic
from ..model import load
from ..schema import parsed, read
from ..training.run import Run, Settings
from .plan import VARIANTS, SweepPlan

__all__ = [
    "FAILED",
    "MEASURED",
    "PEER",
    "RESULTS",
    "Measured",
    "PeerResult",
    "Row",
    "collect",
    "counts",
    "history",
    "is_done",
    "write_results",
]

RESULTS = "results.csv"
MEASURED = "measured.json"  # in a run folder: float and int8 beside each other
PEER = "peer.json"  # in the folder of a peer that is done
FAILED = "failed.txt"  # in a run folder: why the run cannot go on
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PeerResult:
    """How a trained peer does; its folder holds it once the peer is done."""

    split: str
    top1: float
    weights_sha256: str

    def save(self, run: Run) -> None:
        """Write `peer.json` in the folder of `run`."""
        write_atomic(run.path / PEER, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def of(cls, run: Run) -> "PeerResult | None":
        """Return the result of `run`, None where it is not done."""
        return _read(cls, run.path / PEER)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trained network of a sweep costs here, float and int8, one image on one thread, compiled."""

    split: str
    top1: float
    latency: float
    runtime: str
    arena: int | None
    int8_top1: float
    int8_latency: float
    int8_arena: int | None
    agreement: float

    def save(self, run: Run) -> None:
        """Write `measured.json` in the folder of `run`."""
        write_atomic(run.path / MEASURED, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def of(cls, run: Run) -> "Measured | None":
        """Return what was measured of `run`, None where nothing was yet."""
        return _read(cls, run.path / MEASURED)


def _read(kind: type[T], path: Path) -> T | None:
    """Return the JSON in `path`, None where there is no such file."""
    if not path.is_file():
        return None
    try:
        found: T = read(kind, parsed(path.read_text("utf-8"), path.name), path.name)
        return found
    except (ModelFileError, OSError, ValueError) as exc:
        raise TrainingError(f"{path}: cannot be read: {exc}") from exc


def is_done(run: Run) -> bool:
    """Return whether the best weights of `run` are evaluated."""
    return (run.path / PEER).is_file() if run.settings.peer else run.report.is_file()


def counts(settings: Settings) -> tuple[int, int]:
    """Return the mult-adds and parameters of what is trained, at its input size and classes."""
    network = settings.network
    if settings.peer:
        return PEERS[settings.peer].count(network.height, network.width, network.classes)
    costs = cost(network)
    return costs.mult_adds, costs.params


@dataclass(frozen=True, slots=True)
class Row:
    """One trial with its results: a line of `results.csv`. Rates are fractions, times ms, sizes bytes."""

    trial: str
    network: str
    family: str  # as in a network's name; empty: V1
    variant: str  # plain, conv, shallow, or peer: another network, of which alpha is 1
    alpha: float
    height: int
    width: int
    seed: int
    state: str  # done, stopped (by halving), failed, or waiting
    epochs: int
    mult_adds: int
    params: int
    val_top1: float | None = None  # of the weights that are kept; of a trial that is not done, of its best epoch
    top1: float | None = None  # on test, or val where there is no test
    split: str = ""
    seconds: float | None = None  # of training and validation
    latency_ms: float | None = None
    arena: int | None = None
    int8_top1: float | None = None
    int8_latency_ms: float | None = None
    int8_arena: int | None = None
    weights_sha256: str = ""
    note: str = ""  # why it failed

    @property
    def is_peer(self) -> bool:
        """Return whether it is one of the paper's other networks, which are compared in tables alone."""
        return self.variant == "peer"


def collect(plan: SweepPlan, folder: Path) -> list[Row]:
    """Return a row for each trial of `plan` by what lies in `folder`."""
    return [_row(plan.trials[number].name, plan.run(number, folder)) for number in range(len(plan.trials))]


def _row(name: str, run: Run) -> Row:
    settings, network = run.settings, run.settings.network
    (mult_adds, params), epochs = counts(settings), history(run)
    values: dict[str, Any] = {}
    if epochs:
        values["val_top1"] = max(epoch["val_top1"] for epoch in epochs)
        values["seconds"] = sum(epoch["seconds"] for epoch in epochs)
    failed = run.path / FAILED
    if failed.is_file():
        values |= {"state": "failed", "note": failed.read_text("utf-8").strip()}
    elif settings.peer and (found := PeerResult.of(run)):
        values |= {"state": "done", **asdict(found)}
    elif run.finished:
        values |= {"state": "done", **_finished(run)}
    else:
        values["state"] = "stopped" if epochs else "waiting"
    return Row(
        trial=name,
        network=settings.name,
        family=settings.peer or family_of(network) or "",
        variant=_variant(run),
        alpha=network.alpha,
        height=network.height,
        width=network.width,
        seed=run.settings.recipe.seed,
        epochs=len(epochs),
        mult_adds=mult_adds,
        params=params,
        **values,
    )


def _finished(run: Run) -> dict[str, Any]:
    model, measured = load(run.best), Measured.of(run)
    values = {"top1": model.metrics["top1"], "split": model.metrics["split"], "weights_sha256": model.digest()}
    values["val_top1"] = model.metrics["val_top1"]  # its batch-norm statistics are measured anew after the last epoch
    if measured:
        values |= {"latency_ms": measured.latency, "arena": measured.arena, "int8_top1": measured.int8_top1}
        values |= {"int8_latency_ms": measured.int8_latency, "int8_arena": measured.int8_arena}
    return values


def _variant(run: Run) -> str:
    """Return the key in `VARIANTS` of the network of `run`, plain where it is none of them, or peer."""
    network = run.settings.network
    if run.settings.peer:
        return "peer"
    for name, fields_of in VARIANTS.items():
        if fields_of and all(getattr(network, field) == value for field, value in fields_of.items()):
            return name
    return "plain"


def history(run: Run) -> list[dict[str, float]]:
    """Return the rows of the run's `results.csv`, none where there is no file."""
    path = run.path / RESULTS
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError) as exc:
        raise TrainingError(f"{path}: cannot be read: {exc}") from exc


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """Write the sweep's `results.csv`: a line for each trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_atomic(folder / RESULTS, text.getvalue())

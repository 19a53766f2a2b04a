"""The user's own results, read from the metadata of model files that training wrote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..arch.network import Network
from ..errors import MobilenetsError, ModelFileError
from ..schema import parsed, read
from .prior import MeasuredPoint

__all__ = ["is_sweep", "read_runs"]


def read_runs(paths: Iterable[str | Path]) -> list[MeasuredPoint]:
    """Return one point per run folder (its `best.safetensors`), model file or finished trial of a sweep, top-1 in %.

    Raises `ModelFileError` naming the first path without a measured model.
    """
    return [_read_run(run) for path in paths for run in (trials(Path(path)) if is_sweep(path) else [Path(path)])]


def is_sweep(path: str | Path) -> bool:
    """Return whether `path` is the folder of a sweep."""
    return (Path(path) / "sweep.json").is_file()


def trials(sweep: Path) -> list[Path]:
    """Return the run folders of the trials that are finished: those with a report."""
    finished = sorted(report.parent for report in sweep.glob("trials/*/report.html"))
    if not finished:
        raise ModelFileError(f"{sweep}: no trial of this sweep is finished")
    return finished


def _read_run(path: Path) -> MeasuredPoint:
    file = path / "best.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ModelFileError(f"{file}: no such model file; a run folder holds best.safetensors")
    try:
        with safe_open(file, "numpy") as opened:
            metadata = opened.metadata() or {}
        network = Network.from_json(metadata["network"])
        top1 = read(dict[str, Any], parsed(metadata["metrics"], "metrics"), "metrics")["top1"]
    except KeyError as exc:
        raise ModelFileError(f"{file}: its metadata lacks {exc}, which calibration needs") from exc
    except (MobilenetsError, SafetensorError, OSError, ValueError, TypeError) as exc:
        raise ModelFileError(f"{file}: {exc}") from exc
    if not isinstance(top1, int | float) or isinstance(top1, bool) or not 0 <= top1 <= 1:
        raise ModelFileError(f"{file}: metric top1 (={top1!r}) must be a fraction from 0 to 1")
    return MeasuredPoint(network, 100 * top1, str(path))

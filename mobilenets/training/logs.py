"""Logs of runs in TensorBoard, MLflow and Weights & Biases, each behind the extra of its name.

A log hears of the settings at the start, of the figures of each epoch, and of the final figures and files. Where it
writes and as whom is the library's own matter, by its own environment variables.
"""

import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

from ..errors import MissingExtraError, ModelFileError, TrainingError, UsageError
from ..files import write_atomic
from ..progress import Watch
from ..schema import parsed, read
from .run import LOG, TENSORBOARD, Run

__all__ = ["LogName", "Logged", "check_log", "logged", "prepare_log"]

LogName = Literal["tensorboard", "mlflow", "wandb"]


def check_log(name: str) -> None:
    """Raise `UsageError` where there is no such log, and `MissingExtraError` where its library is not installed."""
    if name not in get_args(LogName):
        raise UsageError(f"log (={name!r}) must be one of {', '.join(get_args(LogName))}")
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # a folder of that name, in which wandb keeps its files, is no library
        raise MissingExtraError(f"log (={name}) needs {name}", name)


def prepare_log(name: str) -> None:
    """Make what several runs of a log share, before processes would do so at once: MLflow's database and experiment."""
    if name == "mlflow":
        from mlflow import MlflowClient

        try:
            _experiment(MlflowClient())
        except Exception as exc:  # the library documents no common class
            raise TrainingError(f"log (={name}) cannot be started: {exc}") from exc


class _Log(Protocol):
    """A run in the log of a library. Starting one goes on with the run `key`, or makes one where that is empty."""

    key: str

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Add the figures of an epoch, from 1."""

    def end(self, figures: Mapping[str, float], files: Mapping[str, str]) -> None:
        """Add the final figures and the paths of files."""

    def close(self, failed: bool) -> None:
        """End the run, as failed or as done."""


class _TensorBoard:
    def __init__(self, run: Run, key: str, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.key = TENSORBOARD
        self._writer: Any = SummaryWriter(str(run.path / TENSORBOARD), purge_step=done + 1 if key else None)
        if not key:
            self._writer.add_text("settings", f"```json\n{run.settings.to_json()}```")

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def end(self, figures: Mapping[str, float], files: Mapping[str, str]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(f"final/{name}", value)
        for name, path in files.items():
            self._writer.add_text(name, path)

    def close(self, failed: bool) -> None:
        self._writer.close()


class _MLflow:
    """Into the experiment that MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID names, by default "Default"."""

    def __init__(self, run: Run, key: str, done: int) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient()
        if key:
            self._client.update_run(key, "RUNNING")
            self.key = key
            return
        self.key = self._client.create_run(_experiment(self._client), run_name=run.path.name).info.run_id
        self._client.log_batch(self.key, params=[Param(k, str(v)) for k, v in _flat(run).items()])

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self.key, metrics=[Metric(name, value, now, number) for name, value in figures.items()])

    def end(self, figures: Mapping[str, float], files: Mapping[str, str]) -> None:
        for name, value in figures.items():
            self._client.log_metric(self.key, f"final/{name}", value)
        for name, path in files.items():
            self._client.set_tag(self.key, name, path)

    def close(self, failed: bool) -> None:
        self._client.set_terminated(self.key, "FAILED" if failed else "FINISHED")


def _experiment(client: Any) -> str:
    """Return the id of the experiment, which is made where it does not exist."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if not name:
        return os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


class _Wandb:
    def __init__(self, run: Run, key: str, done: int) -> None:
        import wandb

        self.key = key or secrets.token_hex(4)
        # beside a run that the user's program may have
        self._run: Any = wandb.init(
            id=self.key, name=run.path.name, config=_flat(run), resume="allow", reinit="create_new"
        )

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=number)

    def end(self, figures: Mapping[str, float], files: Mapping[str, str]) -> None:
        self._run.summary.update({f"final/{name}": value for name, value in figures.items()} | dict(files))

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


_LOGS: dict[str, type[_TensorBoard | _MLflow | _Wandb]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _Wandb,
}


class Logged(Watch):
    """Passes progress on to `watch`, and epochs to the log as well: each once, also where a resumed run repeats it.

    A log that fails in the middle of a training is reported, and the training goes on.
    """

    def __init__(self, run: Run, watch: Watch) -> None:
        self._run, self._watch, self._name = run, watch, run.settings.log
        for name in ("downloaded", "decoded", "measured", "note", "step"):
            setattr(self, name, getattr(watch, name))
        check_log(self._name)
        key, self._done = _kept(run)
        try:
            self._log: _Log = _LOGS[self._name](run, key, self._done)
        except Exception as exc:  # the libraries document no common class
            raise TrainingError(f"log (={self._name}) cannot be started: {exc}") from exc
        self._keep()

    def epoch(self, row: dict[str, float]) -> None:
        self._watch.epoch(row)
        number = int(row["epoch"])
        if number > self._done and self._attempt(lambda: self._log.epoch(number, _numbers(row))):
            self._done = number
            self._keep()

    def end(self, figures: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Add the final figures, those of them that are numbers, and the paths of files."""
        self._attempt(lambda: self._log.end(_numbers(figures), files))

    def close(self, failed: bool) -> None:
        """End the run in the log."""
        self._attempt(lambda: self._log.close(failed))

    def _attempt(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception as exc:
            self._watch.note(f"log (={self._name}): {type(exc).__name__}: {exc}")
            return False
        return True

    def _keep(self) -> None:
        write_atomic(self._run.path / LOG, json.dumps({"key": self._log.key, "epoch": self._done}) + "\n")


@contextmanager
def logged(run: Run, watch: Watch) -> Iterator[Logged | None]:
    """Yield the watch that keeps the run's log, None where its settings name none; an error ends the log as failed."""
    if not run.settings.log:
        yield None
        return
    log = Logged(run, watch)
    try:
        yield log
    except BaseException:
        log.close(failed=True)
        raise
    log.close(failed=False)


def _kept(run: Run) -> tuple[str, int]:
    """Return how the library calls the run, and the last epoch that it has: ("", 0) of a new run."""
    try:
        kept = read(dict[str, str | int], parsed((run.path / LOG).read_text("utf-8"), LOG), LOG)
        return str(kept["key"]), int(kept["epoch"])
    except FileNotFoundError:
        return "", 0
    except (OSError, ValueError, KeyError, ModelFileError) as exc:
        raise TrainingError(f"{run.path / LOG}: cannot be read: {exc}") from exc


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures; NaN, of a loss that is not defined, is none."""
    numbers = {name: float(v) for name, v in values.items() if isinstance(v, int | float) and name != "epoch"}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _flat(run: Run) -> dict[str, Any]:
    """Return the settings by dotted names."""
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        """Add a value, or each of those in a dictionary."""
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}.{key}" if name else key, inner)
        else:
            flat[name] = value

    add("", json.loads(run.settings.to_json()))
    return flat

"""The run folder: settings, results.csv, the last and the best model, the checkpoint, the report."""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ..arch.network import Network
from ..costs.peers import PeerName
from ..errors import MobilenetsError, ModelFileError, TrainingError, UsageError
from ..files import remove_left_over, write_atomic
from ..image import Preprocess
from ..model import Model
from ..schema import Between, parsed, read
from ..tasks import Task, task_type
from ..tasks.classify import Classify
from .recipe import Recipe

__all__ = ["Run", "Settings", "taken"]

LABELS, SETTINGS, RESULTS, TEACHER = "labels.txt", "settings.json", "results.csv", "teacher.safetensors"
LOG, TENSORBOARD = "log.json", "tensorboard"  # see logs.py


def taken(path: Path) -> UsageError:
    """Return the error for a run folder that exists."""
    return UsageError(f"run folder {path} exists: choose another --name, or --resume it")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a run was started with, from which it can be started again."""

    data: str
    network: Network
    preprocess: Preprocess
    recipe: Recipe
    command: str = ""
    pretrained: str = ""  # the name of the trained network that the run starts from; its weights are in Run.initial
    task: Task = field(default_factory=Classify)
    # pixels of the short side to which training images are reduced before they are cropped; None: what the network's
    # smallest crop needs
    stored_side: int | None = None
    log: str = ""  # where the run is logged as well, see logs.py
    # the network of another paper that is trained in place of `network`, of which it has the input and the classes
    peer: PeerName | None = None

    @property
    def name(self) -> str:
        """Return the name of what is trained: `0.5-160`, `vgg16-224`."""
        name = self.network.name
        return f"{self.peer}-{name.rpartition('-')[2]}" if self.peer else name

    def to_json(self) -> str:
        """Return the settings as JSON."""
        values = {
            "format": "mobilenets.run",
            "version": 1,
            "command": self.command,
            "data": self.data,
            "network": json.loads(self.network.to_json()),
            "preprocess": self.preprocess.to_dict(),
            "recipe": self.recipe.to_dict(),
            "pretrained": self.pretrained,
            "task": {"name": self.task.name, **self.task.settings()},
            "stored_side": self.stored_side,
            "log": self.log,
            "peer": self.peer,
        }
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Return what `to_json` wrote; raises `ModelFileError` naming the field that is missing or wrong."""
        kept = read(_Kept, parsed(text, "settings"), "settings")
        task = {"name": Classify.name, **kept.task}
        return cls(
            data=kept.data,
            network=Network.from_json(json.dumps(kept.network)),
            preprocess=kept.preprocess,
            recipe=kept.recipe,
            command=kept.command,
            pretrained=kept.pretrained,
            task=read(task_type(str(task.pop("name"))), task, "settings.task"),
            stored_side=kept.stored_side,
            log=kept.log,
            peer=kept.peer,
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """The fields of `settings.json`."""

    data: str
    network: dict[str, Any]
    preprocess: Preprocess
    recipe: Recipe
    command: str
    format: Literal["mobilenets.run"] = "mobilenets.run"
    version: Literal[1] = 1
    pretrained: str = ""
    task: dict[str, Any] = field(default_factory=dict)
    stored_side: Annotated[int, Between(1, 65_536)] | None = None
    log: str = ""
    peer: PeerName | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One folder under `runs/`; no other run overwrites anything in it."""

    path: Path
    settings: Settings

    @classmethod
    def create(cls, path: Path, settings: Settings, labels: tuple[str, ...], unique: bool) -> "Run":
        """Create a new folder at `path`.

        `unique` appends -2, -3, ... where it exists; otherwise that is a `UsageError`.
        """
        number = 1
        while True:
            chosen = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                chosen.mkdir(parents=True)
                break
            except FileExistsError as exc:
                if not unique:
                    raise taken(path) from exc
                number += 1
            except OSError as exc:
                raise UsageError(f"run folder {path} cannot be made: {exc.strerror}") from exc
        run = cls(chosen, settings)
        run.prepare_folder(labels)
        return run

    def prepare_folder(self, labels: tuple[str, ...]) -> None:
        """Make the folder where it does not exist, and write in it what a run starts with."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_left_over()
        write_atomic(self.path / LABELS, "".join(f"{label}\n" for label in labels))
        self.write_settings()

    def discard_if_empty(self) -> None:
        """Remove the folder of a run that failed before its first epoch, so that its name is free again."""
        names = {path.name for path in self.path.iterdir()}
        if names <= {LABELS, SETTINGS, "initial.safetensors", TEACHER, LOG, TENSORBOARD}:
            shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)
            for name in names - {TENSORBOARD}:
                (self.path / name).unlink()
            self.path.rmdir()

    @classmethod
    def open(cls, path: Path) -> "Run":
        """Return the run in `path`; raises `TrainingError` where there is none."""
        try:
            return cls(path, Settings.from_json((path / SETTINGS).read_text("utf-8")))
        except FileNotFoundError as exc:
            raise TrainingError(f"{path}: no run to resume there (it has no settings.json)") from exc
        except (MobilenetsError, ValueError, OSError) as exc:
            raise TrainingError(f"{path / SETTINGS}: cannot be read: {exc}") from exc

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process; raises `TrainingError` where another one holds it.

        The system lets go of it when the process ends, however that happens. Systems and disks without such locks
        hold nothing.
        """
        if sys.platform == "win32":
            yield
            return
        import fcntl

        folder = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise TrainingError(f"{self.path}: another process trains it now") from exc
            except OSError:
                pass  # a disk without locks
            yield
        finally:
            os.close(folder)

    def remove_left_over(self) -> None:
        """Remove the temporary files of a process that was killed as it wrote; nothing else in the folder."""
        results, labels, settings = (self.path / name for name in (RESULTS, LABELS, SETTINGS))
        models = (self.checkpoint, self.initial, self.last, self.best, self.integers, self.weights, self.path / TEACHER)
        remove_left_over((results, labels, settings, self.path / LOG, self.activations, self.report, *models))

    def write_settings(self) -> None:
        """Write `settings.json`."""
        write_atomic(self.path / SETTINGS, self.settings.to_json())

    def moved(self, data: Path) -> "Run":
        """Return the run with its data at `data`; `write_settings` keeps that."""
        return replace(self, settings=replace(self.settings, data=str(data.absolute())))

    def extended(self, epochs: int) -> "Run":
        """Return the run with `epochs` to do in all; `UsageError` where more are done or it has no epochs to add."""
        recipe = self.settings.recipe
        if recipe.freeze or recipe.quantize:
            raise UsageError(f"{self.path}: a run with {'freeze' if recipe.freeze else 'quantize'} cannot be extended")
        if epochs < self.epochs_done:
            raise UsageError(f"epochs (={epochs}): {self.path} has done {self.epochs_done} already")
        return replace(self, settings=replace(self.settings, recipe=replace(recipe, epochs=epochs)))

    @property
    def epochs_done(self) -> int:
        """Return the number of rows of `results.csv`, 0 without the file."""
        path = self.path / RESULTS
        return max(0, len(path.read_text("utf-8", "replace").splitlines()) - 1) if path.is_file() else 0

    @property
    def finished(self) -> bool:
        """Return whether all epochs are done and the report is written."""
        recipe = self.settings.recipe
        return self.report.is_file() and (recipe.freeze or self.epochs_done >= (recipe.epochs or 0))

    @property
    def initial(self) -> Path:
        """Return the path of the trained network that fine-tuning starts from; a run from scratch has none."""
        return self.path / "initial.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Return the path of the checkpoint."""
        return self.path / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """Return the path of the best float model."""
        return self.path / "best.safetensors"

    @property
    def integers(self) -> Path:
        """Return the path of the best int8 model, of a run with quantisation-aware training."""
        return self.path / "best.int8.safetensors"

    @property
    def activations(self) -> Path:
        """Return the path of the quantisation parameters, which exists from the first epoch of quantisation-aware
        training.
        """
        return self.path / "activations.json"

    @property
    def last(self) -> Path:
        """Return the path of the last float model."""
        return self.path / "last.safetensors"

    @property
    def weights(self) -> Path:
        """Return the path of the best weights of a peer, which no model file holds."""
        return self.path / "weights.safetensors"

    @property
    def go_on(self) -> str:
        """Return the command, without the program's name, that goes on with the run."""
        return f"sweep --resume {self.path.parent.parent}" if self.settings.peer else f"train --resume {self.path}"

    @property
    def report(self) -> Path:
        """Return the path of the report."""
        return self.path / "report.html"

    def write_results(self, history: list[dict[str, float]]) -> None:
        """Write `results.csv`, one row per epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)
        write_atomic(self.path / RESULTS, text.getvalue())

    def model(
        self,
        weights: Mapping[str, np.ndarray],
        labels: tuple[str, ...],
        data: Mapping[str, Any],
        score: float,
        head_config: Mapping[str, Any] | None = None,
    ) -> Model:
        """Return the model of this run with these weights; raises `TrainingError` where they are not finite."""
        settings, name = self.settings, self.settings.task.score
        metrics = {"split": "val", "images": data["val"], name: score, f"val_{name}": score}
        try:
            return Model(
                settings.network,
                weights,
                settings.preprocess,
                labels,
                settings.task.name,
                dict(head_config or {}),
                metrics,
                dict(data),
            )
        except ModelFileError as exc:  # raised for weights that are not finite
            raise TrainingError(f"training diverged ({exc}): lower --lr (now {settings.recipe.lr:g})") from exc

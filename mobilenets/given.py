"""Arguments of the Python functions in the forms that the command line takes: names, paths, plain dictionaries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from .arch.network import FORMAT_VERSION, Network
from .arch.zoo import named
from .errors import ModelFileError, UsageError
from .model import Model
from .progress import Watch
from .schema import read
from .tasks import Task, task_type
from .tasks.classify import Classify
from .train.recipe import Recipe

__all__ = ["network_of", "pretrained_of", "recipe_of", "task_of"]

_Read = TypeVar("_Read")


def network_of(value: "Network | str | Mapping[str, Any] | None") -> Network | None:
    """Return the network that a name such as 0.25-96 or a dictionary of `Network`'s fields means.

    Raises `NetworkError` for a value that no network can have, `UsageError` for another type.
    """
    if value is None or isinstance(value, Network):
        return value
    if isinstance(value, str):
        return named(value)
    if isinstance(value, Mapping):
        return Network.from_json(json.dumps({"format": "mobilenets.network", "version": FORMAT_VERSION, **value}))
    raise _wrong("network", value, "a Network, a name such as '0.25-96' or a dictionary of its fields")


def recipe_of(value: "Recipe | Mapping[str, Any] | None") -> Recipe:
    """Return the recipe that a dictionary of `Recipe`'s fields means; `UsageError` for another value."""
    if value is None or isinstance(value, Recipe):
        return value or Recipe()
    if isinstance(value, Mapping):
        return _read(Recipe, value, "recipe")
    raise _wrong("recipe", value, "a Recipe or a dictionary of its fields")


def task_of(value: "Task | str | Mapping[str, Any] | None") -> Task:
    """Return the task of that name, or that a dictionary of its `name` and settings means; None: classification.

    Raises `UsageError` for a task or a setting that there is not.
    """
    if value is None or isinstance(value, Task):
        return value or Classify()
    if isinstance(value, str):
        return task_type(value)()
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        settings = {name: setting for name, setting in value.items() if name != "name"}
        return _read(task_type(value["name"]), settings, "task")
    raise _wrong("task", value, "a Task, a name such as 'detect' or a dictionary with its name and settings")


def pretrained_of(value: "Model | str | Path | None", network: Network | None, watch: Watch) -> Model | None:
    """Return the trained network that a path or a published name means, near `network`'s alpha and size."""
    if value is None or isinstance(value, Model):
        return value
    if isinstance(value, str | Path):
        from .weights import open_pretrained

        alpha, height = (network.alpha, network.height) if network else (None, None)
        imported = open_pretrained(
            str(value),
            alpha,
            height,
            progress=watch.downloaded,
            note=watch.note,
            body_only=True,
            size=(network.height, network.width) if network else None,
        )
        imported.tell(watch.note)
        return imported.model
    raise _wrong("pretrained", value, "a Model, a file, a run folder or a name such as 'imagenet'")


def _read(kind: type[_Read], value: Mapping[str, Any], name: str) -> _Read:
    try:
        made: _Read = read(kind, dict(value), name)
        return made
    except ModelFileError as exc:
        raise UsageError(str(exc)) from exc


def _wrong(name: str, value: object, rule: str) -> UsageError:
    return UsageError(f"{name} (={value!r:.80}) must be {rule}")

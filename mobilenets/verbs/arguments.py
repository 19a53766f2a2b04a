"""Arguments of the verbs in the forms that the command line takes: names, paths and plain dictionaries."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..arch.network import BODY, FORMAT_VERSION, Network
from ..arch.zoo import DEFAULT, family_of, named
from ..designs import Budget
from ..designs.budget import parse_duration
from ..errors import BudgetError, ModelFileError, UsageError
from ..image import Preprocess
from ..model import Model
from ..progress import Watch
from ..schema import read
from ..tasks import Task, task_type
from ..tasks.classify import Classify
from ..training.recipe import Recipe

if TYPE_CHECKING:
    from ..weights import Given

__all__ = [
    "FROM_SCRATCH",
    "AnyBudget",
    "AnyNetwork",
    "AnyPreprocess",
    "AnyPretrained",
    "AnyRecipe",
    "AnyTask",
    "budget_of",
    "check_pretrained",
    "families_of",
    "network_of",
    "preprocess_of",
    "recipe_of",
    "seconds_of",
    "start_of",
    "task_of",
]

FROM_SCRATCH = "none"

AnyNetwork = Network | str | Mapping[str, Any] | None
AnyBudget = Budget | Mapping[str, Any] | None
AnyRecipe = Recipe | Mapping[str, Any] | None
AnyTask = Task | str | Mapping[str, Any] | None
AnyPreprocess = Preprocess | Mapping[str, Any] | None
AnyPretrained = Model | str | Path | None

_Read = TypeVar("_Read")


def network_of(value: AnyNetwork) -> Network | None:
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


def budget_of(value: AnyBudget) -> Budget | None:
    """Return the budget that a dictionary of `Budget`'s fields means; `UsageError` for another value."""
    if value is None or isinstance(value, Budget):
        return value
    if isinstance(value, Mapping):
        _check_fields(Budget, value, "budget")
        return Budget(**value)
    raise _wrong("budget", value, "a Budget or a dictionary of its fields")


def recipe_of(value: AnyRecipe) -> Recipe:
    """Return the recipe that a dictionary of `Recipe`'s fields means; `UsageError` for another value."""
    if value is None or isinstance(value, Recipe):
        return value or Recipe()
    if isinstance(value, Mapping):
        return _read(Recipe, value, "recipe")
    raise _wrong("recipe", value, "a Recipe or a dictionary of its fields")


def task_of(value: AnyTask) -> Task:
    """Return the task of that name, or that a dictionary of its `name` and settings means; None: classification.

    Raises `UsageError` for an unknown task or setting.
    """
    if value is None or isinstance(value, Task):
        return value or Classify()
    if isinstance(value, str):
        return task_type(value)()
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        settings = {name: setting for name, setting in value.items() if name != "name"}
        return _read(task_type(value["name"]), settings, "task")
    raise _wrong("task", value, "a Task, a name such as 'detect' or a dictionary with its name and settings")


def preprocess_of(value: AnyPreprocess, network: Network, start: Preprocess | None) -> Preprocess:
    """Return the preprocessing for `network`: `value`, or where it is a dictionary what it changes.

    What it does not change is taken from `start`, the preprocessing of a trained network.
    """
    if isinstance(value, Preprocess):
        return value
    if value is not None and not isinstance(value, Mapping):
        raise _wrong("preprocess", value, "a Preprocess or a dictionary of its fields")
    _check_fields(Preprocess, value or {}, "preprocess")
    size: dict[str, Any] = {"height": network.height, "width": network.width, "channels": network.channels}
    base = replace(start, **size) if start else Preprocess(**size)
    return replace(base, **(value or {}))


def check_pretrained(value: AnyPretrained) -> None:
    """Raise `UsageError` or `ModelFileError` where `start_of` would, as far as that is known without reading a file."""
    if isinstance(value, str | Path):
        from ..weights import check_pretrained as check

        check(str(value))
    elif value is not None and not isinstance(value, Model):
        raise _wrong("pretrained", value, "a Model, a file, a run folder or a name such as 'imagenet'")


def start_of(
    value: Model | str | Path, network: AnyNetwork, given: "Given | None", watch: Watch
) -> tuple[Model, Network]:
    """Return the trained network that a path or a published name means, and the network that is made of it.

    Of `network` only alpha, height and width count; where it does not say one, the trained network's own is kept.
    `given`: what the file does not say of itself. Raises `UsageError` for a network of another family.
    """
    if isinstance(network, str):
        network = named(network)
    stated = network if isinstance(network, Mapping) else {} if network is None else _fields_of(network)
    wanted = {name: stated[name] for name in ("alpha", "height", "width") if name in stated}
    if not isinstance(value, Model):
        if value == "imagenet":
            wanted = {"height": DEFAULT.height, "width": DEFAULT.width} | wanted
        family = family_of(network) if isinstance(network, Network) else ""
        value = _opened(str(value), wanted, given, watch, family or "")
    if isinstance(network, Network) and network.blocks not in (BODY, value.network.blocks):
        raise UsageError(f"network {network.name}: the trained network, {value.name}, has other blocks")
    return value, value.network.replace(**wanted)


def _fields_of(network: Network) -> dict[str, Any]:
    """Return the fields of `network` by name."""
    return {field.name: getattr(network, field.name) for field in fields(network)}


def families_of(value: Model | str | Path) -> tuple[str, ...] | None:
    """Return the families of a search that a trained network is of, those of all published ones for `imagenet`; None
    for a file, which is not opened.
    """
    from ..weights import CATALOGUE

    if isinstance(value, Model):
        found = {family_of(value.network)}
    else:
        name = str(value).removeprefix("imagenet:")
        found = {published.family for published in CATALOGUE if name in ("imagenet", published.name)}
    return tuple(family or "v1-plain" for family in sorted(found, key=str)) or None


def _opened(name: str, wanted: Mapping[str, Any], given: "Given | None", watch: Watch, family: str) -> Model:
    from ..weights import open_pretrained

    height = wanted.get("height", DEFAULT.height)
    imported = open_pretrained(
        name,
        wanted.get("alpha", DEFAULT.alpha),
        height,
        given,
        progress=watch.downloaded,
        note=watch.note,
        body_only=True,
        size=(height, wanted.get("width", height)) if "height" in wanted and name != "imagenet" else None,
        family=family,
    )
    model = imported.model
    for setting in ("activation", "padding"):
        asked, has = getattr(given, setting, None), getattr(model.network, setting)
        if asked not in (None, has):
            raise UsageError(f"{setting} (={asked}): the trained network has {has}")
    source = model.data.get("imported", {})
    watch.note(f"pretrained: {source.get('published') or name} ({model.name})")
    imported.tell(watch.note)
    return model


def _check_fields(kind: type, value: Mapping[str, Any], name: str) -> None:
    known = [field.name for field in fields(kind)]
    if unknown := [key for key in value if key not in known]:
        raise UsageError(f"{name} has the unknown field {unknown[0]!r}: it has {', '.join(known)}")


def _read(kind: type[_Read], value: Mapping[str, Any], name: str) -> _Read:
    try:
        made: _Read = read(kind, dict(value), name)
        return made
    except ModelFileError as exc:
        raise UsageError(str(exc)) from exc


def _wrong(name: str, value: object, rule: str) -> UsageError:
    return UsageError(f"{name} (={value!r:.80}) must be {rule}")


def seconds_of(value: float | str, name: str) -> float:
    """Return the seconds of the argument `name`: a number, or a time such as "10s" or "2h"; "0s" is 0.

    Raises `BudgetError` for text that is no time.
    """
    if not isinstance(value, str):
        return value
    try:
        return 0.0 if value in ("0", "0s") else parse_duration(value)
    except BudgetError as exc:
        raise BudgetError(f"{name} (={value!r}){str(exc).removeprefix(repr(value))}") from exc

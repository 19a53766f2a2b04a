"""`--task` and the flags of every task, which are the fields of the classes in `tasks`."""

from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, get_origin, get_type_hints

from cyclopts import Parameter

from ..errors import UsageError
from ..tasks import TASKS, Task, task_type
from .options import TASK

__all__ = ["TaskFlags", "task_of"]


def _flags() -> type:
    """Return a dataclass of all settings of all tasks, None where not given. Tasks that share a name share the flag."""
    told: dict[str, dict[str, list[str]]] = {}  # setting -> text -> the tasks of which it is said
    types: dict[str, Any] = {}
    for task in TASKS:
        kind = task_type(task)
        hints = get_type_hints(kind, include_extras=True)
        for setting in fields(kind):
            types[setting.name], text = hints[setting.name].__origin__, hints[setting.name].__metadata__[0]
            told.setdefault(setting.name, {}).setdefault(text, []).append(task)
    columns = [
        (name, Annotated[types[name] | None, _parameter(types[name], texts)], field(default=None))
        for name, texts in told.items()
    ]
    # cyclopts takes a class of the module `types`, where make_dataclass would put it, for one of Python's own
    return make_dataclass("TaskFlags", columns, frozen=True, namespace={"__module__": __name__})


def _parameter(kind: Any, texts: dict[str, list[str]]) -> Parameter:
    """Return the help of a flag; a tuple takes all numbers that follow the flag."""
    text = " ".join(f"{', '.join(tasks)}: {text}" for text, tasks in texts.items())
    return (
        Parameter(help=text, consume_multiple=True, negative=()) if get_origin(kind) is tuple else Parameter(help=text)
    )


TaskFlags = Parameter(name="*", group=TASK)(_flags())


def task_of(name: str, flags: Any) -> Task:
    """Return the task with the settings that were given; `UsageError` for one that it does not have."""
    kind = task_type(name)
    known = {setting.name for setting in fields(kind)}
    given = {name: value for name, value in vars(flags).items() if value is not None}
    for setting in given:
        if setting not in known:
            raise UsageError(f"--{setting.replace('_', '-')} is no setting of the task {name}")
    return kind(**given)

"""Define the tasks, one file each. A new task is a file with a subclass of `Task` and a row of TASKS."""

from importlib import import_module

from ..errors import UsageError
from .task import Task

__all__ = ["TASKS", "Task", "task_type"]

TASKS = {
    "attributes": "Attributes",
    "classify": "Classify",
    "embed": "Embed",
    "detect": "Detect",
    "geolocate": "Geolocate",
}


def task_type(name: str) -> type[Task]:
    """Return the class of a task; raise `UsageError` for an unknown name."""
    if name not in TASKS:
        raise UsageError(f"task {name!r} must be one of {', '.join(TASKS)}")
    chosen: type[Task] = getattr(import_module(f"{__package__}.{name}"), TASKS[name])
    return chosen

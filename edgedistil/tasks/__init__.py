"""Tasks, one file each. A new one is a file here and a line in `TASKS`."""

from __future__ import annotations

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.tasks.base import Task
from edgedistil.tasks.text_classification import TextClassification

TASKS: dict[str, Task] = {task.name: task for task in (TextClassification(),)}


def get_task(name: str) -> Task:
    """Returns the task that a recipe or a manifest names.

    Raises:
        UsageError: When there is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"unknown task '{name}'", cure=did_you_mean(name, TASKS))
    return TASKS[name]


__all__ = ["TASKS", "Task", "get_task"]

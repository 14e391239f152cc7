"""Tasks, one file each. A new one is a file here and a line in `TASKS`."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.tasks.base import Task, all_scores, pair_column, score
from edgedistil.tasks.pair_classification import PairClassification
from edgedistil.tasks.question_answering import QuestionAnswering
from edgedistil.tasks.regression import Regression
from edgedistil.tasks.spans import has_begins
from edgedistil.tasks.text_classification import TextClassification
from edgedistil.tasks.token_classification import ENTITIES, TokenClassification

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        TextClassification(),
        PairClassification(),
        Regression(),
        TokenClassification(),
        QuestionAnswering(),
    )
}


def get_task(name: str, labels: Sequence[str] = ()) -> Task:
    """Returns the task that a recipe or a manifest names.

    Args:
        name: The task's name.
        labels: The names of the model's outputs, where they are known: tags that mark where an entity begins make
            entity F1 the headline of token classification. All else is the same without them.

    Raises:
        UsageError: When there is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"unknown task '{name}'", cure=did_you_mean(name, TASKS))
    if name == TokenClassification.name and has_begins(labels):
        return TokenClassification(ENTITIES)
    return TASKS[name]


__all__ = ["TASKS", "Task", "all_scores", "get_task", "pair_column", "score"]

"""Which head a task's model has, and whether its inputs have two texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.recipe.schema import Recipe
from edgedistil.tasks import get_task, pair_column
from edgedistil.tokeniser import read_tokeniser

_HEADS = {
    "class": ("sequence", "classification"),
    "value": ("sequence", "regression"),
    "tags": ("token", "classification"),
    "span": ("span", "classification"),
}
_SEPARATORS = ("[SEP]", "</s>")


@dataclass(frozen=True)
class Head:
    """What a task asks of a model.

    Attributes:
        name: `sequence`, `token` or `span`.
        problem: `classification` or `regression`.
        separator_token_id: Between two texts, from which a model with token types derives them; None for one text.
        joined_layers: Last layers that a token head reads; None leaves it to the checkpoint.
    """

    name: str
    problem: str
    separator_token_id: int | None = None
    joined_layers: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns the keywords with which a checkpoint is opened."""
        return {"head": self.name, **{name: value for name, value in vars(self).items() if name != "name"}}


def head_of(recipe: Recipe, tokeniser_folder: Path) -> Head:
    """Returns the head of a recipe's task.

    Args:
        recipe: The checked recipe.
        tokeniser_folder: Folder with the teacher's `tokenizer.json`.
    """
    task = get_task(recipe.task)
    name, problem = _HEADS[task.kind]
    two_texts = name == "span" or pair_column(task, recipe.examples) is not None
    joined = recipe.joined_layers if name == "token" and recipe.teacher.fine_tune else None
    return Head(name, problem, _separator(tokeniser_folder) if two_texts else None, joined)


def _separator(folder: Path) -> int | None:
    tokeniser = read_tokeniser(folder)
    found = (tokeniser.token_to_id(token) for token in _SEPARATORS)
    return next((number for number in found if number is not None), None)

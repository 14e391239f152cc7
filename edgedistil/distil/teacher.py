"""The teacher: loaded where it is already fine-tuned, else with a head to be trained on the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from edgedistil.checkpoint import read_config
from edgedistil.errors import UsageError
from edgedistil.models.checkpoint import read_weights
from edgedistil.models.convert import from_checkpoint, head_of, problem_of
from edgedistil.models.modelling import EdgeBertHeadModel

_UNNAMED = {"LABEL_0", "LABEL_1"}
_CALLED = {
    "sequence": "classifies texts",
    "token": "classifies tokens",
    "span": "answers questions",
    "masked-lm": "fills in masked words",
    "regression": "gives a text a value",
}
_CURE = "add teacher.fine_tune to the recipe, or name a checkpoint fine-tuned for this task"


def open_teacher(
    folder: Path,
    labels: Sequence[str] | None,
    *,
    fine_tuned: bool,
    seed: int,
    head: str = "sequence",
    problem: str = "classification",
    separator_token_id: int | None = None,
    joined_layers: int | None = None,
) -> EdgeBertHeadModel:
    """Returns the teacher with this task's head and labels.

    Args:
        folder: A `bert` or `distilbert` checkpoint, or one of ours.
        labels: Names of the outputs, in the order of their numbers; None for masked words.
        fine_tuned: True when the checkpoint is to be used as it is; its task and labels must then be the data's. A
            teacher that fills in masked words may lack that head: `config.drawn_head` then says so.
        seed: Seed of whatever is drawn fresh (a head that the checkpoint has not got).
        head: A key of `MODELS`.
        problem: Of the sequence head: `classification` or `regression`.
        separator_token_id: Where a row may be a pair of texts: the token that ends each, from which a model with
            token types derives them.
        joined_layers: Last layers that a token head reads; the checkpoint's own, or 1, by default.

    Raises:
        UsageError: When a checkpoint that should be fine-tuned has no head, another task's, or other labels.
    """
    if fine_tuned and head != "masked-lm":
        _check_task(folder, head, problem)
        _check_joined(folder, joined_layers)
        if head != "span" and problem != "regression" and labels is not None:
            _check_labels(folder, labels)
    torch.manual_seed(seed)
    return from_checkpoint(folder, labels, head, problem, separator_token_id, joined_layers)


def _check_task(folder: Path, head: str, problem: str) -> None:
    theirs, weights = read_config(folder), read_weights(folder)
    stated = head_of(theirs)
    if not any(name in weights for name in ("classifier.weight", "qa_outputs.weight")) and stated != "masked-lm":
        raise UsageError(
            "the teacher has no classifier",
            where=str(folder),
            cure="add teacher.fine_tune to the recipe, or name a fine-tuned checkpoint",
        )
    stated = stated or ("span" if "qa_outputs.weight" in weights else head)
    found = "regression" if stated == "sequence" and problem_of(theirs) == "regression" else stated
    wanted = "regression" if problem == "regression" else head
    if found != wanted:
        raise UsageError(
            f"the teacher is a model that {_CALLED[found]}, and the task needs one that {_CALLED[wanted]}",
            where=str(folder),
            cure=_CURE,
        )


def _check_joined(folder: Path, joined_layers: int | None) -> None:
    theirs = int(read_config(folder).get("joined_layers", 1))
    if joined_layers not in (None, theirs):
        raise UsageError(
            f"the teacher's head reads {theirs} layers, the recipe's {joined_layers}", where=str(folder), cure=_CURE
        )


def _check_labels(folder: Path, labels: Sequence[str]) -> None:
    named = read_config(folder).get("id2label") or {}
    theirs = [named[key] for key in sorted(named, key=int)]
    if not theirs or set(theirs) >= _UNNAMED:
        # transformers writes LABEL_0, LABEL_1... or nothing where nobody named them: only their number can be checked.
        count = len(read_weights(folder)["classifier.weight"])
        theirs = list(labels) if count == len(labels) else [f"LABEL_{number}" for number in range(count)]
    if theirs != list(labels):
        raise UsageError(
            f"the teacher's labels are {theirs}, the data's {list(labels)}",
            where=str(folder),
            cure="name the labels in the teacher's order: data.labels",
        )

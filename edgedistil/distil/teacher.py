"""The teacher: loaded where it is already fine-tuned, else fine-tuned on the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from edgedistil.errors import UsageError
from edgedistil.models.checkpoint import read_config, read_weights
from edgedistil.models.convert import from_checkpoint
from edgedistil.models.modelling import EdgeBertForSequenceClassification

_UNNAMED = {"LABEL_0", "LABEL_1"}


def open_teacher(
    folder: Path, labels: Sequence[str], *, fine_tuned: bool, seed: int
) -> EdgeBertForSequenceClassification:
    """Returns the teacher with this task's labels.

    Args:
        folder: A `bert` or `distilbert` checkpoint.
        labels: Label names of the data, in the order of their numbers.
        fine_tuned: True when the checkpoint is to be used as it is; its labels must then be the data's.
        seed: Seed of whatever is drawn fresh (a classifier that the checkpoint has not got).

    Raises:
        UsageError: When a checkpoint that should be fine-tuned has no classifier, or other labels.
    """
    if fine_tuned:
        _check_fine_tuned(folder, labels)
    torch.manual_seed(seed)
    return from_checkpoint(folder, labels)


def _check_fine_tuned(folder: Path, labels: Sequence[str]) -> None:
    where = str(folder)
    classifier = read_weights(folder).get("classifier.weight")
    if classifier is None:
        raise UsageError(
            "the teacher has no classifier",
            where=where,
            cure="add teacher.fine_tune to the recipe, or name a fine-tuned checkpoint",
        )
    named = read_config(folder).get("id2label") or {}
    theirs = [named[key] for key in sorted(named, key=int)]
    if not theirs or set(theirs) >= _UNNAMED:
        # transformers writes LABEL_0, LABEL_1... or nothing where nobody named them: only their number can be checked.
        count = len(classifier)
        theirs = list(labels) if count == len(labels) else [f"LABEL_{number}" for number in range(count)]
    if theirs != list(labels):
        raise UsageError(
            f"the teacher's labels are {theirs}, the data's {list(labels)}",
            where=where,
            cure="name the labels in the teacher's order: data.labels",
        )

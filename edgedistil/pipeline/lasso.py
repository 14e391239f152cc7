"""The training that group lasso's score looks at: the true labels and the penalty, in the one training loop."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgedistil.distil.penalty import PenalisedObjective
from edgedistil.distil.trainer import train
from edgedistil.models import EdgeBertHeadModel
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.training import Splits, checkpoint_seconds
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.group_lasso import GroupLasso
from edgedistil.recipe.schema import GroupLassoTraining


def train_under_lasso(
    student: EdgeBertHeadModel,
    splits: Splits,
    settings: GroupLassoTraining,
    block: int,
    seed: int,
    context: StageContext,
) -> dict[str, Any]:
    """Trains a student in place; returns the run's record.

    Args:
        student: Ends with the last step's weights.
        splits: The data stage's results.
        settings: The recipe's `prune.lasso`.
        block: FFN neurons that the penalty takes as one.
        seed: Of order and dropout.
        context: The stage's folders.
    """
    lasso = GroupLasso(student, sublayers_of(student.config, block), settings.strength)
    result = train(
        student,
        splits.training(splits.sets["train"]),
        PenalisedObjective({"hard_labels": 1.0}, penalty=lasso, every=settings.reweight_every),
        settings,
        context.scratch / "lasso",
        seed=seed,
        description="training under group lasso",
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    record = asdict(result)
    record["training_seconds"] = round(record.pop("seconds"), 2)
    record["best_dev_score"] = record.pop("dev_score")
    return record

"""What the training stages share: opened splits, fine-tuning, following a teacher, scores."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.prepare import PreparedData
from edgedistil.data.tokens import open_tokens
from edgedistil.distil.evaluate import accuracy, predict_logits
from edgedistil.distil.objective import Objective
from edgedistil.distil.targets import TeacherTargets
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.errors import UsageError
from edgedistil.layers import mapped_states
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.progress import Progress
from edgedistil.recipe.schema import Distil, FineTune


@dataclass(frozen=True)
class Splits:
    """The data stage's results, opened."""

    labels: list[str]
    sets: dict[str, EvaluationSet]

    @property
    def training(self) -> TrainingSet:
        """Returns what a run learns from and is judged by."""
        return TrainingSet(self.sets["train"], self.sets["dev"])


def load_splits(folder: Path) -> Splits:
    """Opens a finished data stage."""
    prepared = PreparedData.load(folder)
    return Splits(prepared.labels, {name: open_tokens(folder / name) for name in prepared.counts})


def scores(model: EdgeBertForSequenceClassification, splits: Splits, progress: Progress) -> dict[str, Any]:
    """Returns the fp32 model's accuracy on every split that judges."""
    found = {}
    for name in ("dev", "test"):
        if name in splits.sets:
            tokens = splits.sets[name]
            found[f"{name}_accuracy"] = accuracy(
                predict_logits(model, tokens, progress=progress), np.asarray(tokens.labels)
            )
    return found


def fine_tune(
    model: EdgeBertForSequenceClassification, splits: Splits, settings: FineTune, seed: int, context: StageContext
) -> dict[str, Any]:
    """Fine-tunes a model in place on the true labels; returns the run's record."""
    result = train(
        model,
        splits.training,
        Objective({"hard_labels": 1.0}),
        settings,
        context.scratch / "fine-tune",
        seed=seed,
        description="fine-tuning",
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    return _record(result)


def follow(
    student: EdgeBertForSequenceClassification,
    splits: Splits,
    settings: Distil,
    build: Build,
    context: StageContext,
    description: str,
) -> dict[str, Any]:
    """Trains a student in place to follow the teacher's cached outputs; returns the run's record."""
    targets = TeacherTargets.load(context.inputs["targets"], splits.sets["train"])
    states, _ = mapped_states(build.teacher_layers, build.recipe.student.layers)
    objective = Objective(settings.losses.model_dump(), settings.temperature, targets, states)
    # Frozen for this run alone: what is saved, pruned or trained again is an ordinary model.
    student.encoder.embeddings.requires_grad_(not settings.freeze_embeddings)
    result = train(
        student,
        splits.training,
        objective,
        settings,
        context.scratch / "train",
        seed=build.recipe.seed,
        description=description,
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    student.encoder.embeddings.requires_grad_(True)
    return _record(result)


def checkpoint_seconds() -> float:
    """Returns the time between checkpoints: EDGEDISTIL_CHECKPOINT_SECONDS, else half a minute.

    Raises:
        UsageError: When the variable is no number of 0 or more.
    """
    named = os.environ.get("EDGEDISTIL_CHECKPOINT_SECONDS", "30")
    try:
        seconds = float(named)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageError(f"{named!r} is not a number of seconds", where="EDGEDISTIL_CHECKPOINT_SECONDS")
    return seconds


def _record(result: TrainingResult) -> dict[str, Any]:
    record = asdict(result)
    record["training_seconds"] = round(record.pop("seconds"), 2)
    record["best_dev_accuracy"] = record.pop("dev_accuracy")
    return record

"""What the training stages share: opened splits, fine-tuning, following a teacher, scores."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.prepare import PreparedData
from edgedistil.data.tokens import open_tokens
from edgedistil.distil.distil import distil
from edgedistil.distil.objective import Objective
from edgedistil.distil.rows import JoinedTokens, TokenRows
from edgedistil.distil.score import score_model
from edgedistil.distil.targets import open_outputs
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertHeadModel, load_model
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.progress import Progress
from edgedistil.recipe.schema import Distil, FineTune
from edgedistil.tasks import get_task
from edgedistil.tasks.answers import Answers


@dataclass(frozen=True)
class Splits:
    """The data stage's results, opened.

    Attributes:
        task: Name of the task.
        labels: Names of the model's outputs, in order.
        sets: Token sets by split.
        answers: Of the judging splits, for tasks whose answer is a piece of the text.
        unlabelled: More text that the teacher is to label; None without.
    """

    task: str
    labels: list[str]
    sets: dict[str, EvaluationSet]
    answers: dict[str, Answers]
    unlabelled: EvaluationSet | None = None

    @property
    def rows(self) -> TokenRows:
        """Returns what a student learns from: the training rows, and the unlabelled ones after them."""
        train = self.sets["train"]
        return JoinedTokens([train, self.unlabelled]) if self.unlabelled else train

    def training(self, rows: TokenRows) -> TrainingSet:
        """Returns rows to learn from, with the dev split that judges."""
        return TrainingSet(rows, self.sets["dev"], self.task, tuple(self.labels), self.answers.get("dev"))


def load_splits(folder: Path, task: str, unlabelled: Path | None = None) -> Splits:
    """Opens a finished data stage, and that of the unlabelled text where there is one."""
    prepared = PreparedData.load(folder)
    answers = {name: folder / name / "answers.jsonl" for name in prepared.counts}
    return Splits(
        task,
        prepared.labels,
        {name: open_tokens(folder / name) for name in prepared.counts},
        {name: Answers.load(path) for name, path in answers.items() if path.is_file()},
        open_tokens(unlabelled / "tokens") if unlabelled else None,
    )


def scores(model: EdgeBertHeadModel, splits: Splits, progress: Progress) -> dict[str, Any]:
    """Returns the fp32 model's scores on every split that judges: `dev_accuracy`, `test_pearson`..."""
    task = get_task(splits.task, splits.labels)
    found: dict[str, Any] = {"metric": slug(task.metric)}
    for split in ("dev", "test"):
        if split in splits.sets:
            tokens, answers = splits.sets[split], splits.answers.get(split)
            made = score_model(model, tokens, task, splits.labels, answers, progress)
            found |= {f"{split}_{slug(name)}": value for name, value in made.items()}
    return found


def slug(metric: str) -> str:
    """Returns a metric's name as a key: `char F1` is `char_f1`."""
    return metric.lower().replace(" ", "_")


def fine_tune(
    model: EdgeBertHeadModel, splits: Splits, settings: FineTune, seed: int, context: StageContext
) -> dict[str, Any]:
    """Fine-tunes a model in place on the true labels; returns the run's record."""
    result = train(
        model,
        splits.training(splits.sets["train"]),
        Objective({"hard_labels": 1.0}),
        settings,
        context.scratch / "fine-tune",
        seed=seed,
        description="fine-tuning",
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    return training_record(result)


def follow(
    student: EdgeBertHeadModel,
    splits: Splits,
    settings: Distil,
    build: Build,
    context: StageContext,
    section: str,
) -> dict[str, Any]:
    """Trains a student in place to follow the teacher's outputs; returns the run's record."""
    teacher = load_model(context.inputs["teacher"] / "model")
    result = distil(
        student,
        splits.training(splits.rows),
        settings,
        open_outputs(context.inputs["targets"], splits.rows, teacher),
        context.scratch / "train",
        seed=build.recipe.seed,
        section=section,
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    return training_record(result)


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


def training_record(result: TrainingResult) -> dict[str, Any]:
    """Returns what a training came to, as a stage's summary."""
    record = asdict(result)
    record["training_seconds"] = round(record.pop("seconds"), 2)
    record["best_dev_score"] = record.pop("dev_score")
    return record

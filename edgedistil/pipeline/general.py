"""General distillation of a recipe: teacher and student opened with word-predicting heads, the text divided."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.tokens import open_tokens
from edgedistil.distil.general import distil_general
from edgedistil.distil.masking import Masking
from edgedistil.distil.teacher import open_teacher
from edgedistil.distil.trainer import TrainingSet
from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertHeadModel
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.starting import first_student
from edgedistil.pipeline.training import checkpoint_seconds
from edgedistil.recipe.schema import GeneralText
from edgedistil.tokeniser import read_tokeniser


def distil_over_text(
    build: Build, settings: GeneralText, context: StageContext
) -> tuple[EdgeBertHeadModel, dict[str, Any]]:
    """Returns the distilled student, with its masked-language head, and the run's record.

    Raises:
        UsageError: When the text is too short to set dev rows aside.
    """
    recipe = build.recipe
    teacher = open_teacher(build.teacher.folder, (), fine_tuned=False, seed=recipe.seed, head="masked-lm")
    student = first_student(build, teacher)
    rows = open_tokens(context.inputs["text"] / "tokens")
    result = distil_general(
        student,
        teacher,
        divided(rows, settings.dev_rows),
        Masking.of(read_tokeniser(build.teacher.folder), settings.mask_share, settings.masking, recipe.seed),
        settings,
        context.scratch / "train",
        seed=recipe.seed,
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    record = asdict(result)
    record["training_seconds"] = round(record.pop("seconds"), 2)
    record["best_dev_score"] = record.pop("dev_score")
    return student, record


def divided(rows: EvaluationSet, dev_rows: int) -> TrainingSet:
    """Returns rows to train on and, the first of them, rows to choose the best checkpoint by.

    Raises:
        UsageError: When there are too few.
    """
    if len(rows) < 2 * dev_rows:
        raise UsageError(
            f"the text has {len(rows)} rows, and {dev_rows} are to be set aside",
            where="general.text",
            cure="give more text, or lower general.dev_rows",
        )
    return TrainingSet(_part(rows, dev_rows, len(rows)), _part(rows, 0, dev_rows))


def _part(rows: EvaluationSet, first: int, last: int) -> EvaluationSet:
    """Returns some neighbouring rows; their tokens stay where they are."""
    offsets = rows.offsets[first : last + 1]
    tokens = rows.input_ids[offsets[0] : offsets[-1]]
    return EvaluationSet(tokens, offsets - offsets[0], rows.labels[first:last], rows.ids[first:last], kind=rows.kind)

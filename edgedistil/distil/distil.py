"""A student trained to follow its teacher: in one go, or in stages such as TinyBERT's two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from edgedistil.distil.adapters import Adapters
from edgedistil.distil.following import Following
from edgedistil.distil.objective import Objective
from edgedistil.distil.outputs import TeacherOutputs
from edgedistil.distil.precision import Precision
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.progress import Progress
from edgedistil.recipe.schema import Distil, FineTune, Ramp

_NEXT_SEED = 104_729  # a stage's rows come in another order than those of the stage before

CALLED = {"distil": "distilling", "prune.recover": "recovering", "quantise.qat": "training for 8 bits"}
"""What is said beside the bar of each of a recipe's sections."""


@dataclass(frozen=True)
class _Part:
    settings: FineTune
    weights: Mapping[str, float | Ramp]


def distil(
    student: PreTrainedModel,
    data: TrainingSet,
    settings: Distil,
    teacher: TeacherOutputs,
    folder: Path,
    *,
    seed: int,
    section: str = "distil",
    progress: Progress | None = None,
    checkpoint_seconds: float = 30.0,
    precision: Precision | None = None,
) -> TrainingResult:
    """Trains a student in place as a recipe says; it ends with the weights of the last stage's best dev checkpoint.

    A stage whose losses leave the answers alone (TinyBERT's first: hidden states and attention) ends with its last
    weights, for its dev score says nothing of it.

    Args:
        student: Its layers may be pruned, and narrower than the teacher's.
        data: Training and dev rows.
        settings: The recipe's section.
        teacher: Answers for the training rows.
        folder: Checkpoints; a run that finds its own here goes on from it.
        seed: Of order, dropout and the adapters' first weights.
        section: The section's name in the recipe, a key of `CALLED`.
        progress: Where the bar is shown.
        checkpoint_seconds: Time between checkpoints.
        precision: "bf16" or "no"; by default what the machine does natively.

    Raises:
        UsageError: When the losses do not fit the student or the teacher.
        EdgeDistilError: When the loss is no longer a number.
    """
    following = Following.of(settings, len(teacher.config.heads), student.config.heads, section)
    adapters = make_adapters(student, teacher, seed)
    parts = _parts(settings)
    description, results = CALLED[section], []
    # Frozen for this run alone: what is saved, pruned or trained again is an ordinary model.
    student.encoder.embeddings.requires_grad_(not settings.freeze_embeddings)
    for number, part in enumerate(parts):
        objective = Objective(part.weights, teacher, following, adapters)
        several = len(parts) > 1
        results.append(
            train(
                student,
                data,
                objective,
                part.settings,
                folder / f"stage-{number + 1}" if several else folder,
                seed=seed + number * _NEXT_SEED,
                description=f"{description}, stage {number + 1} of {len(parts)}" if several else description,
                progress=progress,
                checkpoint_seconds=checkpoint_seconds,
                precision=precision,
            )
        )
    student.encoder.embeddings.requires_grad_(True)
    return results[0] if len(results) == 1 else _joined(results)


def make_adapters(student: PreTrainedModel, teacher: TeacherOutputs, seed: int) -> Adapters | None:
    """Returns projections into the teacher's width, or None where it is the student's own."""
    own, theirs = int(student.config.hidden_size), int(teacher.config.hidden_size)
    return None if own == theirs else Adapters(own, theirs, seed)


def _parts(settings: Distil) -> list[_Part]:
    plain = {name: getattr(settings, name) for name in FineTune.model_fields}
    if not settings.stages:
        return [_Part(FineTune(**plain), settings.losses.weights)]
    parts = []
    for stage in settings.stages:
        own: dict[str, Any] = {"epochs": stage.epochs}
        if stage.learning_rate is not None:
            own["learning_rate"] = stage.learning_rate
        parts.append(_Part(FineTune(**(plain | own)), stage.losses.weights))
    return parts


def _joined(results: list[TrainingResult]) -> TrainingResult:
    """Returns the stages as one run: steps and epochs go on counting, the score is the last stage's."""
    history: list[dict[str, float]] = []
    steps, epochs, seen, resumed = 0, 0.0, 0.0, 0
    for number, result in enumerate(results, start=1):
        for record in result.history:
            moved = {"step": record["step"] + steps, "epoch": record["epoch"] + epochs, "stage": number}
            history.append(record | moved)
        if result.resumed_from:
            resumed = steps + result.resumed_from
        steps += result.steps
        epochs += result.history[-1]["epoch"]
        seen += result.examples_per_second * result.seconds
    last = results[-1]
    seconds = sum(result.seconds for result in results)
    return TrainingResult(
        dev_score=last.dev_score,
        metric=last.metric,
        best_step=steps - last.steps + last.best_step,
        steps=steps,
        history=history,
        resumed_from=resumed,
        seconds=seconds,
        examples_per_second=seen / max(seconds, 1e-9),
        stopped_early=last.stopped_early,
    )

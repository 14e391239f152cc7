"""Distillation over plain text: a small encoder for want of task data, or to start a task from.

DistilBERT's triple loss (Sanh et al. 2019, arXiv 1910.01108, section 3): the teacher's distribution over masked words,
the words themselves, and the direction of the last hidden states. A teacher without a masked-language head has no such
distribution; its hidden states and self-relations are followed instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import collate, row_lengths
from edgedistil.distil.distil import make_adapters
from edgedistil.distil.following import Following, last_with_heads, pair_layers
from edgedistil.distil.judge import Judgement
from edgedistil.distil.masking import Masking
from edgedistil.distil.objective import Objective
from edgedistil.distil.outputs import LiveTeacher
from edgedistil.distil.precision import Precision, choose_precision
from edgedistil.distil.targets import token_budget_plan
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.progress import Progress, SilentProgress
from edgedistil.recipe.schema import General, Ramp

_DEV_EPOCH = 2**31  # masks the dev rows as no training epoch does


class ObjectiveJudge:
    """Scores a student by the objective itself on rows that it is not trained on, always masked alike.

    Args:
        objective: What is minimised; a changing weight counts as it is at the end.
        dev: Rows of text.
        masking: How they are masked.
    """

    metric = "negative dev loss"

    def __init__(self, objective: Objective, dev: EvaluationSet, masking: Masking) -> None:
        self._objective = objective
        self._dev = dev
        self._masking = masking

    def __call__(self, model: PreTrainedModel, *, bf16: bool) -> Judgement:
        """Returns the mean loss over batches, and its negative as the score."""
        device = next(model.parameters()).device
        model.eval()
        total, rows = 0.0, 0
        for indices in token_budget_plan(row_lengths(self._dev)):
            batch = self._masking(collate(self._dev, indices), _DEV_EPOCH).to(device)
            with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                loss, _ = self._objective(model, batch, share=1.0)
            total += float(loss) * len(batch)
            rows += len(batch)
        model.train()
        return Judgement(-total / rows, total / rows)


def general_weights(
    settings: General, *, predicts_words: bool, progress: Progress | None = None
) -> Mapping[str, float | Ramp]:
    """Returns the losses that this teacher can be followed by, and says what is left out.

    Args:
        settings: The recipe's section.
        predicts_words: Whether the teacher has a masked-language head.
        progress: Told when the teacher has none.
    """
    weights = dict(settings.losses.weights)
    if predicts_words or "soft_targets" not in weights:
        return weights
    del weights["soft_targets"]
    instead = [name for name in ("hidden_states", "relations") if name not in weights]
    weights |= dict.fromkeys(instead, 1.0)
    (progress or SilentProgress()).say(
        "the teacher predicts no masked words: its hidden states and relations are followed in place of soft targets, "
        "and the student's own head is tied to its embeddings"
    )
    return weights


def distil_general(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    data: TrainingSet,
    masking: Masking,
    settings: General,
    folder: Path,
    *,
    seed: int,
    progress: Progress | None = None,
    checkpoint_seconds: float = 30.0,
    precision: Precision | None = None,
) -> TrainingResult:
    """Trains a student in place on plain text; its encoder is then a start for any task.

    The teacher runs in every step, for what is masked changes from epoch to epoch.

    Args:
        student: With a masked-language head, tied to its embeddings.
        teacher: With such a head (`config.head` "masked-lm"), or any other model with an encoder.
        data: Rows of text to train on, and to choose the best checkpoint by; their labels are not looked at.
        masking: How words are hidden.
        settings: The recipe's section.
        folder: Checkpoints; a run that finds its own here goes on from it.
        seed: Of order, dropout and the adapters' first weights.
        progress: Where the bar is shown, and what is left out is said.
        checkpoint_seconds: Time between checkpoints.
        precision: "bf16" or "no"; by default what the machine does natively.

    Raises:
        UsageError: When the layers cannot be mapped.
        EdgeDistilError: When the loss is no longer a number.
    """
    precision = precision or choose_precision()
    live = LiveTeacher(teacher, bf16=precision == "bf16")
    layers, heads = len(teacher.config.heads), student.config.heads
    following = Following(
        pairs=pair_layers(settings.layer_map, layers, len(heads), "general"),
        last=(len(heads), layers),
        relation=(last_with_heads(heads), layers),
        temperature=settings.temperature,
        section="general",
    )
    predicts_words = teacher.config.head == "masked-lm" and not teacher.config.drawn_head
    weights = general_weights(settings, predicts_words=predicts_words, progress=progress)
    objective = Objective(weights, live, following, make_adapters(student, live, seed))
    judge = ObjectiveJudge(objective, data.dev, masking)
    return train(
        student,
        replace(data, transform=masking, judge=judge),
        objective,
        settings,
        folder,
        seed=seed,
        description="general distillation",
        progress=progress,
        checkpoint_seconds=checkpoint_seconds,
        precision=precision,
    )

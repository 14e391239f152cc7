"""What a checkpoint is worth: the task's headline metric on the dev rows, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import Batch
from edgedistil.distil.losses import loss_function
from edgedistil.distil.losses.base import LossInputs, Outputs
from edgedistil.distil.score import answer_rows
from edgedistil.tasks import get_task
from edgedistil.tasks.answers import Answers
from edgedistil.tasks.base import score


@dataclass(frozen=True)
class Judgement:
    """Of one checkpoint.

    Attributes:
        score: The larger, the better.
        loss: Mean supervised loss on the dev rows.
    """

    score: float
    loss: float


class Judge(Protocol):
    """Scores checkpoints.

    Attributes:
        metric: What the score is.
    """

    metric: str

    def __call__(self, model: PreTrainedModel, *, bf16: bool) -> Judgement:
        """Returns what the model is worth as it is."""


class TaskJudge:
    """Scores by a task's headline metric, decoded as a device decodes.

    Args:
        task: Name of the task.
        dev: Rows that no model is trained on.
        labels: Names of the model's outputs, in order.
        answers: The dev examples' answers, for tasks that need them.

    Raises:
        UsageError: When there is no such task.
    """

    def __init__(
        self, task: str, dev: EvaluationSet, labels: Sequence[str] = (), answers: Answers | None = None
    ) -> None:
        self._task = get_task(task, labels)
        self._dev = dev
        self._labels = labels
        self._answers = answers
        self._references = self._task.references(dev, answers, labels)
        self.metric: str = self._task.metric

    def __call__(self, model: PreTrainedModel, *, bf16: bool) -> Judgement:
        """Returns the dev rows' score and mean loss."""
        total, labelled = 0.0, 0
        hard_labels = loss_function("hard_labels")

        def add_loss(batch: Batch, logits: Tensor) -> None:
            nonlocal total, labelled
            total += float(hard_labels(LossInputs(batch.kind, batch.labels, batch.attention_mask, Outputs(logits))))
            labelled += batch.units()["labelled"]

        outputs = answer_rows(model, self._dev, bf16=bf16, seen=add_loss)
        predictions = self._task.predictions(outputs, self._dev, self._answers, self._labels)
        names = list(self._references)
        return Judgement(
            score(self._task, [predictions[name] for name in names], [self._references[name] for name in names]),
            total / max(1, labelled),
        )

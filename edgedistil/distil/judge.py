"""What a checkpoint is worth: the task's headline metric on the dev rows, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import decode_rows
from edgedistil.distil.evaluate import answered_batches
from edgedistil.distil.losses import loss_function
from edgedistil.distil.losses.base import LossInputs, Outputs
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
        outputs: list[Any] = [None] * len(self._dev)
        total, labelled = 0.0, 0
        hard_labels = loss_function("hard_labels")
        for batch, logits in answered_batches(model, self._dev, bf16=bf16):
            inputs = LossInputs(batch.kind, batch.labels, batch.attention_mask, Outputs(logits))
            total += float(hard_labels(inputs))
            labelled += batch.units()["labelled"]
            rows = [int(index) for index in batch.indices]
            for row, output in zip(rows, decode_rows(batch.kind, logits.cpu().numpy(), self._dev, rows), strict=True):
                outputs[row] = output
        predictions = self._task.predictions(outputs, self._dev, self._answers, self._labels)
        names = list(self._references)
        return Judgement(
            score(self._task, [predictions[name] for name in names], [self._references[name] for name in names]),
            total / max(1, labelled),
        )

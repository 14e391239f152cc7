"""A PyTorch model's scores on a token set, decoded as a device decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import Output, decode_rows
from edgedistil.distil.batches import Batch
from edgedistil.distil.evaluate import answered_batches
from edgedistil.progress import Progress
from edgedistil.tasks import Task, all_scores
from edgedistil.tasks.answers import Answers


def answer_rows(
    model: PreTrainedModel,
    tokens: EvaluationSet,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
    seen: Callable[[Batch, Tensor], None] | None = None,
) -> list[Output]:
    """Returns what the model answers to every row, in the set's order.

    Args:
        model: On whichever device it is.
        tokens: Rows to answer.
        bf16: Compute in bf16 autocast; off, results are those of the fp32 model.
        progress: Where the bar is shown.
        seen: Given every batch and its logits as they come.
    """
    outputs: list[Output] = [None] * len(tokens)
    for batch, logits in answered_batches(model, tokens, bf16=bf16, progress=progress):
        if seen:
            seen(batch, logits)
        rows = [int(index) for index in batch.indices]
        for row, output in zip(rows, decode_rows(batch.kind, logits.cpu().numpy(), tokens, rows), strict=True):
            outputs[row] = output
    return outputs


def score_model(
    model: PreTrainedModel,
    tokens: EvaluationSet,
    task: Task,
    labels: Sequence[str] = (),
    answers: Answers | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Returns every metric of the task, the headline first, of the model in fp32.

    Args:
        model: On whichever device it is.
        tokens: Rows to answer.
        task: How outputs are understood.
        labels: Names of the model's outputs, in order.
        answers: The examples' answers, for tasks that need them.
        progress: Where the bar is shown.
    """
    outputs = answer_rows(model, tokens, progress=progress)
    references = task.references(tokens, answers, labels)
    predictions = task.predictions(outputs, tokens, answers, labels)
    return all_scores(task, [predictions[name] for name in references], list(references.values()))

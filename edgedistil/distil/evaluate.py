"""A PyTorch model's logits on a token set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import Batch, collate, row_lengths
from edgedistil.distil.targets import token_budget_plan
from edgedistil.progress import Progress, SilentProgress


def answered_batches(
    model: PreTrainedModel,
    tokens: EvaluationSet,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yields batches of rows, longest first, with the model's logits in fp32; the model ends in the mode it had.

    Args:
        model: On whichever device it is.
        tokens: Rows to answer.
        bf16: Compute in bf16 autocast; off, results are those of the fp32 model.
        progress: Where the bar is shown.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with (progress or SilentProgress()).bar("scoring", len(tokens)) as bar:
        for indices in token_budget_plan(row_lengths(tokens)):
            batch = collate(tokens, indices).to(device)
            with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
            yield batch, output.logits.float()
            bar.advance(len(indices))
    model.train(was_training)


def predict_logits(
    model: PreTrainedModel,
    tokens: EvaluationSet,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """Returns logits in fp32, in the token set's order: [rows, width], or for tags and span [tokens, width].

    Args:
        model: On whichever device it is.
        tokens: Rows to answer.
        bf16: Compute in bf16 autocast; off, results are those of the fp32 model.
        progress: Where the bar is shown.
    """
    per_token = tokens.kind in ("tags", "span")
    table: np.ndarray | None = None
    for batch, answer in answered_batches(model, tokens, bf16=bf16, progress=progress):
        logits = answer.cpu().numpy()
        if table is None:
            count = int(tokens.offsets[-1]) if per_token else len(tokens)
            table = np.zeros((count, logits.shape[-1]), dtype=np.float32)
        if not per_token:
            table[batch.indices] = logits
            continue
        for row, index in enumerate(batch.indices):
            where = tokens.slice(int(index))
            table[where] = logits[row, : where.stop - where.start]
    assert table is not None  # noqa: S101 - a token set has rows
    return table


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of rows whose largest logit is the label's."""
    return float((logits.argmax(axis=1) == labels).mean())

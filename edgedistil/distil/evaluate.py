"""A PyTorch model's logits and accuracy on a token set."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import collate, row_lengths
from edgedistil.distil.targets import token_budget_plan
from edgedistil.progress import Progress, SilentProgress


def predict_logits(
    model: PreTrainedModel,
    tokens: EvaluationSet,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """Returns logits [rows, classes] in fp32, in the token set's order; the model ends in the mode it had.

    Args:
        model: On whichever device it is.
        tokens: Rows to score.
        bf16: Compute in bf16 autocast; off, results are those of the fp32 model.
        progress: Where the bar is shown.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits = np.zeros((len(tokens), int(model.config.num_labels)), dtype=np.float32)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)
    with (progress or SilentProgress()).bar("scoring", len(tokens)) as bar, torch.inference_mode(), autocast:
        for indices in token_budget_plan(row_lengths(tokens)):
            batch = collate(tokens, indices).to(device)
            output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
            logits[indices] = output.logits.float().cpu().numpy()
            bar.advance(len(indices))
    model.train(was_training)
    return logits


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of rows whose largest logit is the label's."""
    return float((logits.argmax(axis=1) == labels).mean())

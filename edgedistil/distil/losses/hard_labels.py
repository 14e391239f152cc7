"""The true label: cross-entropy, or the squared error of a score."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs

NO_CLASS = -1
NO_TAG = -100


def hard_labels(inputs: LossInputs) -> Tensor:
    """Returns the supervised loss summed over what has a label; a row or token without one adds nothing.

    A span's is the mean of its start's cross-entropy and its end's over the row's tokens (Devlin et al. 2019,
    section 4.2).
    """
    logits, labels = inputs.logits(), inputs.labels
    if inputs.kind == "value":
        scored = ~torch.isnan(labels)
        return (logits.squeeze(-1)[scored] - labels[scored].float()).square().sum()
    if inputs.kind == "span":
        real = inputs.attention_mask.bool().unsqueeze(-1)
        places = logits.masked_fill(~real, torch.finfo(torch.float32).min).transpose(1, 2).flatten(0, 1)
        return F.cross_entropy(places, labels.flatten(), reduction="sum", ignore_index=NO_TAG) / 2
    ignored = NO_CLASS if inputs.kind == "class" else NO_TAG
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum", ignore_index=ignored)

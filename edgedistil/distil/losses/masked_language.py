"""The words that were masked: cross-entropy (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs
from edgedistil.distil.losses.hard_labels import NO_TAG


def masked_language(inputs: LossInputs) -> Tensor:
    """Returns the cross-entropy summed over masked positions, whose logits alone are computed.

    Raises:
        ValueError: When no words are masked in such rows.
    """
    if inputs.kind != "masked":
        raise ValueError(f"rows of kind '{inputs.kind}' have no masked words")
    words = inputs.labels[inputs.labels != NO_TAG]
    return F.cross_entropy(inputs.logits(), words, reduction="sum")

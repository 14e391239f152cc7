"""Hidden states that point the same way (DistilBERT, arXiv 1910.01108, section 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses import LOSSES
from edgedistil.distil.losses.base import LossInputs


def cosine(inputs: LossInputs) -> Tensor:
    """Returns one minus the cosine, averaged over the layers compared, summed over real tokens.

    Raises:
        ValueError: When a layer's states are missing.
    """
    real = inputs.attention_mask.bool()
    distances = []
    for pair in LOSSES["cosine"].states(inputs.following):
        student, teacher = inputs.states(pair)
        distances.append((1 - F.cosine_similarity(student[real], teacher[real], dim=-1)).sum())
    return torch.stack(distances).mean()

"""Mean squared error between mapped layers' hidden states (TinyBERT, arXiv 1909.10351, equation 8)."""

from __future__ import annotations

import torch
from torch import Tensor

from edgedistil.distil.losses import LOSSES
from edgedistil.distil.losses.base import LossInputs


def hidden_states(inputs: LossInputs) -> Tensor:
    """Returns the error averaged over mapped layers and units, summed over real tokens.

    A student of another width is compared through a learned projection into the teacher's, as in the paper.

    Raises:
        ValueError: When a mapped layer's states are missing.
    """
    # In fp32 like the states: a product of two types is several times as slow.
    mask = inputs.attention_mask.float().unsqueeze(-1)
    pairs = LOSSES["hidden_states"].states(inputs.following)
    errors = []
    for pair in pairs:
        student, teacher = inputs.states(pair)
        errors.append(((student - teacher) * mask).square().sum() / teacher.shape[-1])
    return torch.stack(errors).mean()

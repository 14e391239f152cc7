"""The teacher's softened distribution (Hinton et al. 2015, arXiv 1503.02531, section 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs

# Finite, so that a masked place gives a divergence of exactly 0 rather than infinity less infinity.
_MASKED = -1e4


def soft_targets(inputs: LossInputs) -> Tensor:
    """Returns KL(teacher || student) at temperature T, times T squared so that its gradients keep their size.

    Summed over rows (class), real tokens (tags) or masked positions (masked). For a span, the mean of the divergence
    of its start and that of its end, each a distribution over the row's real tokens. A score has no distribution:
    its squared distance from the teacher's, summed over rows.

    Raises:
        ValueError: When the batch has no teacher logits.
    """
    student, teacher = inputs.logits(), inputs.teacher_logits()
    if inputs.kind == "value":
        return (student - teacher).square().sum()
    temperature = inputs.following.temperature
    student, teacher = student / temperature, teacher / temperature
    real = inputs.attention_mask.bool()
    if inputs.kind == "span":
        outside = ~real.unsqueeze(1)
        student = student.transpose(1, 2).masked_fill(outside, _MASKED)
        teacher = teacher.transpose(1, 2).masked_fill(outside, _MASKED)
    each = divergence(student, teacher)
    if inputs.kind == "tags":
        each = each[real]
    return each.sum() * temperature**2 / (2 if inputs.kind == "span" else 1)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns KL(teacher || student) over the last dimension of two tensors of logits, [...]."""
    own, theirs = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    return (torch.exp(theirs) * (theirs - own)).sum(-1)

"""Self-relations of queries, keys and values in one layer (MiniLMv2, arXiv 2012.15828, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs
from edgedistil.distil.losses.soft_targets import divergence
from edgedistil.distil.sizes import check_relation_heads
from edgedistil.errors import UsageError

_MASKED = -1e4


def relations(inputs: LossInputs) -> Tensor:
    """Returns KL(teacher || student) of the Q-Q, K-K and V-V relations, added up, and summed over real tokens.

    Each is averaged over relation heads. The heads of a layer are joined and split anew in as many relation heads on
    both sides, so that neither width nor heads need be equal: a pruned student can follow too.

    Raises:
        UsageError: When the student has no attention head left, or the relation heads do not fit.
        ValueError: When a layer's projections are missing.
    """
    if not inputs.following.relation[0]:
        raise UsageError("relations needs attention heads, and the student has none", cure="set its weight to 0")
    student, teacher = inputs.projections(inputs.following.relation)
    heads = _relation_heads(inputs, student[0].shape[-1], teacher[0].shape[-1])
    real = inputs.attention_mask.bool()
    parts = [
        divergence(_relation(own, heads, real), _relation(theirs, heads, real)).mean(1)[real].sum()
        for own, theirs in zip(student, teacher, strict=True)
    ]
    return torch.stack(parts).sum()


def _relation_heads(inputs: LossInputs, student_width: int, teacher_width: int) -> int:
    wanted = inputs.following.relation_heads
    if wanted is None:
        both = math.gcd(student_width, teacher_width)
        most = teacher_width // (inputs.teacher.head_size if inputs.teacher else 1)
        return max(count for count in range(1, most + 1) if both % count == 0)
    check_relation_heads(inputs.following.section, wanted, student_width, teacher_width)
    return wanted


def _relation(part: Tensor, heads: int, real: Tensor) -> Tensor:
    """Returns the scaled products of every two tokens, [batch, relation heads, tokens, tokens], masked."""
    split = part.float().unflatten(-1, (heads, -1)).transpose(1, 2)
    scores = split @ split.transpose(-1, -2) / math.sqrt(split.shape[-1])
    return scores.masked_fill(~real[:, None, None, :], _MASKED)

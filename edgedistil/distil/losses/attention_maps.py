"""Attention of mapped layers, head by head (TinyBERT, arXiv 1909.10351, equation 7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgedistil.distil.losses import LOSSES
from edgedistil.distil.losses.base import LossInputs, Projection
from edgedistil.distil.losses.soft_targets import divergence
from edgedistil.errors import UsageError

_MASKED = -1e4


def attention_maps(inputs: LossInputs) -> Tensor:
    """Returns how far the student's attention is from the teacher's, summed over real tokens as queries.

    `scores`: the squared error of the scores before softmax, averaged over heads and real keys, which the paper found
    to converge faster and reach further than probabilities. `kl`: the divergence of the probabilities over real keys,
    averaged over heads. Pairs of layers without heads, as pruning leaves them, count for nothing.

    Raises:
        UsageError: When a pair's heads differ in number, or no layer has any.
        ValueError: When a layer's projections are missing.
    """
    real = inputs.attention_mask.bool()
    losses = []
    for pair in LOSSES["attention_maps"].projections(inputs.following):
        student, teacher = (
            _scores(projection, outputs.head_size)
            for projection, outputs in zip(inputs.projections(pair), (inputs.student, inputs.teacher), strict=True)
            if outputs is not None
        )
        if student.shape[1] != teacher.shape[1]:
            raise UsageError(
                f"attention_maps needs equal heads: student layer {pair[0]} has {student.shape[1]}, "
                f"teacher layer {pair[1]} has {teacher.shape[1]}",
                cure=f"use {inputs.following.section}.losses.relations in its place, which needs none",
            )
        if student.shape[1]:
            losses.append(_distance(student, teacher, real, inputs.following.attention_by))
    if not losses:
        raise UsageError("attention_maps needs attention heads, and the student has none", cure="set its weight to 0")
    return torch.stack(losses).mean()


def _scores(projection: Projection, head_size: int) -> Tensor:
    """Returns scaled scores, [batch, heads, queries, keys], in fp32."""
    heads = projection[0].shape[-1] // head_size
    query, key = (part.float().unflatten(-1, (heads, head_size)).transpose(1, 2) for part in projection[:2])
    return query @ key.transpose(-1, -2) / math.sqrt(head_size)


def _distance(student: Tensor, teacher: Tensor, real: Tensor, by: str) -> Tensor:
    keys = real[:, None, None, :]
    if by == "kl":
        each = divergence(student.masked_fill(~keys, _MASKED), teacher.masked_fill(~keys, _MASKED))
    else:
        each = ((student - teacher) * keys.float()).square().sum(-1) / keys.sum(-1)
    return each.mean(1)[real].sum()

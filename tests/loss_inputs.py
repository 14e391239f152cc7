"""Inputs for the tests of losses, and the definitions that they are held against."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgedistil.distil.losses import loss_function
from edgedistil.distil.losses.base import LossInputs, Outputs

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
REAL = [(row, token) for row, length in enumerate((3, 2)) for token in range(length)]
LABELS = torch.tensor([0, 1])


def given(student: Outputs, teacher: Outputs | None = None, **more: object) -> LossInputs:
    """Returns a batch of two rows, of three and two tokens."""
    values = {"kind": "class", "labels": LABELS, "attention_mask": MASK, **more}
    return LossInputs(**values, student=student, teacher=teacher)


def answers(logits: Tensor, teacher: Tensor | None = None, **more: object) -> LossInputs:
    """Returns a batch of which only the answers count."""
    return given(Outputs(logits), None if teacher is None else Outputs(teacher), **more)


def loss(name: str, inputs: LossInputs) -> Tensor:
    """Returns a loss by its name."""
    return loss_function(name)(inputs)


def softmax(values: list[float]) -> list[float]:
    """Returns the shares of a list of logits, by their definition."""
    top = [math.exp(value - max(values)) for value in values]
    return [value / sum(top) for value in top]


def kl(teacher: list[float], student: list[float]) -> float:
    """Returns KL(teacher || student) of two lists of logits, by its definition."""
    pairs = zip(softmax(teacher), softmax(student), strict=True)
    return sum(one * math.log(one / other) for one, other in pairs)

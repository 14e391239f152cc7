"""Mean squared error between mapped layers' hidden states (TinyBERT, arXiv 1909.10351, equation 8)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs


class HiddenStates:
    """The student's layer i follows the teacher's layer it was made from, on real tokens only."""

    needs_hidden: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = True

    def __call__(self, inputs: LossInputs) -> Tensor:
        """Returns the error averaged over layers, tokens and units.

        Raises:
            ValueError: When the teacher's states are missing or differ in number from the student's.
        """
        if not inputs.hidden or len(inputs.hidden) != len(inputs.teacher_hidden):
            raise ValueError(f"{len(inputs.hidden)} student states, {len(inputs.teacher_hidden)} teacher states")
        mask = inputs.attention_mask.unsqueeze(-1)
        weight = mask.sum().float() * inputs.hidden[0].shape[-1]
        total = torch.zeros((), device=inputs.logits.device)
        for student, teacher in zip(inputs.hidden, inputs.teacher_hidden, strict=True):
            difference = (student.float() - teacher.float()) * mask
            total = total + difference.square().sum() / weight
        return total / len(inputs.hidden)

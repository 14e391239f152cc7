"""Kullback-Leibler divergence between softened distributions (Hinton et al. 2015, arXiv 1503.02531, section 2)."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs


class SoftTargets:
    """KL(teacher || student) at temperature T, times T squared so that its gradients keep their size."""

    needs_hidden: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = True

    def __call__(self, inputs: LossInputs) -> Tensor:
        """Returns the mean divergence over the batch.

        Raises:
            ValueError: When the batch has no teacher logits.
        """
        if inputs.teacher_logits is None:
            raise ValueError("soft targets need a teacher")
        student = F.log_softmax(inputs.logits.float() / inputs.temperature, dim=-1)
        teacher = F.log_softmax(inputs.teacher_logits.float() / inputs.temperature, dim=-1)
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * inputs.temperature**2

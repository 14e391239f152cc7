"""Learned projections of a narrower student's states into the teacher's width."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adapters(nn.Module):
    """W_h and W_e of TinyBERT (arXiv 1909.10351, equations 8 and 9), trained with the student and left behind.

    Args:
        student_width: Hidden size of the student.
        teacher_width: Hidden size of the teacher.
        seed: Of the first weights.
    """

    def __init__(self, student_width: int, teacher_width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.states = nn.Linear(student_width, teacher_width, bias=False)
            self.embeddings = nn.Linear(student_width, teacher_width, bias=False)

    def forward(self, hidden: Tensor, *, embeddings: bool) -> Tensor:
        """Returns states [..., student width] in the teacher's width; the embeddings' output has its own matrix."""
        return (self.embeddings if embeddings else self.states)(hidden)

"""What a loss sees and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor


@dataclass(frozen=True)
class LossInputs:
    """One batch's outputs, the student's and the teacher's.

    Attributes:
        logits: Student's, [batch, classes].
        labels: Class numbers, [batch].
        attention_mask: 1 for tokens, [batch, sequence].
        temperature: Softens both distributions.
        hidden: Student's mapped layers' states, each [batch, sequence, hidden]; empty when no loss needs them.
        teacher_logits: [batch, classes], or None without a teacher.
        teacher_hidden: The teacher's states, layer by layer as `hidden`.
    """

    logits: Tensor
    labels: Tensor
    attention_mask: Tensor
    temperature: float = 1.0
    hidden: tuple[Tensor, ...] = ()
    teacher_logits: Tensor | None = None
    teacher_hidden: tuple[Tensor, ...] = ()


class Loss(Protocol):
    """A term of the objective."""

    needs_hidden: ClassVar[bool]
    needs_teacher: ClassVar[bool]

    def __call__(self, inputs: LossInputs) -> Tensor:
        """Returns the batch's mean loss, a scalar in fp32."""

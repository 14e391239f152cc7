"""What a loss sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from edgedistil.distil.following import Following, Pair

Projection = tuple[Tensor, Tensor, Tensor]
"""A layer's queries, keys and values, each [batch, sequence, heads x head size]."""


@dataclass(frozen=True)
class Outputs:
    """One model's outputs on a batch.

    Attributes:
        logits: By kind: class, [batch, classes]; value, [batch, 1]; tags, [batch, sequence, tags]; span,
            [batch, sequence, 2]; masked, [masked positions, vocabulary]. None where nobody asked.
        hidden: States by number (0 is the embeddings' output), [batch, sequence, hidden].
        projections: Queries, keys and values by layer, from 1.
        head_size: Width of one attention head.
    """

    logits: Tensor | None
    hidden: Mapping[int, Tensor] = field(default_factory=dict)
    projections: Mapping[int, Projection] = field(default_factory=dict)
    head_size: int = 1


@dataclass(frozen=True)
class LossInputs:
    """One batch: its labels, the student's outputs and the teacher's.

    Attributes:
        kind: What a row's label is: class, value, tags, span, or masked for words to be filled in.
        labels: By kind: class, [batch], -1 for none; value, [batch], NaN for none; tags and masked,
            [batch, sequence], -100 for none; span, [batch, 2], -100 for none.
        attention_mask: 1 for tokens, [batch, sequence].
        student: The student's outputs.
        teacher: The teacher's; None without one.
        following: Which layers are compared, and how.
        adapters: Projections into the teacher's width; None where the widths are equal.
    """

    kind: str
    labels: Tensor
    attention_mask: Tensor
    student: Outputs
    teacher: Outputs | None = None
    following: Following = field(default_factory=Following)
    adapters: nn.Module | None = None

    def logits(self) -> Tensor:
        """Returns the student's logits in fp32.

        Raises:
            ValueError: When the model was not asked for them.
        """
        if self.student.logits is None:
            raise ValueError("the student's logits are missing")
        return self.student.logits.float()

    def teacher_logits(self) -> Tensor:
        """Returns the teacher's logits in fp32.

        Raises:
            ValueError: When there are none.
        """
        if self.teacher is None or self.teacher.logits is None:
            raise ValueError("soft targets need a teacher's logits")
        return self.teacher.logits.float()

    def states(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Returns the student's and the teacher's states of a pair in fp32, the student's in the teacher's width.

        Raises:
            ValueError: When either is missing.
        """
        student, teacher = pair
        if self.teacher is None or student not in self.student.hidden or teacher not in self.teacher.hidden:
            raise ValueError(f"the hidden states of student layer {student} and teacher layer {teacher} are missing")
        own, theirs = self.student.hidden[student].float(), self.teacher.hidden[teacher].float()
        if own.shape[-1] != theirs.shape[-1]:
            if self.adapters is None:
                raise ValueError(f"states of width {own.shape[-1]} cannot follow {theirs.shape[-1]} without adapters")
            own = self.adapters(own, embeddings=student == 0)
        return own, theirs

    def projections(self, pair: Pair) -> tuple[Projection, Projection]:
        """Returns the student's and the teacher's queries, keys and values of a pair of layers.

        Raises:
            ValueError: When either is missing.
        """
        student, teacher = pair
        missing = self.teacher is None or student not in self.student.projections
        if missing or self.teacher is None or teacher not in self.teacher.projections:
            raise ValueError(f"the projections of student layer {student} and teacher layer {teacher} are missing")
        return self.student.projections[student], self.teacher.projections[teacher]

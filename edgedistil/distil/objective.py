"""The sum of weighted losses that a run minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from edgedistil.distil.adapters import Adapters
from edgedistil.distil.batches import Batch
from edgedistil.distil.following import Following
from edgedistil.distil.losses import LOSSES, Unit, loss_function, unit_of
from edgedistil.distil.losses.base import LossInputs
from edgedistil.distil.outputs import Request, TeacherOutputs, run_model
from edgedistil.recipe.schema import Ramp, peak_weight, weight_at

_ANSWERS = {"hard_labels", "soft_targets", "masked_language"}


@dataclass(frozen=True)
class Objective:
    """What to minimise.

    Attributes:
        weights: Weight by the name of the loss, a number or one that changes with the share of the steps that are
            done; a loss of weight 0 is not computed.
        teacher: Answers for the training rows; None when no loss needs a teacher.
        following: Which layers are compared, and how.
        adapters: Projections into the teacher's width, trained with the student; None where the widths are equal.

    Raises:
        KeyError: When there is no such loss.
        ValueError: When a loss needs a teacher and there is none.
    """

    weights: Mapping[str, float | Ramp]
    teacher: TeacherOutputs | None = None
    following: Following = field(default_factory=Following)
    adapters: Adapters | None = None

    def __post_init__(self) -> None:
        if self.teacher is None and any(LOSSES[name].teacher for name in self.active):
            raise ValueError("a loss that follows the teacher needs its outputs")

    @property
    def active(self) -> tuple[str, ...]:
        """Returns the names of the losses that count at some time."""
        return tuple(name for name, weight in self.weights.items() if peak_weight(weight) > 0)

    @property
    def predicts(self) -> bool:
        """Returns whether a loss looks at the student's answers, so that its dev score means something."""
        return bool(_ANSWERS & set(self.active))

    def __call__(
        self, model: nn.Module, batch: Batch, units: Mapping[Unit, int] | None = None, share: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Runs the student, and where it is needed the teacher, on a batch.

        Args:
            model: The student.
            batch: Rows, of which there is at least one.
            units: What each loss is divided by, when the batch is a part of a step's; by default the batch's own.
            share: Share of the steps that are done.

        Returns:
            The weighted sum, a scalar that can be differentiated, and each term's own value, without gradients. Those
            of a step's parts add up to the step's.
        """
        units = units or batch.units()
        weights = {name: weight_at(self.weights[name], share) for name in self.active}
        named = [name for name, weight in weights.items() if weight > 0]
        inputs = self._run(model, batch, named)
        terms = {name: loss_function(name)(inputs) / units[unit_of(name, batch.kind)] for name in named}
        weighted = [weights[name] * term for name, term in terms.items()]
        total = torch.stack(weighted).sum() if weighted else torch.zeros((), device=batch.input_ids.device)
        return total, {name: term.detach() for name, term in terms.items()}

    def begin(self, step: int) -> None:
        """Told before each step of a run, by every process, one whose share of the step has no row included.

        Args:
            step: Steps that are done.
        """

    def _run(self, model: nn.Module, batch: Batch, named: list[str]) -> LossInputs:
        states, projections = self.following.states(named), self.following.projections(named)
        answers = bool(_ANSWERS & set(named))
        student = run_model(model, batch, _request(answers, states, projections, 0))
        teacher = None
        if self.teacher is not None and any(LOSSES[name].teacher for name in named):
            wanted = _request("soft_targets" in named, states, projections, 1)
            teacher = self.teacher(batch, wanted)
        return LossInputs(
            kind=batch.kind,
            labels=batch.labels,
            attention_mask=batch.attention_mask,
            student=student,
            teacher=teacher,
            following=self.following,
            adapters=self.adapters,
        )


def _request(
    logits: bool, states: tuple[tuple[int, int], ...], projections: tuple[tuple[int, int], ...], side: int
) -> Request:
    return Request(
        logits, tuple(sorted({pair[side] for pair in states})), tuple(sorted({pair[side] for pair in projections}))
    )

"""The sum of weighted losses that a run minimises."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from edgedistil.distil.batches import Batch
from edgedistil.distil.losses import LOSSES, LossInputs
from edgedistil.distil.targets import TeacherTargets


@dataclass(frozen=True)
class Objective:
    """What to minimise.

    Attributes:
        weights: Weight by the name of the loss; a loss of weight 0 is never computed.
        temperature: Softens both distributions.
        targets: The teacher's cached outputs; None when no loss needs a teacher.
        layers: Student states (0 is the embeddings' output) that follow `targets.layers`, in the same order.
    """

    weights: dict[str, float]
    temperature: float = 1.0
    targets: TeacherTargets | None = None
    layers: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        active = [LOSSES[name] for name in self.active]
        if any(loss.needs_teacher for loss in active) and self.targets is None:
            raise ValueError("a loss that follows the teacher needs its targets")

    @property
    def active(self) -> tuple[str, ...]:
        """Returns the names of the losses that count."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)

    @property
    def needs_hidden(self) -> bool:
        """Returns whether a loss looks at hidden states."""
        return any(LOSSES[name].needs_hidden for name in self.active)

    def __call__(self, model: PreTrainedModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Runs the student on a batch.

        Returns:
            The weighted sum, a scalar that can be differentiated, and each term's own value.
        """
        output = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=self.needs_hidden,
        )
        inputs = LossInputs(
            logits=output.logits,
            labels=batch.labels,
            attention_mask=batch.attention_mask,
            temperature=self.temperature,
            hidden=tuple(output.hidden_states[layer] for layer in self.layers) if self.needs_hidden else (),
            teacher_logits=self.targets.logits(batch) if self.targets else None,
            teacher_hidden=self.targets.hidden(batch) if self.targets and self.needs_hidden else (),
        )
        terms = {name: LOSSES[name]()(inputs) for name in self.active}
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

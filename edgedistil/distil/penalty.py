"""A penalty on the weights themselves, beside the losses: what group lasso needs of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor, nn

from edgedistil.distil.adapters import Adapters
from edgedistil.distil.batches import Batch
from edgedistil.distil.losses import Unit
from edgedistil.distil.objective import Objective


class Penalty(Protocol):
    """What is added to the loss, weighted anew from time to time."""

    @property
    def state(self) -> nn.Module:
        """The present weights, as buffers."""

    def penalty(self) -> Tensor:
        """Returns what is added to a step's loss, a scalar that can be differentiated."""

    def reweight(self) -> None:
        """Sets the weights from the model as it is now."""


@dataclass(frozen=True)
class PenalisedObjective(Objective):
    """The losses and a penalty, which is weighted anew every so many steps.

    Attributes:
        penalty: On the model that is trained.
        every: Steps between two weightings.
    """

    penalty: Penalty | None = None
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.penalty is not None  # noqa: S101 - a field after ones with defaults needs one too
        # A run moves, saves and restores its adapters with the model, and so what is put in their place: the weights.
        object.__setattr__(self, "adapters", cast("Adapters", self.penalty.state))

    @property
    def predicts(self) -> bool:
        """Returns False: the best dev score is not where the penalty has done its work; the last step is."""
        return False

    def __call__(
        self, model: nn.Module, batch: Batch, units: Mapping[Unit, int] | None = None, share: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Runs the student as `Objective` does; a step's parts each add their rows' share of the penalty."""
        assert self.penalty is not None  # noqa: S101 - as above
        units = units or batch.units()
        loss, terms = super().__call__(model, batch, units, share)
        return loss + self.penalty.penalty() * (len(batch) / units["rows"]), terms

    def begin(self, step: int) -> None:
        """Weights anew when it is time."""
        assert self.penalty is not None  # noqa: S101 - as above
        if step and step % self.every == 0:
            self.penalty.reweight()

"""Distillation losses. A new one is a file here, a line in `LOSSES` and a weight in the recipe."""

from __future__ import annotations

from edgedistil.distil.losses.base import Loss, LossInputs
from edgedistil.distil.losses.hard_labels import HardLabels
from edgedistil.distil.losses.hidden_states import HiddenStates
from edgedistil.distil.losses.soft_targets import SoftTargets

LOSSES: dict[str, type[Loss]] = {
    "hard_labels": HardLabels,
    "hidden_states": HiddenStates,
    "soft_targets": SoftTargets,
}

__all__ = ["LOSSES", "Loss", "LossInputs"]

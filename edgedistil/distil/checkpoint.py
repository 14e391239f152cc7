"""Checkpoints of a run in progress: written whole or not at all, read without executing anything."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass
class RunState:
    """How far a run has come.

    Attributes:
        step: Optimiser steps done.
        best_score: Best dev score so far; minus infinity before the first.
        best_step: Step of the best score; 0 before the first.
        history: A record an evaluation: step, epoch, each loss's mean since the last, dev score and dev loss.
        seconds: Training time so far, over every start.
        sums: Each loss's sum since the last evaluation.
        counts: How many steps each sum is over.
    """

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: the run's state, the weights of every module that is trained, the optimiser's state."""

    state: RunState
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]


class CheckpointFolder:
    """The latest state and the best weights of one run.

    Args:
        folder: Made if missing. `latest.pt` is the whole state, `best-STEP.safetensors` the best weights: of the step
            that the state names, and until the state is written again, of a later one.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._latest = folder / "latest.pt"

    def save(self, saved: Saved) -> None:
        """Writes the whole state; a kill leaves the one before, and the best weights that it names."""
        scratch = self._latest.with_suffix(".tmp")
        torch.save({"state": vars(saved.state), "weights": saved.weights, "optimiser": saved.optimiser}, scratch)
        scratch.replace(self._latest)
        for older in set(self._folder.glob("best-*.safetensors")) - {self._best(saved.state.best_step)}:
            older.unlink()

    def load(self) -> Saved | None:
        """Returns the latest state; None at the first start, or where the best weights that it names are not there."""
        if not self._latest.is_file():
            return None
        saved = torch.load(self._latest, map_location="cpu", weights_only=True)
        state = RunState(**saved["state"])
        if state.best_step and not self._best(state.best_step).is_file():
            return None
        return Saved(state, saved["weights"], saved["optimiser"])

    def save_best(self, model: dict[str, Tensor], step: int) -> None:
        """Keeps these weights as the best so far, those of a step."""
        scratch = self._best(step).with_suffix(".tmp")
        # Copied one by one: tied weights share their memory, which the format refuses.
        save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.items()}, scratch)
        scratch.replace(self._best(step))

    def load_best(self, step: int) -> dict[str, Tensor]:
        """Returns the best weights, those of a step."""
        return load_file(self._best(step))

    def _best(self, step: int) -> Path:
        return self._folder / f"best-{step}.safetensors"

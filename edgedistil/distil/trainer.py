"""The training loop: one for teachers, students and recovery after pruning.

Accelerate places the model, picks the arithmetic and scales the loss; this file decides what is trained on and
when it is judged. A run that is killed goes on from its last checkpoint and ends with the same weights as one
that was not: order and dropout follow from the seed and the step alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import collate, epoch_plan, row_lengths
from edgedistil.distil.checkpoint import CheckpointFolder, RunState
from edgedistil.distil.evaluate import accuracy, predict_logits
from edgedistil.distil.memory import keep_freed_memory
from edgedistil.distil.objective import Objective
from edgedistil.distil.precision import Precision, choose_precision
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Bar, Progress, SilentProgress
from edgedistil.recipe.schema import FineTune

_CLIP = 1.0


@dataclass(frozen=True)
class TrainingSet:
    """What a run learns from and is judged by."""

    train: EvaluationSet
    dev: EvaluationSet


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        dev_accuracy: Of the best checkpoint, which the model now holds.
        best_step: Step of that checkpoint.
        steps: Optimiser steps in all.
        history: A record an evaluation: step, epoch, each loss's mean since the last, dev accuracy.
        resumed_from: Step that this start went on from; 0 for a fresh one.
        seconds: Training time, over every start.
        examples_per_second: Training rows over that time.
    """

    dev_accuracy: float
    best_step: int
    steps: int
    history: list[dict[str, float]]
    resumed_from: int
    seconds: float
    examples_per_second: float


class _Run:
    """State of one training run; `train` below is its front door."""

    def __init__(
        self,
        model: PreTrainedModel,
        data: TrainingSet,
        objective: Objective,
        settings: FineTune,
        seed: int,
        precision: Precision,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.data = data
        self.objective = objective
        self.lengths = row_lengths(data.train)
        self.steps_per_epoch = -(-len(data.train) // settings.batch_size)
        self.total_steps = max(1, round(settings.epochs * self.steps_per_epoch))
        self.evaluate_every = max(1, self.steps_per_epoch // settings.evaluations_per_epoch)
        self.accelerator = Accelerator(mixed_precision=precision)
        self.bf16 = precision == "bf16"
        optimiser = torch.optim.AdamW(_parameter_groups(model, settings), lr=settings.learning_rate, fused=True)
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.state = RunState()
        self._plans: dict[int, list[np.ndarray]] = {}
        self._losses: dict[str, list[float]] = {}

    def step(self) -> int:
        """Takes one optimiser step; returns the rows it saw."""
        epoch, position = divmod(self.state.step, self.steps_per_epoch)
        if epoch not in self._plans:
            self._plans = {epoch: epoch_plan(self.lengths, self.settings.batch_size, self.seed, epoch)}
        indices = self._plans[epoch][position]
        batch = collate(self.data.train, indices).to(self.accelerator.device)
        # Dropout follows from the step, not from how often the run was started.
        torch.manual_seed(self.seed * 1_000_003 + self.state.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.state.step)
        loss, terms = self.objective(self.model, batch)
        if not torch.isfinite(loss):
            raise EdgeDistilError(
                f"the loss became {float(loss.detach())} at step {self.state.step}", cure="lower the learning rate"
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        for name, value in terms.items():
            self._losses.setdefault(name, []).append(value)
        self.state.step += 1
        return len(indices)

    def learning_rate(self, step: int) -> float:
        """Returns the rate of a step: a linear rise, then a linear fall to zero."""
        warmup = max(1, round(self.settings.warmup_share * self.total_steps))
        rise = min(1.0, (step + 1) / warmup)
        fall = max(0.0, (self.total_steps - step) / max(1, self.total_steps - warmup))
        return self.settings.learning_rate * min(rise, fall, 1.0)

    def evaluation_due(self) -> bool:
        """Returns whether the dev set is scored after this step."""
        return self.state.step % self.evaluate_every == 0 or self.state.step == self.total_steps

    def evaluate(self) -> bool:
        """Scores the dev set, keeps a record; returns whether this is the best so far."""
        logits = predict_logits(self.accelerator.unwrap_model(self.model), self.data.dev, bf16=self.bf16)
        score = accuracy(logits, np.asarray(self.data.dev.labels))
        record = {name: float(np.mean(values)) for name, values in self._losses.items()}
        self._losses = {}
        record |= {
            "step": self.state.step,
            "epoch": self.state.step / self.steps_per_epoch,
            "dev_accuracy": score,
        }
        self.state.history.append(record)
        better = score > self.state.best_score
        self.state.best_score = max(score, self.state.best_score)
        return better


def train(
    model: PreTrainedModel,
    data: TrainingSet,
    objective: Objective,
    settings: FineTune,
    folder: Path,
    *,
    seed: int,
    description: str = "training",
    progress: Progress | None = None,
    checkpoint_seconds: float = 30.0,
    precision: Precision | None = None,
) -> TrainingResult:
    """Trains a model in place; it ends with the weights of the best dev checkpoint.

    Args:
        model: Classifier whose forward takes `input_ids` and `attention_mask`.
        data: Training and dev rows.
        objective: What to minimise.
        settings: Epochs, batch size, learning rate.
        folder: Checkpoints; a run that finds its own here goes on from it.
        seed: Of order and dropout.
        description: Words beside the bar.
        progress: Where the bar is shown.
        checkpoint_seconds: Time between checkpoints.
        precision: "bf16" or "no"; by default what the machine does natively.

    Raises:
        EdgeDistilError: When the loss is no longer a number.
    """
    keep_freed_memory()
    run = _Run(model, data, objective, settings, seed, precision or choose_precision())
    checkpoints = CheckpointFolder(folder)
    resumed_from = _resume(run, checkpoints)
    model.train()
    with (progress or SilentProgress()).bar(description, run.total_steps) as bar:
        bar.advance(run.state.step)
        _loop(run, checkpoints, bar, checkpoint_seconds)
    # Accelerate has wrapped the forward in autocast; what leaves here is a plain fp32 model.
    run.accelerator.unwrap_model(run.model, keep_fp32_wrapper=False)
    model.load_state_dict(checkpoints.load_best())
    model.to("cpu").eval()
    best = max(run.state.history, key=lambda record: (record["dev_accuracy"], -record["step"]))
    seen = run.state.step * len(data.train) / run.steps_per_epoch
    return TrainingResult(
        dev_accuracy=run.state.best_score,
        best_step=int(best["step"]),
        steps=run.state.step,
        history=run.state.history,
        resumed_from=resumed_from,
        seconds=run.state.seconds,
        examples_per_second=seen / max(run.state.seconds, 1e-9),
    )


def _loop(run: _Run, checkpoints: CheckpointFolder, bar: Bar, checkpoint_seconds: float) -> None:
    mark = saved = time.monotonic()
    while run.state.step < run.total_steps:
        run.step()
        bar.advance()
        now = time.monotonic()
        run.state.seconds += now - mark
        mark = now
        if run.evaluation_due():
            if run.evaluate():
                checkpoints.save_best(run.accelerator.unwrap_model(run.model).state_dict())
            mark = time.monotonic()
        if mark - saved >= checkpoint_seconds:
            model = run.accelerator.unwrap_model(run.model)
            checkpoints.save(run.state, model.state_dict(), run.optimiser.optimizer.state_dict())
            mark = saved = time.monotonic()


def _resume(run: _Run, checkpoints: CheckpointFolder) -> int:
    found = checkpoints.load()
    if found is None:
        return 0
    run.state, weights, optimiser = found
    run.accelerator.unwrap_model(run.model).load_state_dict(weights)
    run.optimiser.optimizer.load_state_dict(optimiser)
    return run.state.step


def _parameter_groups(model: PreTrainedModel, settings: FineTune) -> list[dict[str, object]]:
    """Biases and LayerNorm are not decayed (Devlin et al. 2019, appendix A.2)."""
    decayed: list[torch.nn.Parameter] = []
    free: list[torch.nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    return [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]

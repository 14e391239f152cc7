"""The training loop: one for teachers, students, general distillation and recovery after pruning.

Accelerate places the model, picks the arithmetic and starts further processes; this file decides when a run is judged
and what is kept. A run that is killed goes on from its last checkpoint and ends with the same weights as one that was
not: order and dropout follow from the seed and the step alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from edgedistil.distil.checkpoint import CheckpointFolder
from edgedistil.distil.dropout import dropping
from edgedistil.distil.memory import keep_freed_memory, return_freed_memory
from edgedistil.distil.objective import Objective
from edgedistil.distil.precision import Precision, choose_precision
from edgedistil.distil.run import Run, TrainingSet
from edgedistil.progress import Bar, Progress, SilentProgress
from edgedistil.recipe.schema import FineTune

__all__ = ["TrainingResult", "TrainingSet", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        dev_score: Of the checkpoint which the model now holds.
        metric: What the score is.
        best_step: Step of that checkpoint.
        steps: Optimiser steps in all.
        history: A record an evaluation: step, epoch, each loss's mean since the last, dev score and dev loss.
        resumed_from: Step that this start went on from; 0 for a fresh one.
        seconds: Training time, over every start.
        examples_per_second: Training rows over that time.
        stopped_early: Whether the dev score had stopped rising before the last epoch was over.
    """

    dev_score: float
    metric: str
    best_step: int
    steps: int
    history: list[dict[str, float]]
    resumed_from: int
    seconds: float
    examples_per_second: float
    stopped_early: bool = False


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

    Where no loss looks at the model's answers it ends with the last step's, for the task's score then says nothing.

    Args:
        model: Its forward takes `input_ids` and `attention_mask`.
        data: Training and dev rows.
        objective: What to minimise.
        settings: Epochs, batch size, learning rate.
        folder: Checkpoints; a run that finds its own here goes on from it. Several processes must all see it.
        seed: Of order and dropout.
        description: Words beside the bar.
        progress: Where the bar is shown.
        checkpoint_seconds: Time between checkpoints.
        precision: "bf16" or "no"; by default what the machine does natively.

    Raises:
        EdgeDistilError: When the loss is no longer a number.
    """
    keep_freed_memory()
    run = Run(model, data, objective, settings, seed=seed, precision=precision or choose_precision())
    checkpoints = CheckpointFolder(folder)
    saved = checkpoints.load()
    if saved is not None:
        run.restore(saved)
    resumed_from = run.state.step
    run.processes.wait()
    model.train()
    shown = progress if progress is not None and run.processes.is_main else SilentProgress()
    with dropping(model, settings.dropout), shown.bar(description, run.total_steps) as bar:
        bar.advance(run.state.step)
        _loop(run, checkpoints, bar, checkpoint_seconds)
    run.processes.wait()
    # Accelerate has wrapped the forward in autocast; what leaves here is a plain fp32 model.
    run.processes.accelerator.unwrap_model(run.model, keep_fp32_wrapper=False)
    # By this mark it would take a model that comes again for one that it has wrapped and placed already.
    vars(model).pop("_is_accelerate_prepared", None)
    if run.keeps_best:
        model.load_state_dict(checkpoints.load_best(run.state.best_step))
    model.to("cpu").eval()
    return _result(run, resumed_from)


def _loop(run: Run, checkpoints: CheckpointFolder, bar: Bar, checkpoint_seconds: float) -> None:
    mark = saved = time.monotonic()
    fresh = not run.done
    while not run.done:
        run.step()
        bar.advance()
        now = time.monotonic()
        run.state.seconds += now - mark
        mark = now
        if run.evaluation_due():
            if run.evaluate() and run.processes.is_main:
                model = run.processes.accelerator.unwrap_model(run.model)
                checkpoints.save_best(model.state_dict(), run.state.best_step)
            mark = time.monotonic()
        if mark - saved >= checkpoint_seconds:
            return_freed_memory()
            if run.processes.is_main:
                checkpoints.save(run.saved())
            mark = saved = time.monotonic()
    if fresh and run.processes.is_main:
        checkpoints.save(run.saved())


def _result(run: Run, resumed_from: int) -> TrainingResult:
    state = run.state
    last = state.history[-1]
    seen = state.step * len(run.data.train) / run.steps_per_epoch
    return TrainingResult(
        dev_score=state.best_score if run.keeps_best else last["dev_score"],
        metric=run.judge.metric,
        best_step=state.best_step if run.keeps_best else int(last["step"]),
        steps=state.step,
        history=state.history,
        resumed_from=resumed_from,
        seconds=state.seconds,
        examples_per_second=seen / max(state.seconds, 1e-9),
        stopped_early=run.stopped_early and state.step < run.total_steps,
    )

"""One training run: which rows a step sees, its rate, its gradients, and when it is judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import Batch, collate, epoch_plan
from edgedistil.distil.checkpoint import RunState, Saved
from edgedistil.distil.judge import Judge, Judgement, TaskJudge
from edgedistil.distil.objective import Objective
from edgedistil.distil.precision import Precision
from edgedistil.distil.processes import Processes
from edgedistil.distil.rows import TokenRows, release_rows, row_lengths
from edgedistil.errors import EdgeDistilError
from edgedistil.recipe.schema import FineTune
from edgedistil.tasks.answers import Answers

_CLIP = 1.0
_RELEASE_EVERY = 32


@dataclass(frozen=True)
class TrainingSet:
    """What a run learns from and is judged by.

    Attributes:
        train: Training rows; those without a label have no supervised loss.
        dev: Rows that choose the best checkpoint.
        task: Name of the task.
        labels: Names of the model's outputs, in order.
        answers: The dev examples' answers, for tasks that need them.
        transform: What is done to every batch of an epoch, such as masking words.
        judge: Scores the checkpoints; by default the task's headline metric.
    """

    train: TokenRows
    dev: EvaluationSet
    task: str = "text-classification"
    labels: tuple[str, ...] = ()
    answers: Answers | None = None
    transform: Callable[[Batch, int], Batch] | None = None
    judge: Judge | None = None


class Run:
    """State of one training run.

    Args:
        model: What is trained, in place.
        data: Training and dev rows.
        objective: What to minimise.
        settings: Epochs, batch size, learning rate.
        seed: Of order and dropout.
        precision: Arithmetic of the forward pass.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        data: TrainingSet,
        objective: Objective,
        settings: FineTune,
        *,
        seed: int,
        precision: Precision,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.data = data
        self.objective = objective
        self.judge = data.judge or TaskJudge(data.task, data.dev, data.labels, data.answers)
        self.lengths = row_lengths(data.train)
        self.steps_per_epoch = -(-len(data.train) // settings.batch_size)
        self.total_steps = max(1, round(settings.epochs * self.steps_per_epoch))
        self.evaluate_every = max(1, self.steps_per_epoch // settings.evaluations_per_epoch)
        self.bf16 = precision == "bf16"
        self.processes = Processes(precision)
        accelerator = self.processes.accelerator
        # Without accelerate's own wrapper for several processes: it wants every parameter used and every share full.
        self.model = accelerator.prepare_model(model, evaluation_mode=True)
        self.modules = nn.ModuleDict({"model": model})
        if objective.adapters is not None:
            self.modules["adapters"] = objective.adapters.to(self.processes.device)
        self.processes.share(self.modules)
        groups = parameter_groups(self.modules, settings)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimiser = accelerator.prepare_optimizer(torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True))
        self.state = RunState()
        self._plans: dict[int, list[np.ndarray]] = {}

    def step(self) -> int:
        """Takes one optimiser step; returns the rows it saw, over all processes.

        Raises:
            EdgeDistilError: When the loss is no longer a number.
        """
        batch = self._batch()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.state.step)
        terms = self._backward(batch)
        self.processes.accelerator.clip_grad_norm_(self.parameters, _CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        for name, value in terms.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + value
            self.state.counts[name] = self.state.counts.get(name, 0) + 1
        self.state.step += 1
        return len(batch)

    def _batch(self) -> Batch:
        epoch, position = divmod(self.state.step, self.steps_per_epoch)
        if epoch not in self._plans:
            self._plans = {epoch: epoch_plan(self.lengths, self.settings.batch_size, self.seed, epoch)}
        if position % _RELEASE_EVERY == 0:
            release_rows(self.data.train)
        batch = collate(self.data.train, self._plans[epoch][position])
        return self.data.transform(batch, epoch) if self.data.transform else batch

    def _backward(self, batch: Batch) -> dict[str, float]:
        """Computes the gradients of a whole step; returns each term's value over all of its rows."""
        names = self.objective.active
        units = batch.units()
        share = self.state.step / self.total_steps
        values = torch.zeros(2 * len(names) + 1, device=self.processes.device)
        own = batch.part(self.processes.number, self.processes.count)
        self.objective.begin(self.state.step)
        for number in range(self.settings.accumulate):
            part = own.part(number, self.settings.accumulate)
            if not len(part):
                continue
            self._seed_dropout(number)
            loss, terms = self.objective(self.model, part.to(self.processes.device), units, share)
            if loss.requires_grad:
                self.processes.accelerator.backward(loss)
            values += _packed(loss, terms, names)
        total, *rest = self.processes.add_up(self.parameters, values).tolist()
        if not math.isfinite(total):
            raise EdgeDistilError(f"the loss became {total} at step {self.state.step}", cure="lower the learning rate")
        found, sums = rest[: len(names)], rest[len(names) :]
        return {name: value for name, seen, value in zip(names, found, sums, strict=True) if seen}

    def _seed_dropout(self, part: int) -> None:
        """Makes dropout follow from the step and the share of its rows, not from how often the run was started."""
        place = self.processes.number * self.settings.accumulate + part
        torch.manual_seed(self.seed * 1_000_003 + self.state.step + place * 1_000_000_007)

    def learning_rate(self, step: int) -> float:
        """Returns the rate of a step: a linear rise, then a linear fall to zero."""
        warmup = max(1, round(self.settings.warmup_share * self.total_steps))
        rise = min(1.0, (step + 1) / warmup)
        fall = max(0.0, (self.total_steps - step) / max(1, self.total_steps - warmup))
        return self.settings.learning_rate * min(rise, fall, 1.0)

    @property
    def keeps_best(self) -> bool:
        """Returns whether the best checkpoint is kept, rather than the last one.

        The task's score says nothing of a stage whose losses leave the answers alone.
        """
        return self.settings.keep != "last" and (self.objective.predicts or self.data.judge is not None)

    @property
    def done(self) -> bool:
        """Returns whether every step is taken, or the dev score has not risen for as long as the recipe waits."""
        return self.state.step >= self.total_steps or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Returns whether the recipe's patience is spent."""
        patience = self.settings.patience
        if patience is None or not self.keeps_best:
            return False
        since = sum(record["step"] > self.state.best_step for record in self.state.history)
        return since >= patience

    def evaluation_due(self) -> bool:
        """Returns whether the dev set is scored after this step."""
        return self.state.step % self.evaluate_every == 0 or self.state.step == self.total_steps

    def evaluate(self) -> bool:
        """Scores the dev set, keeps a record; returns whether this is the best so far."""
        model = self.processes.accelerator.unwrap_model(self.model)
        judgement = self.processes.from_main(lambda: self.judge(model, bf16=self.bf16))
        state = self.state
        record = {name: total / state.counts[name] for name, total in state.sums.items()}
        record |= {
            "step": state.step,
            "epoch": state.step / self.steps_per_epoch,
            "dev_score": judgement.score,
            "dev_loss": judgement.loss,
        }
        better = self._is_better(judgement)
        state.sums, state.counts = {}, {}
        state.history.append(record)
        if better:
            state.best_score, state.best_step = judgement.score, state.step
        return better

    def _is_better(self, judgement: Judgement) -> bool:
        if not self.state.history:
            return True
        if self.settings.keep == "loss":
            return judgement.loss < min(record["dev_loss"] for record in self.state.history)
        return judgement.score > self.state.best_score

    def saved(self) -> Saved:
        """Returns all that a later start needs to go on from here."""
        return Saved(self.state, self.modules.state_dict(), self.optimiser.optimizer.state_dict())

    def restore(self, saved: Saved) -> None:
        """Goes back to where a checkpoint was written."""
        self.state = saved.state
        self.modules.load_state_dict(saved.weights)
        self.optimiser.optimizer.load_state_dict(saved.optimiser)


def _packed(loss: Tensor, terms: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Returns [loss, whether each term was computed, each term], to be added up over parts and processes."""
    zero = torch.zeros((), device=loss.device)
    seen = [zero + float(name in terms) for name in names]
    return torch.stack([loss.detach().float(), *seen, *(terms.get(name, zero).float() for name in names)])


def parameter_groups(module: nn.Module, settings: FineTune) -> list[dict[str, Any]]:
    """Returns the parameters that are trained; biases and LayerNorm not decayed (Devlin et al. 2019, appendix A.2)."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    return [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]

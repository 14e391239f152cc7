"""The ways to make a model as fast as asked that `pruning.py` compares: every score's search, and plain baselines."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from edgedistil.models import EdgeBertForSequenceClassification, keep, take_layers
from edgedistil.prune import GroupLasso, Latency, PruneSettings, Scores, prune_to_target, score_model
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.costs import model_cost
from edgedistil.prune.fisher import loss_of
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import remove_blocks
from edgedistil.prune.target import Measure

Model = EdgeBertForSequenceClassification
BLOCK = 32
_STEPS = 193


@dataclass(frozen=True)
class Made:
    """A model and how it came about.

    Attributes:
        model: Dense and smaller.
        predicted: Milliseconds by the table, corrected where it was.
        error: The scores' sum over what was removed; None without scores.
        seconds: Of the search, once the blocks were scored.
    """

    model: Model
    predicted: float
    error: float | None
    seconds: float


class Start:
    """A model to be made faster, each score found once.

    Args:
        model: Unpruned.
        batches: Calibration text with labels.
        costs: Its latency by a device's table.
        lasso_epochs: Passes over the calibration text under group lasso.
        measure: What `prune_to_target` corrects its table by; None believes the table.
    """

    def __init__(
        self, model: Model, batches: Sequence[Batch], costs: Latency, lasso_epochs: int, measure: Measure | None = None
    ) -> None:
        self.model, self.batches, self.costs, self._measure = model, batches, costs, measure
        self._lasso_epochs = lasso_epochs
        self._scores: dict[str, Scores] = {}

    @cached_property
    def after_lasso(self) -> Model:
        """Returns the model after a short training under reweighted group lasso (Li et al. 2020)."""
        return _lasso_trained(self.model, self.batches, self._lasso_epochs)

    def of(self, score: str) -> Model:
        """Returns the model that a score looks at and prunes."""
        return self.after_lasso if score == "group_lasso" else self.model

    def scores(self, score: str) -> Scores:
        """Returns what a score found."""
        if score not in self._scores:
            settings = PruneSettings(1.0, block=BLOCK, score=score)
            self._scores[score] = score_model(self.of(score), self.batches, settings)
        return self._scores[score]

    def searched(self, score: str, milliseconds: float) -> Made:
        """Returns the dynamic programme's choice of levels within a latency."""
        scores, started = self.scores(score), time.monotonic()
        settings = PruneSettings(milliseconds, "latency_ms", block=BLOCK, score=score)
        answer = prune_to_target(self.of(score), self.batches, settings, self.costs, self._measure, scores=scores)
        result = answer.result
        return Made(result.model, result.predicted, result.predicted_error, time.monotonic() - started)

    def uniform(self, score: str, milliseconds: float) -> Made | None:
        """Returns the widest model within a latency that loses the same share of every sublayer, by a score."""
        scores, started = self.scores(score), time.monotonic()
        for lost in np.linspace(0, 1, _STEPS):
            levels = [round(lost * len(sublayer.blocks)) for sublayer in scores.sublayers]
            made, _, _ = remove_blocks(self.of(score), scores.sublayers, scores.scored, levels)
            predicted = model_cost(self.costs, made.config)
            if predicted <= milliseconds:
                error = sum(curve.errors[level] for curve, level in zip(scores.curves, levels, strict=True))
                return Made(made, predicted, error, time.monotonic() - started)
        return None

    def fewer_layers(self, milliseconds: float) -> Made | None:
        """Returns the deepest model of evenly chosen whole layers within a latency; None when one is too slow."""
        config, layers = self.model.config, self.model.config.num_hidden_layers
        for count in range(layers, 0, -1):
            kept = np.unique(np.linspace(0, layers - 1, count).round().astype(int)).tolist()
            heads = [range(size) if layer in kept else [] for layer, size in enumerate(config.heads)]
            ffn = [range(size) if layer in kept else [] for layer, size in enumerate(config.ffn)]
            predicted = model_cost(self.costs, keep(self.model, heads, ffn).config)
            if predicted <= milliseconds:
                return Made(take_layers(self.model, kept), predicted, None, 0.0)
        return None


Method = Callable[[Start, float], Made | None]


def _search(score: str) -> Method:
    return lambda start, milliseconds: start.searched(score, milliseconds)


METHODS: dict[str, Method] = {
    **{score: _search(score) for score in ("obs", "fisher", "fisher_block", "group_lasso", "magnitude")},
    "uniform obs": lambda start, milliseconds: start.uniform("obs", milliseconds),
    "uniform magnitude": lambda start, milliseconds: start.uniform("magnitude", milliseconds),
    "fewer layers": lambda start, milliseconds: start.fewer_layers(milliseconds),
}
"""By name, from a start and the milliseconds asked for to a model; None where there is none."""


def _lasso_trained(model: Model, batches: Sequence[Batch], epochs: int, rate: float = 2e-5) -> Model:
    made = copy.deepcopy(model).train()
    lasso = GroupLasso(made, sublayers_of(made.config, BLOCK), strength=1e-4)
    optimiser = torch.optim.AdamW(made.parameters(), lr=rate)
    torch.manual_seed(0)
    for epoch in range(epochs):
        for number in np.random.default_rng(epoch).permutation(len(batches)):
            ids, mask, labels = batches[number]
            optimiser.zero_grad()
            loss = loss_of(made, made(ids, mask).logits, labels) / len(ids) + lasso.penalty()
            loss.backward()
            optimiser.step()
        lasso.reweight()
    return made.eval()

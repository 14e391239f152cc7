"""The ways to make a model as fast as asked that `pruning.py` compares: every score's search, and plain baselines."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgedistil.models import EdgeBertForSequenceClassification, keep, take_layers
from edgedistil.prune import Latency, PruneSettings, Scores, prune_to_target, score_model
from edgedistil.prune.costs import CostModel, model_cost
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import remove_blocks
from edgedistil.prune.refit import refitted
from edgedistil.prune.target import Answer, Measure
from edgedistil.recipe.schema import Prune

Model = EdgeBertForSequenceClassification
BLOCK = 32
_STEPS = 192


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
        lasso: Makes the model after a training under reweighted group lasso (Li et al. 2020).
        measure: What `prune_to_target` corrects its table by, with the model that `obs` chooses; every method then
            believes the corrected table, so that all are made to the same speed. None believes the table.
    """

    def __init__(
        self,
        model: Model,
        batches: Sequence[Batch],
        costs: Latency,
        lasso: Callable[[], Model],
        measure: Measure | None = None,
    ) -> None:
        self.model, self.batches, self.costs, self._measure = model, batches, costs, measure
        self._lasso = lasso
        self._scores: dict[str, Scores] = {}
        self._answers: dict[float, Answer] = {}

    @cached_property
    def after_lasso(self) -> Model:
        """Returns the model after its training under group lasso."""
        return self._lasso()

    def of(self, score: str) -> Model:
        """Returns the model that a score looks at and prunes."""
        return self.after_lasso if score == "group_lasso" else self.model

    def scores(self, score: str) -> Scores:
        """Returns what a score found."""
        if score not in self._scores:
            settings = PruneSettings(1.0, block=BLOCK, score=score)
            self._scores[score] = score_model(self.of(score), self.batches, settings)
        return self._scores[score]

    def searched(self, score: str, speedup: float) -> Made:
        """Returns the dynamic programme's choice of levels for a speedup."""
        if score == "obs":
            answer = self._corrected(speedup)
        else:
            answer = self._search(score, speedup, self._corrected(speedup).costs, None)
        result = answer.result
        return Made(result.model, result.predicted, result.predicted_error, result.seconds)

    def refitted(self, made: Made) -> Made:
        """Returns a model with its output Linears solved anew."""
        started = time.monotonic()
        model = refitted(made.model, self.model, self.batches)
        return replace(made, model=model, seconds=made.seconds + time.monotonic() - started)

    def by_default(self, speedup: float) -> Made:
        """Returns what a recipe without a training afterwards gives: OBS, a local search, refitted."""
        prune = Prune(speedup=speedup, recover=None)
        settings = PruneSettings(speedup, "speedup", block=BLOCK, local_search=prune.candidates, refit=prune.refits)
        answer = prune_to_target(
            self.model, self.batches, settings, self.costs, self._measure, scores=self.scores("obs")
        )
        result = answer.result
        return Made(result.model, result.predicted, result.predicted_error, result.seconds)

    def _corrected(self, speedup: float) -> Answer:
        """Returns OBS's model for a speedup, and the table as it was corrected for it."""
        if speedup not in self._answers:
            self._answers[speedup] = self._search("obs", speedup, self.costs, self._measure)
        return self._answers[speedup]

    def _search(self, score: str, speedup: float, costs: CostModel, measure: Measure | None) -> Answer:
        settings = PruneSettings(speedup, "speedup", block=BLOCK, score=score)
        scores = self.scores(score)
        return prune_to_target(self.of(score), self.batches, settings, costs, measure, scores=scores)

    def _limit(self, speedup: float) -> tuple[CostModel, float]:
        """Returns the corrected table and the milliseconds that a speedup comes to by it."""
        costs = self._corrected(speedup).costs
        return costs, model_cost(costs, self.model.config) / speedup

    def uniform(self, score: str, speedup: float) -> Made | None:
        """Returns the widest model of a speedup that loses the same share of every sublayer, by a score."""
        scores, started, (costs, limit) = self.scores(score), time.monotonic(), self._limit(speedup)

        def levels(step: int) -> list[int]:
            return [round(step / _STEPS * len(sublayer.blocks)) for sublayer in scores.sublayers]

        def made(step: int) -> Model:
            return remove_blocks(self.of(score), scores.sublayers, scores.scored, levels(step))[0]

        step = bisect_left(range(_STEPS + 1), True, key=lambda step: model_cost(costs, made(step).config) <= limit)
        if step > _STEPS:
            return None
        error = sum(curve.errors[level] for curve, level in zip(scores.curves, levels(step), strict=True))
        return Made(made(step), model_cost(costs, made(step).config), error, time.monotonic() - started)

    def fewer_layers(self, speedup: float) -> Made | None:
        """Returns the deepest model of evenly chosen whole layers of a speedup; None when one is too slow."""
        config, layers = self.model.config, self.model.config.num_hidden_layers
        costs, limit = self._limit(speedup)
        for count in range(layers, 0, -1):
            kept = np.unique(np.linspace(0, layers - 1, count).round().astype(int)).tolist()
            heads = [range(size) if layer in kept else [] for layer, size in enumerate(config.heads)]
            ffn = [range(size) if layer in kept else [] for layer, size in enumerate(config.ffn)]
            predicted = model_cost(costs, keep(self.model, heads, ffn).config)
            if predicted <= limit:
                return Made(take_layers(self.model, kept), predicted, None, 0.0)
        return None


Method = Callable[[Start, float], Made | None]


def _search(score: str) -> Method:
    return lambda start, speedup: start.searched(score, speedup)


def _uniform_refitted(start: Start, speedup: float) -> Made | None:
    made = start.uniform("obs", speedup)
    return made and start.refitted(made)


METHODS: dict[str, Method] = {
    **{score: _search(score) for score in ("obs", "fisher", "fisher_block", "group_lasso", "magnitude")},
    "obs by default": lambda start, speedup: start.by_default(speedup),
    "uniform obs": lambda start, speedup: start.uniform("obs", speedup),
    "uniform obs refitted": _uniform_refitted,
    "uniform magnitude": lambda start, speedup: start.uniform("magnitude", speedup),
    "fewer layers": lambda start, speedup: start.fewer_layers(speedup),
}
"""By name, from a start and the speedup asked for to a model; None where there is none."""

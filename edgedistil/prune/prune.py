"""Pruning a model under a budget: score its blocks, choose how many each sublayer loses, remove them."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.models.shrink import keep
from edgedistil.progress import Progress, SilentProgress
from edgedistil.prune.blocks import Sublayer, sublayers_of
from edgedistil.prune.costs import CostModel, allowance, cost_model, impossible, level_costs, model_cost
from edgedistil.prune.curve import Curve
from edgedistil.prune.finalists import even_choices, nearest_refitted
from edgedistil.prune.local_search import improve
from edgedistil.prune.moments import Batch
from edgedistil.prune.rearrange import rearranged
from edgedistil.prune.refit import refitted
from edgedistil.prune.regroup import regrouped
from edgedistil.prune.rescale import rescaled
from edgedistil.prune.scores import Request, Scored, get_score
from edgedistil.prune.search import cheapest, choose_levels
from edgedistil.prune.settings import SHARES, PruneSettings

# Sums of the same costs in another order differ by less.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PruneResult:
    """A pruned model and how it came about.

    Attributes:
        model: The smaller model, its tensors physically sliced, in eval mode.
        heads_kept: For each layer, the heads of the larger model that stay.
        ffn_kept: For each layer, the FFN neurons of the larger model that stay.
        sublayers: What could be pruned, in the order of `curves` and `levels`.
        curves: For each sublayer, the order of removal and the error at each level.
        levels: For each sublayer, how many blocks it lost.
        predicted_error: The sum of the curves at these levels, in the score's unit.
        share: The part of the prunable cost that stayed; never above the budget.
        predicted: What the smaller model costs, in the budget's unit.
        before: What the larger model costs.
        unit: Of the two: `parameters`, `macs`, `ms`, `instructions` or `MB`.
        seconds: Wall time.
    """

    model: EdgeBertForSequenceClassification
    heads_kept: list[list[int]]
    ffn_kept: list[list[int]]
    sublayers: list[Sublayer]
    curves: list[Curve]
    levels: list[int]
    predicted_error: float
    share: float
    predicted: float
    before: float
    unit: str
    seconds: float


@dataclass(frozen=True)
class Scores:
    """What a score found out about a model; good for any number of budgets.

    Attributes:
        sublayers: What can be pruned.
        scored: The curve and rebuilt Linear of each.
        seconds: Wall time.
    """

    sublayers: list[Sublayer]
    scored: list[Scored]
    seconds: float

    @property
    def curves(self) -> list[Curve]:
        """Returns each sublayer's curve."""
        return [each.curve for each in self.scored]

    def cost_table(self, config: EdgeBertConfig, costs: CostModel) -> list[list[float]]:
        """Returns what each sublayer costs at each level, in the order of the curves."""
        return [
            level_costs(config, sublayer, curve.order, costs)
            for sublayer, curve in zip(self.sublayers, self.curves, strict=True)
        ]


def score_model(
    model: EdgeBertForSequenceClassification,
    calibration_batches: Sequence[Batch],
    settings: PruneSettings,
    progress: Progress | None = None,
) -> Scores:
    """Scores a model's blocks, once for all budgets.

    Args:
        model: The model; it is left as it is.
        calibration_batches: Token ids and attention masks [batch, sequence], and for some scores labels.
        settings: The score and its options.
        progress: Where to report.

    Raises:
        UsageError: When the score is unknown, or there is nothing to prune or no text.
    """
    started = time.perf_counter()
    sublayers = sublayers_of(model.config, settings.block)
    if not sublayers:
        raise UsageError("the model has no heads and no FFN neurons to prune", cure="give an unpruned model")
    if settings.regroup:
        sublayers = regrouped(model, calibration_batches, sublayers, settings.damping)
    request = Request(model, calibration_batches, sublayers, settings.damping, progress or SilentProgress())
    return Scores(sublayers, get_score(settings.score)(request), time.perf_counter() - started)


def choose(
    model: EdgeBertForSequenceClassification, scores: Scores, settings: PruneSettings, costs: CostModel
) -> list[int]:
    """Returns the level of each sublayer with the least error under a budget; nothing goes where all may stay.

    Raises:
        UsageError: When no choice of levels fits; the line names the nearest budget that does.
    """
    table = scores.cost_table(model.config, costs)
    budget = allowance(settings, costs, model.config)
    # Blocks that do nothing on calibration text are cheaper at the same error: the search would take them all the same.
    if sum(row[0] for row in table) <= budget * (1 + _ROUNDING):
        return [0] * len(table)
    least = cheapest(table)
    if settings.budget not in SHARES and least > budget:
        whole, rest = model_cost(costs, model.config), costs.rest(model.config)
        raise impossible(settings, whole, rest + least, costs.unit)
    levels = choose_levels([curve.errors for curve in scores.curves], table, budget)
    if settings.budget in SHARES and not sum(row[level] for row, level in zip(table, levels, strict=True)):
        raise UsageError(
            f"a pruning budget of {settings.amount:g} leaves no head and no FFN block",
            where=f"prune.{settings.budget}",
            cure="raise it",
        )
    return levels


def remove_blocks(
    model: EdgeBertForSequenceClassification,
    sublayers: Sequence[Sublayer],
    scored: Sequence[Scored],
    levels: Sequence[int],
) -> tuple[EdgeBertForSequenceClassification, list[list[int]], list[list[int]]]:
    """Updates the output Linears and slices out the blocks that each sublayer loses.

    Args:
        model: The larger model; it is left as it is.
        sublayers: What can be pruned.
        scored: The curve and rebuilt Linear of each.
        levels: How many blocks each loses.

    Returns:
        The smaller model in eval mode, and the heads and the FFN neurons kept in each layer.
    """
    updated = copy.deepcopy(model).eval()
    heads: list[list[int]] = [[] for _ in model.config.heads]
    neurons: list[list[int]] = [[] for _ in model.config.ffn]
    for sublayer, each, level in zip(sublayers, scored, levels, strict=True):
        blocks = each.curve.kept(level)
        columns = sublayer.columns(blocks)
        if sublayer.kind == "attention":
            heads[sublayer.layer] = blocks
        else:
            neurons[sublayer.layer] = columns
        if level:
            linear = sublayer.output(updated)
            weight, bias = each.rebuild(columns)
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
    return keep(updated, heads, neurons), heads, neurons


def _searched_on(
    model: EdgeBertForSequenceClassification,
    scores: Scores,
    levels: list[int],
    settings: PruneSettings,
    costs: CostModel,
    batches: Sequence[Batch],
    progress: Progress,
) -> list[int]:
    """Returns levels whose model is nearer to the larger one than the dynamic programme's, where some were found."""
    improved = improve(model, scores, levels, settings, costs, batches, progress)
    if not settings.refit:
        return improved
    even = even_choices(model, scores, levels, settings, costs)
    return nearest_refitted(model, scores, [improved, levels, *even], batches, progress)


def _mended(
    smaller: EdgeBertForSequenceClassification,
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    settings: PruneSettings,
) -> EdgeBertForSequenceClassification:
    """Returns a pruned model whose weights make up for what is gone as the settings ask for."""
    if settings.rescale:
        smaller = rescaled(smaller, model, batches)
    if settings.refit:
        smaller = refitted(smaller, model, batches)
    return smaller


def prune(
    model: EdgeBertForSequenceClassification,
    calibration_batches: Sequence[Batch],
    settings: PruneSettings,
    progress: Progress | None = None,
    *,
    costs: CostModel | None = None,
    scores: Scores | None = None,
) -> PruneResult:
    """Removes heads and FFN blocks until a model fits a budget, unevenly over its layers.

    The rest of each sublayer makes up for what is gone by least squares; training that recovers more comes after.

    Args:
        model: The model; it is left as it is.
        calibration_batches: Token ids and attention masks [batch, sequence] of a few hundred real texts, and labels
            for a score that learns from them.
        settings: The budget and how to spend it.
        progress: Where to report.
        costs: What the budget is counted in: `Latency` for `latency_ms` and `speedup`, `FileSize` for `size_mb`.
        scores: What `score_model` found for the same model and settings, so as not to find it again.

    Raises:
        UsageError: When the score is unknown, there is no text, or the budget cannot be met.
    """
    started = time.perf_counter()
    progress = progress or SilentProgress()
    costs = cost_model(settings, costs)
    scores = scores or score_model(model, calibration_batches, settings, progress)
    levels = choose(model, scores, settings, costs)
    if settings.local_search and any(levels):
        levels = _searched_on(model, scores, levels, settings, costs, calibration_batches, progress)
    scored = rearranged(model, scores, levels, calibration_batches) if settings.rearrange else scores.scored
    smaller, heads, neurons = remove_blocks(model, scores.sublayers, scored, levels)
    if any(levels):
        smaller = _mended(smaller, model, calibration_batches, settings)
    before, after = model_cost(costs, model.config), model_cost(costs, smaller.config)
    rest = costs.rest(model.config)
    return PruneResult(
        model=smaller,
        heads_kept=heads,
        ffn_kept=neurons,
        sublayers=scores.sublayers,
        curves=[each.curve for each in scored],
        levels=levels,
        predicted_error=sum(each.curve.errors[level] for each, level in zip(scored, levels, strict=True)),
        share=(after - rest) / (before - rest),
        predicted=after,
        before=before,
        unit=costs.unit,
        seconds=time.perf_counter() - started,
    )

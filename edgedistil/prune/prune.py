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
from edgedistil.models.size import head_macs, head_parameters, neuron_macs, neuron_parameters
from edgedistil.progress import Progress, SilentProgress
from edgedistil.prune.blocks import Sublayer, sublayers_of
from edgedistil.prune.curve import Curve
from edgedistil.prune.moments import Batch
from edgedistil.prune.scores import Request, Scored, get_score
from edgedistil.prune.search import choose_levels
from edgedistil.prune.settings import PruneSettings


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
    seconds: float


def level_costs(sublayer: Sublayer, order: Sequence[int], per_column: float) -> list[float]:
    """Returns what a sublayer costs at each level, from nothing removed to nothing left.

    Args:
        sublayer: The sublayer.
        order: Its blocks in the order of removal.
        per_column: Cost of one column of its output Linear.
    """
    columns = sum(len(block) for block in sublayer.blocks)
    costs = [columns * per_column]
    for block in order:
        columns -= len(sublayer.blocks[block])
        costs.append(columns * per_column)
    return costs


def _cost_per_column(config: EdgeBertConfig, sublayer: Sublayer, settings: PruneSettings) -> float:
    length = settings.sequence_length
    if sublayer.kind == "attention":
        head = head_parameters(config) if settings.budget == "parameters" else head_macs(config, length)
        return head / config.head_size
    return neuron_parameters(config) if settings.budget == "parameters" else neuron_macs(config, length)


def _spend(
    config: EdgeBertConfig, sublayers: Sequence[Sublayer], curves: Sequence[Curve], settings: PruneSettings
) -> tuple[list[int], float]:
    """Returns the level of each sublayer and the part of the prunable cost that stays."""
    costs = [
        level_costs(sublayer, curve.order, _cost_per_column(config, sublayer, settings))
        for sublayer, curve in zip(sublayers, curves, strict=True)
    ]
    total = sum(levels[0] for levels in costs)
    levels = choose_levels([curve.errors for curve in curves], costs, settings.share * total)
    spent = sum(cost[level] for cost, level in zip(costs, levels, strict=True))
    if not spent:
        raise UsageError(
            f"a pruning budget of {settings.share:g} leaves no head and no FFN block",
            where="prune.share",
            cure="raise it",
        )
    return levels, spent / total


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


def prune(
    model: EdgeBertForSequenceClassification,
    calibration_batches: Sequence[Batch],
    settings: PruneSettings,
    progress: Progress | None = None,
) -> PruneResult:
    """Removes heads and FFN blocks until a model fits a budget, unevenly over its layers.

    The rest of each sublayer makes up for what is gone by least squares; training that recovers more comes after.

    Args:
        model: The model; it is left as it is.
        calibration_batches: Token ids and attention masks [batch, sequence] of a few hundred real texts; no labels.
        settings: The budget and how to spend it.
        progress: Where to report.

    Raises:
        UsageError: When the score is unknown, there is no text, or the budget leaves no block at all.
    """
    started = time.perf_counter()
    sublayers = sublayers_of(model.config, settings.block)
    if not sublayers:
        raise UsageError("the model has no heads and no FFN neurons to prune", cure="give an unpruned model")
    request = Request(model, calibration_batches, sublayers, settings.damping, progress or SilentProgress())
    scored = get_score(settings.score)(request)
    curves = [each.curve for each in scored]
    levels, share = _spend(model.config, sublayers, curves, settings)
    smaller, heads, neurons = remove_blocks(model, sublayers, scored, levels)
    return PruneResult(
        model=smaller,
        heads_kept=heads,
        ffn_kept=neurons,
        sublayers=sublayers,
        curves=curves,
        levels=levels,
        predicted_error=sum(curve.errors[level] for curve, level in zip(curves, levels, strict=True)),
        share=share,
        seconds=time.perf_counter() - started,
    )

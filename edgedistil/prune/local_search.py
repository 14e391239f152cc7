"""A search around the dynamic programme's choice: sublayers' errors do not simply add up, a small loss tells.

ZipLM (arXiv 2302.04089, section 3.2) after SPDY (arXiv 2201.13096, section 3.3): each sublayer's errors are multiplied
by a coefficient, the coefficients are changed at random, and a change is kept when the model that the dynamic programme
then gives is better on calibration text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.costs import CostModel, allowance, level_costs
from edgedistil.prune.moments import Batch, some
from edgedistil.prune.search import choose_levels
from edgedistil.prune.settings import PruneSettings

if TYPE_CHECKING:
    from edgedistil.prune.prune import Scores

_TEXTS = 256
_SPREAD = 0.5
_SHARE = 0.2
_SEED = 0


@torch.no_grad()
def logit_distance(
    model: EdgeBertForSequenceClassification, original: EdgeBertForSequenceClassification, batches: Sequence[Batch]
) -> float:
    """Returns the mean squared difference of two models' logits on real tokens, centred over the labels."""
    total, texts = 0.0, 0
    for ids, mask, *_ in batches:
        change = model(ids, mask).logits - original(ids, mask).logits
        if change.shape[-1] > 1:
            change = change - change.mean(-1, keepdim=True)
        if change.ndim > 2:
            change = change * mask[:, :, None].to(change)
        total += float(change.square().sum())
        texts += len(ids)
    return total / max(texts, 1)


def improve(
    model: EdgeBertForSequenceClassification,
    scores: Scores,
    levels: list[int],
    settings: PruneSettings,
    costs: CostModel,
    batches: Sequence[Batch],
    progress: Progress,
) -> list[int]:
    """Returns levels within the same budget whose model is at least as near to the larger one on calibration text.

    Args:
        model: The larger model.
        scores: What was found out about it.
        levels: The dynamic programme's choice.
        settings: The budget, and how many candidates are tried.
        costs: What the budget is counted in.
        batches: Calibration text; a few hundred texts of it are looked at.
        progress: Told of every candidate.
    """
    from edgedistil.prune.prune import remove_blocks

    table = [
        level_costs(model.config, sublayer, curve.order, costs)
        for sublayer, curve in zip(scores.sublayers, scores.curves, strict=True)
    ]
    budget = allowance(settings, costs, model.config)
    few = some(batches, _TEXTS)
    seen: dict[tuple[int, ...], float] = {}

    def distance(choice: list[int]) -> float:
        key = tuple(choice)
        if key not in seen:
            smaller, _, _ = remove_blocks(model, scores.sublayers, scores.scored, choice)
            seen[key] = logit_distance(smaller, model, few)
        return seen[key]

    generator = np.random.default_rng(_SEED)
    coefficients = np.zeros(len(levels))
    best = distance(levels)
    with progress.bar("search", settings.local_search) as bar:
        for _ in range(settings.local_search):
            changed = generator.random(len(levels)) < _SHARE
            tried = coefficients + changed * generator.normal(0.0, _SPREAD, len(levels))
            errors = [np.exp(each) * np.asarray(curve.errors) for each, curve in zip(tried, scores.curves, strict=True)]
            choice = choose_levels([each.tolist() for each in errors], table, budget)
            found = distance(choice)
            if found < best:
                best, levels, coefficients = found, choice, tried
            bar.advance()
    return levels

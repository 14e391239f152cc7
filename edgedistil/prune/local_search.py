"""A search around the dynamic programme's choice: sublayers' errors do not simply add up, a small loss tells.

ZipLM (arXiv 2302.04089, section 3.2) after SPDY (arXiv 2201.13096, section 3.3): each sublayer's errors are multiplied
by a coefficient, the coefficients are changed at random, and a change is kept when the model that the dynamic programme
then gives is better on calibration text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.costs import CostModel, allowance
from edgedistil.prune.moments import Batch, centred, is_span, some
from edgedistil.prune.scores import Scored
from edgedistil.prune.search import choose_levels
from edgedistil.prune.settings import PruneSettings

if TYPE_CHECKING:
    from edgedistil.prune.prune import Scores

_TEXTS = 256
_SPREAD = 0.5
_SHARE = 0.2
_SEED = 0
# Levels near the best are tried again and again; a sublayer's solution may be ten megabytes.
_REMEMBERED = 16


@torch.no_grad()
def distance_to(
    original: EdgeBertForSequenceClassification, batches: Sequence[Batch]
) -> Callable[[EdgeBertForSequenceClassification], float]:
    """Returns how far any other model's logits are from one's, which is run once for all: the mean squared difference.

    It counts real tokens, and is centred over what the softmax goes over: the labels, or a span's real tokens.
    """
    still = copy.deepcopy(original).eval()
    wanted = [still(ids, mask).logits for ids, mask, *_ in batches]

    @torch.no_grad()
    def distance(model: EdgeBertForSequenceClassification) -> float:
        total, texts = 0.0, 0
        for (ids, mask, *_), right in zip(batches, wanted, strict=True):
            change = centred(model(ids, mask).logits - right, mask, over_sequence=is_span(original))
            total += float(change.square().sum())
            texts += len(ids)
        return total / max(texts, 1)

    return distance


def _remembering(scored: Scored) -> Scored:
    """Returns what a score found, which solves the last few sets of columns only once."""

    @lru_cache(maxsize=_REMEMBERED)
    def rebuilt(columns: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        return scored.rebuild(columns)

    return replace(scored, rebuild=lambda kept: rebuilt(tuple(kept)))


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

    table = scores.cost_table(model.config, costs)
    budget = allowance(settings, costs, model.config)
    scored, apart = [_remembering(each) for each in scores.scored], distance_to(model, some(batches, _TEXTS))
    seen: dict[tuple[int, ...], float] = {}

    def distance(choice: list[int]) -> float:
        key = tuple(choice)
        if key not in seen:
            smaller, _, _ = remove_blocks(model, scores.sublayers, scored, choice)
            seen[key] = apart(smaller)
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

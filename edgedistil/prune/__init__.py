"""Removing attention heads and FFN blocks under a budget."""

from __future__ import annotations

from edgedistil.prune.costs import CostModel, Counted, FileSize, Latency
from edgedistil.prune.group_lasso import GroupLasso
from edgedistil.prune.prune import PruneResult, Scores, choose, prune, score_model
from edgedistil.prune.settings import BUDGETS, SHARES, PruneSettings
from edgedistil.prune.target import Answer, prune_to_target

__all__ = [
    "BUDGETS",
    "SHARES",
    "Answer",
    "CostModel",
    "Counted",
    "FileSize",
    "GroupLasso",
    "Latency",
    "PruneResult",
    "PruneSettings",
    "Scores",
    "choose",
    "prune",
    "prune_to_target",
    "score_model",
]

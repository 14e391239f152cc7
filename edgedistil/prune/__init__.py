"""Removing attention heads and FFN blocks under a budget."""

from __future__ import annotations

from edgedistil.prune.prune import PruneResult, prune
from edgedistil.prune.settings import BUDGETS, PruneSettings

__all__ = ["BUDGETS", "PruneResult", "PruneSettings", "prune"]

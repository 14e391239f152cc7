"""Which of several files that hold is shipped: the one that is fastest on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistil.errors import EdgeDistilError
from edgedistil.export.search.engine import Winner
from edgedistil.export.search.measuring import ROUNDING

Latency = Callable[[Sequence[Path]], Sequence[float]]
"""Measures files on the target device, in one interleaved run: their median latencies in milliseconds, in order."""


@dataclass(frozen=True)
class Choice:
    """The file that ships.

    Attributes:
        winner: The file.
        latency_ms: Median latency of every file that was compared, by scheme.
    """

    winner: Winner
    latency_ms: dict[str, float]


def choose(winners: Sequence[Winner], max_drop: float, latency: Latency) -> Choice:
    """Picks the fastest of the files that lose at most so much; of equally fast ones the smallest.

    Args:
        winners: Of `search(..., every=True)`.
        max_drop: Largest drop allowed, at most the search's own.
        latency: Measures them.

    Raises:
        EdgeDistilError: When none loses so little.
    """
    holding = [
        winner for winner in winners if winner.trial.drop is not None and winner.trial.drop <= max_drop + ROUNDING
    ]
    if not holding:
        raise EdgeDistilError(f"none of {len(winners)} quantised files loses at most {max_drop:g}")
    measured = dict(zip(holding, latency([winner.path for winner in holding]), strict=True))
    best = min(holding, key=lambda winner: (measured[winner], winner.trial.size_bytes))
    return Choice(best, {winner.trial.scheme: measured[winner] for winner in holding})

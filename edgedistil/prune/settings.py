"""What the user decides about pruning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgedistil.errors import UsageError, did_you_mean

BUDGETS = ("parameters", "macs")


@dataclass(frozen=True)
class PruneSettings:
    """A budget and how to spend it.

    Attributes:
        share: The part of the encoder's heads and FFN neurons, by cost, that may stay; above 0, at most 1.
        budget: In what cost is counted: `parameters` or `macs` (multiply-accumulates).
        block: FFN neurons of one block; the target's tile, 16 or 32.
        score: Which blocks go first: `obs` or `magnitude`.
        damping: Share of the Hessian's mean diagonal that is added to it.
        sequence_length: Tokens of the text whose multiply-accumulates are counted.

    Raises:
        UsageError: When a value cannot be used.
    """

    share: float
    budget: str = "parameters"
    block: int = 32
    score: str = "obs"
    damping: float = 1e-2
    sequence_length: int = 128

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(
                f"a pruning budget of {self.share:g} is not a share",
                where="prune.share",
                cure="give a number above 0 and at most 1, such as 0.5",
            )
        if self.budget not in BUDGETS:
            raise UsageError(
                f"no pruning budget is called '{self.budget}'",
                where="prune.budget",
                cure=did_you_mean(self.budget, BUDGETS),
            )
        if not (self.damping > 0 and math.isfinite(self.damping)):
            raise UsageError(
                f"a damping of {self.damping:g} leaves the Hessian without an inverse",
                where="prune.damping",
                cure="give a small number above 0, such as 0.01",
            )
        if self.sequence_length < 1 or self.block < 1:
            raise UsageError(
                "block and sequence_length must be at least 1", where="prune", cure="leave them out for 32 and 128"
            )

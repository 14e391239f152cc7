"""What the user decides about pruning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgedistil.errors import UsageError, did_you_mean

SHARES = ("parameters", "macs")
BUDGETS = (*SHARES, "latency_ms", "speedup", "size_mb")


@dataclass(frozen=True)
class PruneSettings:
    """A budget and how to spend it.

    Attributes:
        amount: How much of the budget's kind there is. `parameters`, `macs`: the share of the encoder's heads and FFN
            neurons that may stay, above 0 and at most 1. `latency_ms`, `size_mb`: of the whole model, above 0.
            `speedup`: how many times faster than the model as it is, at least 1.
        budget: In what cost is counted: one of `BUDGETS`.
        block: FFN neurons of one block; the target's tile, 16 or 32.
        score: Which blocks go first: a registered score's name.
        damping: Share of the Hessian's mean diagonal that is added to it.
        sequence_length: Tokens of the text whose multiply-accumulates are counted.
        regroup: Make FFN blocks of the neurons that matter equally, instead of neighbours.
        local_search: Candidates tried on calibration text around the dynamic programme's choice; 0 tries none.
        rearrange: Swap kept and removed blocks of a layer where the interaction of masks says so (Kwon et al.).
        rescale: Scale what is left, each head and each 32 neurons, by least squares on a layer's output (Kwon et al.).
        refit: Solve what is left of each output Linear anew, from the first layer on, behind the pruned ones before it.

    Raises:
        UsageError: When a value cannot be used.
    """

    amount: float
    budget: str = "parameters"
    block: int = 32
    score: str = "obs"
    damping: float = 1e-2
    sequence_length: int = 128
    regroup: bool = False
    local_search: int = 0
    rearrange: bool = False
    rescale: bool = False
    refit: bool = False

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise UsageError(
                f"no pruning budget is called '{self.budget}'",
                where="prune.budget",
                cure=did_you_mean(self.budget, BUDGETS),
            )
        self._check_amount()
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
        if self.local_search < 0:
            raise UsageError("a search of less than 0 candidates", where="prune.local_search", cure="give 0 for none")

    def _check_amount(self) -> None:
        where = f"prune.{self.budget}"
        if self.budget in SHARES and not 0 < self.amount <= 1:
            raise UsageError(
                f"a pruning budget of {self.amount:g} is not a share",
                where=where,
                cure="give a number above 0 and at most 1, such as 0.5",
            )
        least = 1.0 if self.budget == "speedup" else 0.0
        if not (math.isfinite(self.amount) and self.amount >= least and self.amount > 0):
            raise UsageError(
                f"a pruning budget of {self.amount:g} cannot be reached",
                where=where,
                cure="give a number of at least 1, such as 2" if least else "give a number above 0",
            )

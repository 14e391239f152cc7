"""The last choice where outputs are solved anew: a few models are, and the one nearest to the larger model stays.

Solving anew mends some removals better than others, which no score foresees: at mild budgets one that spreads over the
sublayers more evenly than the least total error asks for, at hard ones what a local search found. Each kind is tried,
and none is judged by text that its own solution saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.costs import CostModel, allowance
from edgedistil.prune.local_search import distance_to
from edgedistil.prune.moments import Batch, some
from edgedistil.prune.refit import refitted
from edgedistil.prune.search import choose_levels
from edgedistil.prune.settings import PruneSettings

if TYPE_CHECKING:
    from edgedistil.prune.prune import Scores

_SOLVED, _JUDGED = 512, 256
_STRENGTHS = (1.0, 3.0, 10.0)


def even_choices(
    model: EdgeBertForSequenceClassification,
    scores: Scores,
    levels: Sequence[int],
    settings: PruneSettings,
    costs: CostModel,
) -> list[list[int]]:
    """Returns choices within the budget that remove ever more evenly.

    Each sublayer's error grows by the square of the share of it that is removed, times a strength, in units of the
    error that the given choice comes to.

    Args:
        model: The larger model.
        scores: What was found out about it.
        levels: The choice of the least total error.
        settings: The budget.
        costs: What it is counted in.
    """
    table = scores.cost_table(model.config, costs)
    unit = sum(curve.errors[level] for curve, level in zip(scores.curves, levels, strict=True))
    budget = allowance(settings, costs, model.config)

    def choice(strength: float) -> list[int]:
        errors = [
            [error + strength * unit * (level / len(sublayer.blocks)) ** 2 for level, error in enumerate(curve.errors)]
            for sublayer, curve in zip(scores.sublayers, scores.curves, strict=True)
        ]
        return choose_levels(errors, table, budget)

    return [choice(strength) for strength in _STRENGTHS]


def nearest_refitted(
    model: EdgeBertForSequenceClassification,
    scores: Scores,
    choices: Sequence[list[int]],
    batches: Sequence[Batch],
    progress: Progress,
) -> list[int]:
    """Returns which choice of levels is nearest to the larger model once its outputs are solved anew.

    Args:
        model: The larger model.
        scores: What was found out about it.
        choices: Levels of each sublayer; the first of equals stays.
        batches: Calibration text; solving looks at every other batch, judging at those between.
        progress: Told of every choice.
    """
    from edgedistil.prune.prune import remove_blocks

    seen, apart = batches[::2], distance_to(model, some(batches[1::2] or batches, _JUDGED))
    different = [list(levels) for levels in dict.fromkeys(map(tuple, choices))]
    distances = []
    with progress.bar("refit", len(different)) as bar:
        for levels in different:
            smaller, _, _ = remove_blocks(model, scores.sublayers, scores.scored, levels)
            distances.append(apart(refitted(smaller, model, seen, _SOLVED)))
            bar.advance()
    return different[distances.index(min(distances))]

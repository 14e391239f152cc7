"""Whether a recipe's pruning budget can be met at all, asked before anything is trained."""

from __future__ import annotations

from edgedistil.errors import UsageError
from edgedistil.pipeline.latency_tables import check_format, known_table
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.vocabulary import vocabulary_stage
from edgedistil.recipe.schema import Prune

SHARES = ("parameters", "macs")
SIZES = ("size_mb",)


def needs_table(prune: Prune | None) -> bool:
    """Tells whether a budget is counted by a device's latency table."""
    return prune is not None and prune.has_budget and prune.budget[0] not in (*SHARES, *SIZES)


def check_budget(build: Build) -> None:
    """Refuses an impossible budget, as far as is known: of latency, once the device has its table.

    A size with a trimmed vocabulary is known once its pieces have been chosen.

    Raises:
        UsageError: When it is impossible; the line names the nearest that is not. When the recipe does not make the
            file it is of, or the device cannot run it.
    """
    prune = build.recipe.prune
    if prune is None:
        return
    if prune.lasso and prune.score != "group_lasso":
        cure = "set prune.score to group_lasso, or leave it out"
        raise UsageError(f"the score '{prune.score}' looks at no such training", where="prune.lasso", cure=cure)
    if not prune.has_budget or prune.budget[0] in SHARES:
        return
    check_format(build.recipe, prune)
    table = known_table(build) if needs_table(prune) else None
    if table is None and needs_table(prune):
        return
    pieces = None
    if prune.size_mb is not None and prune.vocabulary is not None:
        done = build.cache.find(vocabulary_stage(build, prune.vocabulary))
        if done is None:
            return
        pieces = done.summary["pieces"]
    from edgedistil.pipeline.pruning import refuse_impossible

    refuse_impossible(build, prune, table, pieces)

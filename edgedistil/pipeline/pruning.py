"""Pruning a recipe's student: calibration rows from its training split, the budget from the recipe, a record."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import collate, row_lengths, sorted_plan
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.models.size import count_macs, count_parameters
from edgedistil.progress import Progress
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import prune
from edgedistil.prune.settings import PruneSettings
from edgedistil.recipe.schema import Prune, Recipe

_BATCH = 32


def prune_student(
    student: EdgeBertForSequenceClassification,
    train: EvaluationSet,
    settings: Prune,
    recipe: Recipe,
    progress: Progress,
) -> tuple[EdgeBertForSequenceClassification, dict[str, Any]]:
    """Returns the shrunk student and a JSON-able record of what was kept and why.

    Raises:
        UsageError: When the budget leaves nothing, or the score is unknown.
    """
    kind, share = settings.budget
    result = prune(
        student,
        calibration_batches(train, settings.calibration_examples, recipe.seed),
        PruneSettings(
            share=share,
            budget=kind,
            block=settings.block,
            score=settings.score,
            sequence_length=recipe.bench.sequence_length,
        ),
        progress,
    )
    length = recipe.bench.sequence_length
    before, after = student.config, result.model.config
    record = {
        "budget": {kind: share},
        "heads": list(after.heads),
        "ffn": list(after.ffn),
        "heads_kept": result.heads_kept,
        "ffn_kept": result.ffn_kept,
        "kept_parameters": count_parameters(after).blocks / count_parameters(before).blocks,
        "kept_macs": count_macs(after, length).blocks / count_macs(before, length).blocks,
        "levels": result.levels,
        "curves": [
            {"layer": sublayer.layer, "kind": sublayer.kind, "order": list(curve.order), "errors": list(curve.errors)}
            for sublayer, curve in zip(result.sublayers, result.curves, strict=True)
        ],
        "predicted_error": result.predicted_error,
        "search_seconds": round(result.seconds, 2),
    }
    return result.model, record


def calibration_batches(train: EvaluationSet, examples: int, seed: int) -> list[Batch]:
    """Returns token ids and masks of a fixed random part of the training rows, rows of a batch alike in length."""
    chosen = np.random.default_rng(seed).permutation(len(train))[:examples]
    rows = [collate(train, chosen[part]) for part in sorted_plan(row_lengths(train)[chosen], _BATCH)]
    return [(batch.input_ids, batch.attention_mask) for batch in rows]

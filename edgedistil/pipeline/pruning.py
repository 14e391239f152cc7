"""Pruning a recipe's student: calibration rows from its training split, the budget from the recipe, a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgedistil.bench.latency import LatencyTable, Setting
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import collate, row_lengths, sorted_plan
from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.convert import config_from
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.models.size import count_macs, count_parameters
from edgedistil.pipeline.heads import head_of
from edgedistil.pipeline.latency_tables import student_shape
from edgedistil.pipeline.stages.context import Build
from edgedistil.profiling.measure import file_megabytes, measurer
from edgedistil.progress import Progress
from edgedistil.prune.costs import CostModel, FileSize, Latency
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import PruneResult
from edgedistil.prune.settings import SHARES, PruneSettings
from edgedistil.prune.target import Answer, Measure, check_target, prune_to_target
from edgedistil.prune.vocabulary import Trimmed, trim_model
from edgedistil.recipe.schema import Prune, Recipe

_BATCH = 32


@dataclass(frozen=True)
class Means:
    """What a budget is counted in, and how a model is measured in it; neither for shares of the encoder."""

    costs: CostModel | None = None
    measure: Measure | None = None


def means_of(
    build: Build, prune: Prune, table: LatencyTable | None, progress: Progress, trimmed: Trimmed | None = None
) -> Means:
    """Returns the costs and the measurement of a recipe's budget.

    Args:
        build: The recipe.
        prune: Its section.
        table: Of the recipe's device, for a budget of latency.
        progress: Where measurements report.
        trimmed: The word pieces that will ship, for a budget of size; None for all.
    """
    if prune.size_mb is not None:
        lengths = build.recipe.export.sequence_lengths
        shape = student_shape(build.recipe, build.start_config)
        setting = Setting(format=prune.format, threads=1, sequence_length=lengths[-1], shape=shape)

        def sizes(models: Sequence[EdgeBertHeadModel]) -> list[float]:
            shipped = [trim_model(model, trimmed) for model in models] if trimmed else models
            return file_megabytes(setting, shipped, lengths)

        return Means(_file_size(prune, build.recipe, len(trimmed.kept) if trimmed else None), sizes)
    if table is None:
        return Means()
    return Means(Latency(table), measurer(build.place.device, build.place.setting, progress))


def _file_size(prune: Prune, recipe: Recipe, pieces: int | None) -> FileSize:
    return FileSize(prune.format, pieces=pieces, lengths=tuple(recipe.export.sequence_lengths))


def settings_of(prune: Prune, recipe: Recipe, target: float | None = None) -> PruneSettings:
    """Returns how to prune.

    Args:
        prune: The recipe's section.
        recipe: The recipe, for the length that it is measured at.
        target: The speedup of one of the section's `targets`.

    Raises:
        UsageError: When a value cannot be used.
    """
    kind, amount = prune.budget
    return PruneSettings(
        amount=amount if target is None else target,
        budget=kind,
        block=prune.block,
        score=prune.score,
        sequence_length=recipe.bench_length,
        regroup=prune.regroup,
        local_search=prune.candidates,
        rearrange=prune.rearrange,
        rescale=prune.rescale,
        refit=prune.refits,
    )


def refuse_impossible(build: Build, prune: Prune, table: LatencyTable | None, pieces: int | None = None) -> None:
    """Refuses targets that no pruning reaches, from the student's sizes alone.

    Args:
        build: The recipe.
        prune: Its section.
        table: Of the recipe's device, for a budget of latency.
        pieces: Word pieces that will ship, for a budget of size; None for all.

    Raises:
        UsageError: When one is impossible; the line names the nearest that is not.
    """
    if table is not None and prune.latency_ms is not None and table.unit != "ms":
        raise UsageError(
            f"{table.device_name} is emulated, its clock means nothing",
            where="prune.latency_ms",
            cure="ask for prune.speedup, which is then counted in instructions",
        )
    costs = Latency(table) if table else _file_size(prune, build.recipe, pieces)
    targets: list[float | None] = [*prune.targets] if prune.targets else [None]
    for target in targets:
        try:
            check_target(student_config(build), settings_of(prune, build.recipe, target), costs)
        except UsageError as error:
            where = "prune.targets" if prune.targets else error.where
            raise UsageError(error.what, where=where, cure=error.cure) from None


def student_config(build: Build) -> EdgeBertConfig:
    """Returns the configuration of a recipe's student before pruning, as far as sizes go."""
    recipe = build.recipe
    head = head_of(recipe, build.teacher.folder)
    config = config_from(build.start_config, str((build.start or build.teacher).folder), None, head.name, head.problem)
    shape = student_shape(recipe, build.start_config)
    config.hidden_size, config.head_size, config.type_vocab_size = shape.hidden_size, shape.head_size, 0
    config.heads, config.ffn = [shape.heads] * shape.layers, [shape.ffn] * shape.layers
    config.joined_layers = recipe.joined_layers
    return config


def prune_student(
    student: EdgeBertHeadModel,
    batches: Sequence[Batch],
    settings: PruneSettings,
    means: Means,
    progress: Progress,
    whole: EdgeBertHeadModel | None = None,
) -> tuple[EdgeBertHeadModel, dict[str, Any]]:
    """Returns the shrunk student and a JSON-able record of what was kept and why.

    Args:
        student: What is pruned.
        batches: Calibration text with labels.
        settings: The budget and how to spend it.
        means: What it is counted in.
        progress: Where to report.
        whole: The unpruned student, where `student` is one that was pruned before.

    Raises:
        UsageError: When the budget leaves nothing or cannot be reached, or the score is unknown.
    """
    answer = prune_to_target(student, batches, settings, means.costs, means.measure, progress, whole=whole)
    return answer.result.model, _record(answer, settings, (whole or student).config)


def _record(answer: Answer, settings: PruneSettings, before: EdgeBertConfig) -> dict[str, Any]:
    result, length = answer.result, settings.sequence_length
    after = result.model.config
    record = {
        "budget": {settings.budget: settings.amount},
        "heads": list(after.heads),
        "ffn": list(after.ffn),
        "heads_kept": result.heads_kept,
        "ffn_kept": result.ffn_kept,
        "kept_parameters": count_parameters(after).blocks / count_parameters(before).blocks,
        "kept_macs": count_macs(after, length).blocks / count_macs(before, length).blocks,
        "macs_tokens": length,
        "levels": result.levels,
        "curves": _curves(result),
        "predicted_error": result.predicted_error,
        "search_seconds": round(result.seconds, 2),
    }
    return record if settings.budget in SHARES else {**record, "answer": _said(answer)}


def _curves(result: PruneResult) -> list[dict[str, Any]]:
    return [
        {"layer": sublayer.layer, "kind": sublayer.kind, "order": list(curve.order), "errors": list(curve.errors)}
        for sublayer, curve in zip(result.sublayers, result.curves, strict=True)
    ]


def _said(answer: Answer) -> dict[str, Any]:
    """Returns what was asked for and what was got, for summaries."""
    return {
        "budget": answer.budget,
        "asked": answer.asked,
        "predicted": answer.predicted,
        "measured": answer.measured,
        "miss": answer.miss,
        "unit": answer.result.unit,
        "attempts": [asdict(attempt) for attempt in answer.attempts],
        "line": answer.line(),
    }


def calibration_batches(train: EvaluationSet, examples: int, seed: int) -> list[Batch]:
    """Returns a fixed random part of the training rows, rows of a batch alike in length.

    Args:
        train: The training split.
        examples: How many rows.
        seed: Of the choice.

    Returns:
        For each batch token ids and attention mask [batch, sequence], and labels as `edgedistil.prune.fisher.loss_of`
        wants them.
    """
    chosen = np.random.default_rng(seed).permutation(len(train))[:examples]
    rows = [collate(train, chosen[part]) for part in sorted_plan(row_lengths(train)[chosen], _BATCH)]
    return [(batch.input_ids, batch.attention_mask, batch.labels) for batch in rows]

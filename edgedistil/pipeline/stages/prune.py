"""prune: blocks scored, chosen under the budget and removed. recover: the rest distilled once more.

With several `targets` each is such a pair of stages, made from the pair before it; the last one ships. A vocabulary is
trimmed after them, so that every training reads the ids that its teacher's outputs belong to.
"""

from __future__ import annotations

import json
from typing import Any

from edgedistil.pipeline.budget import needs_table
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.distil import distil_stage, training_key
from edgedistil.pipeline.stages.lasso import lasso_stage
from edgedistil.pipeline.stages.latency_table import FILE, latency_table_stage
from edgedistil.pipeline.stages.targets import targets_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.pipeline.stages.vocabulary import NAME as VOCABULARY
from edgedistil.pipeline.stages.vocabulary import trim_stage, vocabulary_stage
from edgedistil.recipe.schema import Prune
from edgedistil.tasks import get_task

VERSION = 1
# Raised when a score gives other models than before, and named only then; group lasso: groups compared in their kind.
_SCORE_VERSIONS = {"group_lasso": 2}
# In the same way: a span's distance and its probed logits are centred over its tokens; narrow blocks are swapped with
# narrow ones; no file is larger than asked for.
_SPAN_DISTANCE_VERSION = 2
_SPAN_PROBE_VERSION = 2
_REARRANGE_VERSION = 2
_SIZE_VERSION = 2
_MEASURE_SECONDS = 30.0
_SHOWN = ("heads", "ffn", "kept_parameters", "kept_macs", "macs_tokens", "search_seconds")


def prune_stage(build: Build, prune: Prune, member: int = -1) -> Stage:
    """Returns the stage that writes the shrunk `model/` and `pruning.json`.

    Args:
        build: The recipe.
        prune: Its section.
        member: Which of its `targets`, where it has several; the last by default.

    Raises:
        UsageError: When the budget is of latency and the device cannot run the format.
    """
    recipe = build.recipe
    target = prune.targets[member] if prune.targets else None

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.bench.latency import read_table
        from edgedistil.models import load_model, save_model
        from edgedistil.pipeline.pruning import calibration_batches, means_of, prune_student, settings_of
        from edgedistil.pipeline.training import load_splits, scores
        from edgedistil.pipeline.vocabulary import read_trimmed

        splits, given = load_splits(context.inputs["data"], recipe.task), context.inputs
        table = read_table(given["latency-table"] / FILE) if "latency-table" in given else None
        pruned, record = prune_student(
            load_model(given["distil"] / "model"),
            calibration_batches(splits.sets["train"], prune.calibration_examples, recipe.seed),
            settings_of(prune, recipe, target),
            means_of(
                build, prune, table, context.progress, read_trimmed(given[VOCABULARY]) if VOCABULARY in given else None
            ),
            context.progress,
            load_model(given["whole"] / "model") if "whole" in given else None,
        )
        (context.folder / "pruning.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        save_model(pruned, context.folder / "model")
        summary = {name: record[name] for name in (*_SHOWN, "answer") if name in record}
        return summary | scores(pruned, splits, context.progress)

    measured = _MEASURE_SECONDS * (prune.budget[0] not in ("parameters", "macs"))
    return Stage(
        name=_name("prune", prune, member),
        version=VERSION,
        parameters={**_parameters(build, prune, target), "seed": recipe.seed},
        inputs=_inputs(build, prune, member),
        work=work,
        effort=Effort(
            operations=2 * build.forward(recipe.student.layers, _texts(prune) * build.tokens_a_text),
            seconds=5.0 + measured,
        ),
    )


def recover_stage(build: Build, prune: Prune, member: int = -1) -> Stage:
    """Returns the stage that distils the shrunk student once more and writes its `model/`.

    Args:
        build: The recipe.
        prune: Its section.
        member: Which of its `targets`, where it has several; the last by default.
    """
    recipe = build.recipe
    settings = prune.recover
    assert settings is not None  # noqa: S101 - the caller has looked

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models import load_model, save_model
        from edgedistil.pipeline.training import follow, load_splits, scores

        splits = load_splits(context.inputs["data"], recipe.task, context.inputs.get("unlabelled"))
        student = load_model(context.inputs["prune"] / "model")
        summary = follow(student, splits, settings, build, context, "prune.recover")
        summary |= scores(student, splits, context.progress)
        save_model(student, context.folder / "model")
        return summary

    share = 1 / prune.targets[member] if prune.targets else prune.expected_share
    return Stage(
        name=_name("recover", prune, member),
        version=VERSION,
        parameters={"recover": training_key(settings), "seed": recipe.seed},
        inputs={
            "data": data_stage(build),
            "teacher": teacher_stage(build),
            "targets": targets_stage(build, settings),
            "prune": prune_stage(build, prune, member),
            **unlabelled_inputs(build, settings),
        },
        work=work,
        together=True,
        effort=Effort(share * build.training(recipe.student.layers, settings, following=True)),
    )


def final_model_stage(build: Build) -> Stage:
    """Returns the stage whose `model/` is shipped: the recovered, the pruned or the plain student, perhaps trimmed."""
    prune = build.recipe.prune
    model = _member(build, prune, -1) if prune and prune.has_budget else distil_stage(build)
    return trim_stage(build, prune.vocabulary, model) if prune and prune.vocabulary else model


def _member(build: Build, prune: Prune, member: int) -> Stage:
    return recover_stage(build, prune, member) if prune.recover else prune_stage(build, prune, member)


def _texts(prune: Prune) -> int:
    """Returns how many texts' two passes scoring, searching on and refitting take about as long as."""
    scoring = prune.calibration_examples
    refitting = 6 * prune.calibration_examples if prune.refits else 0
    return scoring + refitting + 128 * prune.candidates


def _name(verb: str, prune: Prune, member: int) -> str:
    return f"{verb}-{prune.targets[member]:g}x" if prune.targets else verb


def _parameters(build: Build, prune: Prune, target: float | None) -> dict[str, Any]:
    """Returns what of the recipe decides the result; the other targets of a family do not."""
    decided = {"local_search": prune.candidates, "refit": prune.refits}
    asked = prune.key({"recover", "targets", "lasso", "vocabulary", *decided})
    found: dict[str, Any] = {"prune": asked | {name: value for name, value in decided.items() if value}}
    if target is not None:
        found["target"] = target
    if prune.score in _SCORE_VERSIONS:
        found["score_version"] = _SCORE_VERSIONS[prune.score]
    if get_task(build.recipe.task).kind == "span":
        found |= {"distance_version": _SPAN_DISTANCE_VERSION} if prune.candidates else {}
        found |= {"probe_version": _SPAN_PROBE_VERSION} if prune.score == "obs" or prune.regroup else {}
    if prune.rearrange:
        found["rearrange_version"] = _REARRANGE_VERSION
    if prune.macs is not None:
        found["sequence_length"] = build.recipe.bench_length
    if prune.size_mb is not None:
        found["sequence_lengths"] = list(build.recipe.export.sequence_lengths)
        found["size_version"] = _SIZE_VERSION
    return found


def _inputs(build: Build, prune: Prune, member: int) -> dict[str, Stage]:
    number = range(len(prune.targets))[member] if prune.targets else 0
    student = distil_stage(build)
    found = {"data": data_stage(build), "distil": student}
    if number:
        found |= {"distil": _member(build, prune, number - 1), "whole": student}
    elif prune.score == "group_lasso":
        found["distil"] = lasso_stage(build, prune)
    if needs_table(prune):
        found["latency-table"] = latency_table_stage(build)
    if prune.size_mb is not None and prune.vocabulary is not None:
        found[VOCABULARY] = vocabulary_stage(build, prune.vocabulary)
    return found
